"""llama.cpp's own server on 127.0.0.1, where this machine has one: the program `llama-server`, or
the same server in the package xllamacpp.

    python -m tests.llama_server --model FILE --port PORT [--ctx-size N] [--lora FILE]

starts the latter with the program's options, as far as the tests use them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

__all__ = ["find_llama_server", "running_llama_server"]

VARIABLE = "CT_GUARD_LLAMA_SERVER"
HOST, SLOTS = "127.0.0.1", 1


def find_llama_server() -> list[str]:
    """The command: a program that the variable names or that is in the PATH, or the package. Skips
    the test where there is neither."""
    program = os.environ.get(VARIABLE) or shutil.which("llama-server")
    if program:
        return [program, "--host", HOST, "--threads", "1", "--threads-batch", "1",
                "--n-gpu-layers", "0", "--parallel", str(SLOTS), "--cache-ram", "0",
                "--lora-init-without-apply"]  # fmt: skip
    if find_spec("xllamacpp") is not None:
        return [sys.executable, "-m", "tests.llama_server"]
    pytest.skip(
        f"no llama-server: name one in {VARIABLE}, put it into the PATH, or"
        " pip install --no-deps xllamacpp"
    )


@contextmanager
def running_llama_server(model: Path, *options: str) -> Iterator[str]:
    """The URL of a server over `model`, on the processor and one thread."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [*find_llama_server(), "--model", str(model), "--port", str(port), *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[1],
    )
    url = f"http://{HOST}:{port}"
    try:
        _wait(process, url)
        yield url
    finally:
        process.kill()
        process.wait(20)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    for _ in range(1200):
        if process.poll() == -signal.SIGILL:
            pytest.skip("this build of llama-server is for another processor")
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if httpx.get(f"{url}/health", timeout=1.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")


@click.command()
@click.option("--model", required=True)
@click.option("--port", type=int, required=True)
@click.option("--ctx-size", type=int, default=2048)
@click.option("--lora", default=None)
def main(model: str, port: int, ctx_size: int, lora: str | None) -> None:
    import xllamacpp

    settings: Any = xllamacpp.CommonParams()
    settings.model.path = model
    settings.hostnames, settings.port = [HOST], port
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.n_gpu_layers, settings.n_ctx, settings.n_parallel = 0, ctx_size, SLOTS
    settings.cache_ram_mib, settings.fit_params, settings.warmup = 0, False, False
    if lora is not None:
        settings.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(lora, 1.0)]
    settings.lora_init_without_apply = True
    server = xllamacpp.Server(settings)
    while server is not None:
        time.sleep(3600)


if __name__ == "__main__":
    main()
