"""How well `ood` tells answers of another kind from those that an estimator was calibrated on.

    python -m benchmarks.unlike --estimator zero-shot --base smol --fit nq.jsonl \\
      --ask gsm8k.jsonl --ask strategyqa.jsonl --results benchmarks/RESULTS.md

Half of the questions of --fit are calibrated on, the others asked: there, p <= 0.05 for at most 5%.
In the other files, the more the better. AUROC: of p, the held-out half against the other file.
"""

import random
from itertools import islice
from pathlib import Path

import click
import numpy as np

from ct_guard import QuestionAnswer, load_estimator
from ct_guard.estimators.novelty import fit_novelty, states_of_rows
from ct_guard.files import Rejected, open_rows, question_answer
from ct_guard.metrics import auroc
from ct_guard.query import screen

from .tables import between_markers, markdown

COLUMNS = ("answers of", "rows", "median p", "p <= 0.05", "p <= 0.1", "AUROC")


def drawn(path: Path, rows: int) -> list[QuestionAnswer]:
    """One answer each to so many questions, drawn from a file."""
    items = [one for one in map(question_answer, open_rows(path)) if not isinstance(one, Rejected)]
    random.Random(0).shuffle(items)
    first = {item.question_key(): item for item in items if screen(item) == "ok"}
    return list(islice(first.values(), rows))


@click.command()
@click.option("--estimator", required=True, help="A directory or a name.")
@click.option("--base", default=None, help="Base model, for baselines by name.")
@click.option("--backend", default="transformers", show_default=True)
@click.option("--fit", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--ask", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rows", default=300, show_default=True, help="Most of a file, one a question.")
@click.option("--results", type=click.Path(path_type=Path), help="Also written into this file.")
def main(
    estimator: str,
    base: str | None,
    backend: str,
    fit: Path,
    ask: tuple[Path, ...],
    rows: int,
    results: Path | None,
) -> None:
    """Print a table of files."""
    loaded = load_estimator(estimator, base=base, backend=backend)
    own = drawn(fit, rows)
    half = len(own) // 2
    calibrated = own[:half]
    novelty = fit_novelty(
        states_of_rows(loaded, calibrated), [item.question_key() for item in calibrated]
    )
    held_out = novelty.p(states_of_rows(loaded, own[half:]))
    found = {f"{fit.stem}, held out": held_out}
    for path in ask:
        found[path.stem] = novelty.p(states_of_rows(loaded, drawn(path, rows)))
    lines = []
    for name, p in found.items():
        same = np.r_[np.ones(len(held_out), bool), np.zeros(len(p), bool)]
        area = "" if p is held_out else f"{auroc(np.r_[held_out, p], same):.3f}"
        shares = [f"{np.mean(p <= level):.1%}" for level in (0.05, 0.1)]
        lines.append((name, f"{len(p)}", f"{np.median(p):.3f}", *shares, area))
    title = f"{loaded.name}, calibrated on {half} answers of {fit.stem}"
    text = f"{title}\n\n{markdown(COLUMNS, lines)}"
    print(text)
    if results is not None:
        between_markers(results, f"unlike {loaded.name} {fit.stem}", f"### ood: {text}")


if __name__ == "__main__":
    main()
