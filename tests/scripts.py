"""Scripts of the repository, run as a reader would, in this process: its libraries are loaded."""

import io
import runpy
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

__all__ = ["ROOT", "printed_by"]

ROOT = Path(__file__).parents[1]


def printed_by(path: str, *arguments: str) -> str:
    """What a script prints, from the root of the repository. It fails where it ends early, says
    anything on stderr, or warns."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(ROOT),
        patch.object(sys, "argv", [path, *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        runpy.run_path(path, run_name="__main__")
    assert not err.getvalue(), err.getvalue()
    return out.getvalue()
