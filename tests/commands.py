"""`ct-guard` as its callers see it: what it writes where, and the code that it ends with.

It runs in this process, where its libraries are loaded. Tests that are about the process itself
(signals, pipes, full disks, what is imported, what the environment decides at the start) begin one.
"""

import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from ct_guard.cli import main

__all__ = ["ct_guard"]


def ct_guard(
    *arguments: str | Path,
    folder: Path | None = None,
    warned: Literal["error", "default"] = "error",
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> "subprocess.CompletedProcess[str]":
    """The command in `folder`, with `environment` beside what is there and `given` to be read.
    Warnings are errors, or `default`: said."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    stdin = io.TextIOWrapper(io.BytesIO(given.encode()), encoding="utf-8")
    words = ["ct-guard", *map(str, arguments)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            chdir(folder or "."),
            patch.object(sys, "argv", words),
            patch.object(sys, "stdin", stdin),
            patch.dict(os.environ, environment or {}),
            warnings.catch_warnings(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            warnings.simplefilter(warned)
            main()
    except SystemExit as end:
        code = end.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert code is None or isinstance(code, int), code
    for stream in (out, err):
        stream.seek(0)
    return subprocess.CompletedProcess(words, code or 0, out.read(), err.read())
