"""What a question set is, and how a row of it is put into words.

The wording is that of the reference implementation (Kapoor et al. 2024), byte for byte, also where
it is odd: it is what the published adapters were tuned on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any, Literal

import numpy as np

__all__ = ["Item", "Rendering", "SetSpec", "context", "few_shot", "target"]

Rendering = Literal["open", "choice"]
"""Open-ended, or multiple choice answered by a letter."""

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """A row, read: what the templates of its set need."""

    values: Mapping[str, str]
    choices: tuple[str, ...] = ()
    right: int = 0
    """Index of the right choice."""
    answer: str | None = None
    """The open-ended answer, where it is not the right choice's text."""
    gold: str | None = None
    """What a grader compares with, where it is not the answer."""


@dataclass(frozen=True)
class SetSpec:
    """A question set: where it is, which fields it has, how it is worded.

    `read` makes an Item of a row; the integer seeds whatever it shuffles. None: the row is left
    out (no label, or two choices alike). Templates are filled by `str.format`; what is filled in is
    never a template.
    """

    name: str
    hub: str | None
    read: Callable[[Fields, int], Item | None]
    open: str
    choice: str | None
    """Stands before the list of choices; None: the set has no choices."""
    splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "validation": "validation", "test": "test"}
    )
    """Split of the hub's by ours. Splits without labels are left out."""
    config: str | None = None
    converted: bool = False
    """Whether the hub holds a script beside the data: then its conversion to Parquet is read."""
    open_cue: str = "\nAnswer:"
    choice_cue: str = "\nAnswer:"
    shots_from: str = "train"
    """Split of the hub's that examples are drawn from."""
    shots: Mapping[str, int] = field(default_factory=dict)
    """Examples before a question, by split, unless told otherwise; 0 where there is no entry."""
    open_intro: str = ""
    choice_intro: str = ""
    outro: str = "Now, answer the following.\n\n"
    open_outro: str | None = None
    """None: `outro`."""
    open_instruction: str = ""
    """Stands before an open-ended question without examples."""
    subjects: tuple[str, ...] = ()
    subject_field: str | None = None
    """Column that names the subject; None: each subject is a configuration of its own."""


def context(spec: SetSpec, item: Item, rendering: Rendering) -> str:
    """The question in words, up to where the answer begins."""
    if rendering == "open" or spec.choice is None:
        return spec.open.format(**item.values) + spec.open_cue
    lines = [f"  ({n}): {c}" for n, c in zip(ascii_lowercase, item.choices, strict=False)]
    asked = spec.choice.format(**item.values)
    return "\n".join([asked, "\nChoices:", *lines]) + spec.choice_cue


def target(item: Item, rendering: Rendering) -> str:
    """The right answer, as it stands behind an example."""
    if rendering == "choice":
        return ascii_lowercase[item.right]
    return item.choices[item.right] if item.answer is None else item.answer


def few_shot(
    spec: SetSpec,
    examples: Sequence[Item],
    rendering: Rendering,
    *,
    shots: int,
    seed: int,
    subject: str = "",
) -> str:
    """What stands before a question: `shots` of the `examples`, drawn by `seed`."""
    if not shots:
        return spec.open_instruction if rendering == "open" else ""
    drawn = np.random.default_rng(seed).permutation(len(examples))[:shots].tolist()
    told = [
        f"{context(spec, examples[at], rendering)} {target(examples[at], rendering)}".strip() + "\n"
        for at in drawn
    ]
    intro = spec.open_intro if rendering == "open" else spec.choice_intro
    outro = spec.outro
    if rendering == "open" and spec.open_outro is not None:
        outro = spec.open_outro
    return "\n".join([intro.format(subject=subject), *told, outro])
