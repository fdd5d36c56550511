"""Which questions each split of an estimator held, as short hashes beside the manifest.

They show whether a file holds a question that the estimator was tuned, calibrated or certified on,
without shipping the questions. 48 bits, 8 letters a question: unequal questions look alike once in
300 trillion pairs. Whoever has a question can check whether it is there; nobody can read one out.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ct_guard.errors import ManifestError
from ct_guard.files.untrusted_json import LEARNT_BYTES, JsonError, read_json

__all__ = ["dump_questions", "load_questions", "question_hash", "questions_name", "set_hash"]

LETTERS = 8

Splits = Mapping[str, frozenset[str]]
"""Hashes of questions by split name."""


def question_hash(key: str) -> str:
    """8 letters that identify a question, by its `QuestionAnswer.question_key()`."""
    digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: LETTERS * 6 // 8]).decode()


def set_hash(keys: Iterable[str]) -> str:
    """16 hex digits that identify a set of questions, whatever their order."""
    text = "\x1d".join(sorted(set(keys)))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def dump_questions(splits: Splits) -> bytes:
    """The file's content: for every split its hashes, sorted, in one text."""
    data = {name: "".join(sorted(hashes)) for name, hashes in sorted(splits.items())}
    return (json.dumps({"schema_version": 1, "splits": data}, indent=1) + "\n").encode()


def questions_name(content: bytes) -> str:
    """What a file with `content` is called. The name says what is in it, so that a new file never
    replaces the one that the manifest still names."""
    return f"questions-{hashlib.sha256(content).hexdigest()[:8]}.json"


def load_questions(path: Path) -> dict[str, frozenset[str]]:
    """Hashes by split. Raises ManifestError where the file is not what `dump_questions` writes."""
    try:
        data = read_json(path, LEARNT_BYTES)
    except JsonError as error:
        raise ManifestError(
            f"{path} holds no hashes of questions ({error}): restore it from its source"
        ) from error
    if data.get("schema_version", 1) != 1:
        raise ManifestError(
            f"{path} has schema version {data['schema_version']!r}, this ct-guard reads 1:"
            " upgrade ct-guard"
        )
    splits = data.get("splits")
    if not isinstance(splits, dict) or not all(isinstance(one, str) for one in splits.values()):
        raise ManifestError(f"{path} holds no hashes of questions: restore it from its source")
    return {
        name: frozenset(text[at : at + LETTERS] for at in range(0, len(text), LETTERS))
        for name, text in splits.items()
    }
