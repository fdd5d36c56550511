"""Run in a process of its own: damage copies of a GGUF base and its adapter, validate them, and
let llama.cpp load and compute with those that pass. Says before each case which it is.

    python load_damaged.py BASE ADAPTER FOLDER FIRST COUNT
"""

import random
import sys
from pathlib import Path

from ct_guard.backends import Adapter, Item
from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.backends.gguf_header import read_header
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.errors import BackendError, CtGuardError, MismatchError
from ct_guard.query import Query

__all__ = ["damaged", "header_size"]


def header_size(path: Path) -> int:
    """Where the weights begin, in bytes."""
    return min(tensor.offset for tensor in read_header(path).tensors.values())


def damaged(data: bytes, header: int, seed: int) -> bytes:
    """Cut off somewhere, or with one to three flipped bits of its header."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return data[: rng.randrange(len(data))]
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        broken[rng.randrange(header)] ^= 1 << rng.randrange(8)
    return bytes(broken)


def compute(base: Path, adapter: Path) -> None:
    """All that a scorer does with the files. The adapter's folder holds its file."""
    backend = LlamaCppBackend.load(base, n_ctx=128, n_batch=64, threads=1)
    try:
        backend.encoder.decode(backend.encoder.encode("What is 2 plus 2?\n", special=True))
        query = Query((5, 6, 7), (8, 9))
        item = Item((*backend.encoder.start_ids, 10, 11), (12,))
        lora = Adapter("lora", adapter.parent, "query")
        backend.score([item], query, lora, frozenset({"labels", "answer_logprobs"}))
    finally:
        backend.close()


def main(base: Path, adapter: Path, folder: Path, first: int, count: int) -> None:
    whole = {path: path.read_bytes() for path in (base, adapter)}
    header = {path: header_size(path) for path in whole}
    loaded = 0
    for seed in range(first, first + count):
        sys.stdout.write(f"case {seed}\n")
        sys.stdout.flush()
        broken = (base, adapter)[seed % 2]
        path = folder / broken.name
        path.write_bytes(damaged(whole[broken], header[broken], seed))
        try:
            if broken == base:
                validate_base(path)
                compute(path, adapter)
            else:
                validate_adapter(path, validate_base(base))
                compute(base, path)
        except CtGuardError as error:
            if not isinstance(error, BackendError | MismatchError):
                raise
            continue
        loaded += 1
    sys.stdout.write(f"loaded {loaded} of {count}\n")


if __name__ == "__main__":
    base, adapter, folder = map(Path, sys.argv[1:4])
    first, count = map(int, sys.argv[4:6])
    main(base, adapter, folder, first, count)
