"""Python, processor, memory and disk."""

import os
import platform
import shutil
import sys
from pathlib import Path

from ct_guard import __version__
from ct_guard.backends.machine import cpu_features, memory

from .finding import Finding, gigabytes

__all__ = ["machine"]

_FEATURES = ("avx", "avx2", "f16c", "fma", "bmi2", "avx_vnni", "avx512f", "avx512_vnni",
             "avx512_bf16", "amx_int8", "neon", "asimd", "sve", "i8mm")  # fmt: skip
"""Those that change how fast matrices are multiplied."""
_LITTLE_DISK = 10e9


def machine() -> list[Finding]:
    """Findings that need no library."""
    return [_python(), _processor(), _memory(), _cache()]


def _python() -> Finding:
    value = f"{platform.python_version()}, ct-guard {__version__}, {platform.platform()}"
    return Finding("Python", value, f"runs from {sys.executable}")


def _processor() -> Finding:
    every = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    known = cpu_features()
    features = [name for name in _FEATURES if name in known]
    threads = os.environ.get("OMP_NUM_THREADS")
    value = f"{platform.machine()}, {usable} of {every} cores"
    if features:
        value += f", {' '.join(features)}"
    if threads is not None:
        return Finding(
            "CPU",
            f"{value}, OMP_NUM_THREADS={threads}",
            f"unset OMP_NUM_THREADS to use all {usable} cores"
            if threads != str(usable)
            else "every core is used",
        )
    return Finding("CPU", value, "set the threads with --threads; all cores is the default")


def _memory() -> Finding:
    found = memory()
    return Finding(
        "memory",
        f"{gigabytes(found.total)}, {gigabytes(found.available)} of it available",
        f"a model of {found.available / 4 / 1e9:.1f} billion parameters fits in float32, one of"
        f" {found.available / 1.1 / 1e9:.1f} billion as GGUF in q8_0",
    )


def _cache() -> Finding:
    """Where models from the hub are kept."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    folder = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    there = next(part for part in (folder, *folder.parents) if part.exists())
    free = shutil.disk_usage(there).free
    enough = free > _LITTLE_DISK
    return Finding(
        "disk cache",
        f"{folder}, {gigabytes(free)} free",
        "another place: set HF_HUB_CACHE" if enough else "little room: set HF_HUB_CACHE elsewhere",
    )
