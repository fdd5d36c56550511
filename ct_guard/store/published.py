"""The twelve adapters that the paper's authors published on the Hugging Face hub."""

import re
from dataclasses import dataclass
from typing import Literal

from ct_guard.query import ContextStyle

__all__ = ["ORGANISATION", "PUBLISHED", "Published", "published"]

ORGANISATION = "calibration-tuning"

BASES = {
    "Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
    "Llama-2-7b-chat-hf": "meta-llama/Llama-2-7b-chat-hf",
    "Llama-2-13b-hf": "meta-llama/Llama-2-13b-hf",
    "Llama-2-13b-chat-hf": "meta-llama/Llama-2-13b-chat-hf",
    "Mistral-7B-v0.1": "mistralai/Mistral-7B-v0.1",
    "Mistral-7B-Instruct-v0.2": "mistralai/Mistral-7B-Instruct-v0.2",
}
"""Hub ids of the base models, by the name that the adapters' ids carry."""

Answers = Literal["open-ended", "multiple choice"]

# The reference tunes without the examples or instruction before a question (`train_kshot=0`).
FORMATS: dict[str, tuple[Answers, ContextStyle]] = {
    "oe": ("open-ended", "raw"),
    "choice": ("multiple choice", "raw_choice"),
}

_TRAILING = re.compile(r"[-_ ]?model$")


@dataclass(frozen=True)
class Published:
    """One adapter: its hub id, and what its files do not say."""

    id: str
    base: str
    answers: Answers
    style: ContextStyle

    @property
    def name(self) -> str:
        return self.id.partition("/")[2]


PUBLISHED = {
    known.id: known
    for known in (
        Published(f"{ORGANISATION}/{name}-ct-{suffix}", base, answers, style)
        for name, base in BASES.items()
        for suffix, (answers, style) in FORMATS.items()
    )
}


def published(name: str) -> Published | None:
    """The adapter of that id, or of a directory of that name, with or without the word `model`
    that some listings put behind it; None for any other."""
    last = _TRAILING.sub("", name.rstrip("/").rpartition("/")[2])
    return PUBLISHED.get(f"{ORGANISATION}/{last}")
