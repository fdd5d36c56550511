"""What it costs to judge twelve fields beside one whole answer, and how well fields are told apart.

    python -m benchmarks.fields cost [--of people|invoice] [-e NAME] [--base DIR|FILE.gguf]
                                     [--backend transformers|llama_cpp] [--dtype NAME]
    python -m benchmarks.fields records OUT.jsonl

`cost`: a document and a record of twelve fields are scored whole and with their fields, by turns;
reported is the ratio of the medians by the clock, and that of the tokens that are read, which is
what it would be were nothing but tokens to cost anything. For a machine with nothing beside it.
`records`: graded records of the miniature world, for `ct-guard score --fields` and `ct-guard
evaluate --fields`.
"""

import json
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch

from ct_guard import Estimator, QuestionAnswer, load_estimator
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.backends.tree import Tree
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


INVOICE = """Brackwell & Sons Ltd, 14 Mill Lane, Norby NB4 2QT. VAT no. GB 482 1930 77.
INVOICE 2026-0417. Date of issue: 3 April 2026. Payment due within 30 days, by 3 May 2026.
Bill to: Dunmere Primary School, attn. Ms Hilda Vogt, 2 Church Road, Dunmere DN1 6AB.
Your order: PO-88213 of 21 March 2026. Delivered on 31 March 2026 by our own van.

Pos. Article                              Quantity   Unit price    Amount
1    Exercise books A5, ruled, 64 pages   240        0.85          204.00
2    Wax crayons, box of 12               60         2.40          144.00

Net amount 348.00 EUR. VAT at 20% 69.60 EUR. Total amount due 417.60 EUR.
Please transfer the amount to IBAN NB27 4410 0072 3391, quoting the number of the invoice. Goods
remain our property until they are paid in full. Complaints within 14 days of delivery. Interest of
8% a year is charged on late payments. Thank you for your order!

Extract the invoice as JSON with the keys number, date, due, supplier, vat_number, customer, order,
currency, net, vat, total and iban."""
FORM = {
    "number": "2026-0417", "date": "2026-04-03", "due": "2026-05-03",
    "supplier": "Brackwell & Sons Ltd", "vat_number": "GB482193077",
    "customer": "Dunmere Primary School", "order": "PO-88213", "currency": "EUR",
    "net": 348.0, "vat": 69.6, "total": 417.6, "iban": "NB2744100072339",
}  # fmt: skip


def question_and_record(of: str) -> tuple[str, str]:
    """A question over a document, and a record of twelve fields."""
    if of == "invoice":
        return INVOICE, json.dumps(FORM)
    lines = [sentence.format(*person) for person in PEOPLE for sentence in SENTENCES]
    record = [dict(zip(KEYS, one[1:], strict=True)) for one in PEOPLE]
    return f"{' '.join(lines)} Fill in the form.", json.dumps(record)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def tokens_read(loaded: Estimator, told: QuestionAnswer) -> tuple[int, int]:
    """Without fields, and what fields add where nothing is read twice."""
    if loaded.reader is None:
        raise click.ClickException(f"{loaded.name} reads no fields")
    made = loaded.render(told)
    queries = [query.ids for query in loaded.reader.questions(told, loaded.engine).queries]
    whole = len(made.context) + len(made.answer) + len(loaded.asked.ids)
    more = len(Tree.of([loaded.asked.ids, *queries]).ids) - len(loaded.asked.ids)
    return whole, more


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("-e", "--estimator", default="mini", show_default=True)
@click.option("--base", default=None)
@click.option("--backend", default="transformers", show_default=True)
@click.option("--dtype", default=None)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--of", type=click.Choice(["people", "invoice"]), default="people", show_default=True)
@click.option("--repeat", default=15, show_default=True)
def cost(
    estimator: str,
    base: str | None,
    backend: str,
    dtype: str | None,
    threads: int,
    of: str,
    repeat: int,
) -> None:
    """The ratio of a score with twelve fields to one without."""
    more: dict[str, Any] = {"threads": threads} if backend == "llama_cpp" else {}
    torch.set_num_threads(threads)
    loaded: Estimator = load_estimator(
        estimator, base=base, backend=backend, device="cpu", dtype=dtype or "auto", **more
    )
    question, answer = question_and_record(of)
    whole = QuestionAnswer(question=question, answer=answer)
    told = whole.model_copy(update={"fields": ()})
    made = loaded.score([told])[0]
    if len(made.fields or {}) != FIELDS:
        raise click.ClickException(f"the record was not read: {made.error}")
    loaded.score([whole])
    without: list[float] = []
    beside: list[float] = []
    turns = [(without, whole), (beside, told)]
    for _ in range(repeat):
        for times, asked in turns:
            times.append(seconds(partial(loaded.score, [asked])))
        turns.reverse()
    alone, together = median(without), median(beside)
    read, added = tokens_read(loaded, told)
    click.echo(
        f"{loaded.name} on {loaded.arithmetic}, {of}: {read} tokens for the answer, {added} more"
        f" for 12 fields: {(read + added) / read:.3f}; {1000 * alone:.1f} ms, with fields"
        f" {1000 * together:.1f} ms: {together / alone:.3f}"
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


if __name__ == "__main__":
    main()
