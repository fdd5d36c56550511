"""A KV as bytes: a line of JSON that says what it is, and the cells behind it."""

import hashlib
import json

import numpy as np

from ct_guard.backends.base import KV
from ct_guard.errors import BackendError

__all__ = ["pack", "unpack"]

_FORMAT = "ct_guard.kv/1"


def pack(kv: KV, cells: bytes, kind: str) -> bytes:
    """`kind` names the base and the cache's type: the cells mean nothing in another."""
    head = {
        "format": _FORMAT,
        "kind": kind,
        "ids": kv.ids,
        "answer_start": kv.answer_start,
        "answer_logprobs": kv.answer_logprobs.tolist(),
        "sha256": hashlib.sha256(cells).hexdigest(),
    }
    return json.dumps(head).encode() + b"\n" + cells


def unpack(data: bytes, kind: str) -> tuple[KV, bytes]:
    """The KV, still without a handle, and its cells.

    Raises BackendError unless the bytes are whole and were saved by a backend of this kind.
    """
    line, _, cells = data.partition(b"\n")
    try:
        head = json.loads(line)
        if head["format"] != _FORMAT or head["sha256"] != hashlib.sha256(cells).hexdigest():
            raise ValueError("its hash does not fit")
        kv = KV(
            ids=tuple(map(int, head["ids"])),
            handle=None,
            answer_start=int(head["answer_start"]),
            answer_logprobs=np.array(head["answer_logprobs"], np.float32),
        )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise BackendError(f"a saved KV is damaged ({error}): generate the answer again") from error
    if head["kind"] != kind:
        raise BackendError(
            f"a saved KV belongs to {head['kind']}, and this backend is {kind}: restore it there"
        )
    return kv, cells
