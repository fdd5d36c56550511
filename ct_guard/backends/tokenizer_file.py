"""A stranger's `tokenizer.json`, tried out before it is loaded into this process.

The tokenizers library trusts its files: some panic, some hang, some take all memory or abort the
process. So the file is checked as far as rules go, and then loaded once in a process of its own
that has a limit of time and of memory. That costs about a tenth of a second and the time of the
load itself, once for each file and process. The files of the embedded model are not tried out.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ct_guard.errors import BackendError
from ct_guard.files.untrusted_json import JsonError, read_json

from .foreign import digesting
from .safe_patterns import check_pattern

__all__ = ["check_tokenizer", "load_tokenizer"]

_EMBEDDED = Path(__file__).resolve().parents[1] / "mini"
_TRIAL = Path(__file__).with_name("tokenizer_trial.py")
_MOST_BYTES = 256 << 20
_MOST_SETTINGS = 8 << 20
_WAIT = 120.0
"""Seconds: the trial has a limit on its own computing time, this is for a machine that stands."""


def load_tokenizer(source: str | Path, revision: str | None = None) -> Any:
    """The tokenizer of a directory or of a repository of the hub, through transformers and without
    remote code. Raises BackendError for one that is not safe to load, and OSError or ValueError
    where transformers cannot have it."""
    from transformers import AutoTokenizer
    from transformers.utils.hub import cached_file

    for name, check in (
        ("tokenizer_config.json", _check_size),
        ("tokenizer.json", check_tokenizer),
    ):
        found = cached_file(
            str(source), name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if found is not None:
            check(Path(found))
    said = f"the tokenizer of {str(source)!r} cannot be loaded ({{}}): fetch it again"
    with digesting(BackendError, said, passing=(OSError, ValueError)):
        return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)


def check_tokenizer(path: Path) -> None:
    """Raises BackendError, in one line, for a `tokenizer.json` that is not safe to load."""
    if path.resolve().is_relative_to(_EMBEDDED):
        return
    try:
        here = path.stat()
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror}") from error
    _tried(path, here.st_size, here.st_mtime_ns, here.st_ino)


def _check_size(path: Path) -> None:
    if path.stat().st_size > _MOST_SETTINGS:
        raise BackendError(f"{path} has more than {_MOST_SETTINGS:,} bytes: fetch it again")


@lru_cache(maxsize=64)
def _tried(path: Path, size: int, changed: int, inode: int) -> None:
    try:
        for pattern in _patterns(read_json(path, _MOST_BYTES)):
            check_pattern(pattern)
    except ValueError as error:  # JsonError is one
        what = "is not valid JSON: " if isinstance(error, JsonError) else ""
        raise BackendError(f"{path} {what}{error}; take another base model") from error
    if not sys.executable:  # an interpreter inside of another program cannot start another one
        return
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and script
            [sys.executable, "-P", str(_TRIAL), str(path)],
            capture_output=True,
            timeout=_WAIT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "TOKENIZERS_PARALLELISM": "false",
            },
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"{path} takes too long to load: take another base model") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = "".join(filter(str.isprintable, lines[-1]))[:200] if lines else ""
        how = said or f"it ends the process with status {done.returncode}, or takes too long"
        raise BackendError(f"{path} is no usable tokenizer ({how}): fetch it again")


def _patterns(data: Any) -> Iterator[str]:
    """Every regular expression in the file, wherever it stands."""
    level = [data]
    while level:
        children: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if isinstance(pattern := one.get("Regex"), str):
                    yield pattern
                children.extend(value for value in one.values() if isinstance(value, (dict, list)))
            elif len(one) <= _MOST_STEPS:
                children.extend(value for value in one if isinstance(value, (dict, list)))
        level = children


_MOST_STEPS = 1000
"""Longer lists are vocabularies and merges, which hold no steps."""
