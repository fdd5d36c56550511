"""Run as a script, apart from everything else: load a tokenizer.json and encode texts with it.

    python -P tokenizer_trial.py FILE

Ends with status 0 where that worked. The package is not imported: that would take longer than all
the rest.
"""

import os
import sys

from tokenizers import Tokenizer

MEMORY = 1 << 30
"""Bytes more than what the libraries take."""
TEXTS = (
    "", "Question: What is 2 plus 2?\nAnswer: 4", "word " * 200, "\n" * 500, " " * 500, "a" * 2000,
    "0" * 500, "aA0-_.é漢\t" * 50, "<|im_start|></s>[INST]\ufffd\u200b\u0301😀" * 20,
)  # fmt: skip


def limit(size: int) -> None:
    """To 4 seconds of computing and one for each 4 MB of the file, and to `MEMORY`."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows: the caller's clock is what is left
        return
    seconds = 4 + (size >> 22)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def main(path: str) -> None:
    limit(os.path.getsize(path))
    core = Tokenizer.from_str(Tokenizer.from_file(path).to_str())  # it is copied so later
    core.no_truncation()
    core.no_padding()
    for special in (False, True):
        core.encode_special_tokens = special
        for text in TEXTS:
            core.decode(core.encode(text, add_special_tokens=special).ids)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BaseException as error:  # a panic is no Exception
        sys.exit(f"{type(error).__name__}: {error}")
