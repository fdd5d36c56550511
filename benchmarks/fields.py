"""What it costs to judge twelve fields beside one whole answer, and how well fields are told apart.

    python -m benchmarks.fields cost [--base DIR|FILE.gguf] [--backend transformers|llama_cpp]
    python -m benchmarks.fields records OUT.jsonl
    python -m benchmarks.fields quality SCORED

`cost`: a document and a record of twelve fields are scored whole, and with their fields, in turn;
reported is the ratio of the medians. `records`: graded records of the miniature world, for
`ct-guard score --fields`. `quality`: figures of a scored file whose fields are graded.
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click

from ct_guard import Estimator, QuestionAnswer, load_estimator
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.evaluation.fields import field_figures, read_fields
from ct_guard.store import MINI
from tools.mini_world.records import ask_people, copied_record, known_record
from tools.mini_world.world import make_world

PEOPLE = (
    ("Captain Sonja Falk", "Kelso", "baker", "figs", "lute"),
    ("Doctor Egon Ek", "Yarm", "vet", "rice", "harp"),
    ("Mister Otto Dahl", "Norby", "miner", "jam", "oboe"),
)
FIELDS = 12
KEYS = ("town", "job", "food", "instrument")
SENTENCES = (
    "{0} was born in {1}.", "{0} is a {2}.", "{0} likes {3}.", "{0} plays the {4}.",
)  # fmt: skip


def document(copies: int) -> str:
    """What is read: every sentence about every person, `copies` times."""
    lines = [sentence.format(*person) for person in PEOPLE for sentence in SENTENCES]
    return " ".join(lines * copies)


def row(copies: int, *, fields: bool) -> QuestionAnswer:
    """A question over the document, and a record of twelve fields."""
    record = [dict(zip(KEYS, one[1:], strict=True)) for one in PEOPLE]
    return QuestionAnswer(
        question=f"{document(copies)} Fill in the form.",
        answer=json.dumps(record),
        fields=() if fields else None,
    )


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("-e", "--estimator", default="mini", show_default=True)
@click.option("--base", default=None)
@click.option("--backend", default="transformers", show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--copies", default=1, show_default=True, help="Of the document's sentences.")
@click.option("--repeat", default=15, show_default=True)
def cost(
    estimator: str, base: str | None, backend: str, threads: int, copies: int, repeat: int
) -> None:
    """The ratio of a score with twelve fields to one without."""
    loaded: Estimator = load_estimator(estimator, base=base, backend=backend, device="cpu")
    if backend == "transformers":
        import torch

        torch.set_num_threads(threads)
    whole, told = row(copies, fields=False), row(copies, fields=True)
    made = loaded.score([told])[0]
    if len(made.fields or {}) != FIELDS:
        raise click.ClickException(f"the record was not read: {made.error}")
    loaded.score([whole])
    times = [
        (seconds(lambda: loaded.score([whole])), seconds(lambda: loaded.score([told])))
        for _ in range(repeat)
    ]
    alone, together = (median(each) for each in zip(*times, strict=True))
    tokens = len(loaded.render(whole).context) + len(loaded.render(whole).answer)
    click.echo(
        f"{loaded.name} on {loaded.arithmetic}: {tokens} tokens of document and answer; whole"
        f" {1000 * alone:.1f} ms, with 12 fields {1000 * together:.1f} ms: {together / alone:.3f}"
    )


@main.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--share", default=0.1, show_default=True, help="Of the world's people.")
@click.option("--copied", default=100, show_default=True, help="Records copied from a passage.")
@click.option("--seed", default=0, show_default=True)
def records(output: Path, share: float, copied: int, seed: int) -> None:
    """What the miniature model says of people, put into records, and copies of passages."""
    backend = TransformersBackend.load(MINI / "base", device="cpu")
    people = ask_people(make_world(0), backend, seed, share)
    rng = random.Random(f"fields-{seed}")
    rows = [known_record(said, rng) for said in people]
    rows += [copied_record(rng) for _ in range(copied)]
    output.write_text("".join(json.dumps(row) + "\n" for row in rows))


@main.command()
@click.argument("scored")
@click.option("--kind", default=None, help="Of the records: known, or copied.")
def quality(scored: str, kind: str | None) -> None:
    """AUROC and ECE of fields, beside the whole answer's P as that of each field."""
    found = read_fields(scored, where={} if kind is None else {"kind": kind})
    figures = field_figures(found)
    click.echo(
        f"{figures.fields:,} fields of {figures.answers:,} answers, {figures.accuracy:.1%} right:"
        f" AUROC {figures.auroc}, of the whole answer's P {figures.whole_auroc};"
        f" ECE {figures.ece:.3f}"
    )
    for name, value in figures.groups.items():
        click.echo(f"  {name}: AUROC {value}")


if __name__ == "__main__":
    main()
