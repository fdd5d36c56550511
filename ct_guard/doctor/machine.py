"""Python, processor, memory and disk."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ct_guard import __version__

from .finding import Finding, gigabytes

__all__ = ["Memory", "cpu_features", "machine", "memory"]

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")
_FEATURES = ("avx", "avx2", "f16c", "fma", "bmi2", "avx_vnni", "avx512f", "avx512_vnni",
             "avx512_bf16", "amx_int8", "neon", "asimd", "sve", "i8mm")  # fmt: skip
"""Those that change how fast matrices are multiplied."""
_LITTLE_DISK = 10e9


@dataclass(frozen=True)
class Memory:
    """In bytes; a container's limit counts where it is lower than the machine's memory."""

    total: int
    available: int


def machine() -> list[Finding]:
    """Findings that need no library."""
    return [_python(), _processor(), _memory(), _cache()]


def memory() -> Memory:
    """What processes here may use, and what is free of it."""
    total, available = _physical()
    limit, used = _number(_CGROUP_LIMIT), _number(_CGROUP_USED)
    if limit is not None and used is not None and limit < total:
        return Memory(limit, min(available, limit - used))
    return Memory(total, available)


def cpu_features() -> frozenset[str]:
    """As Linux names them; empty where it does not say."""
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


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


def _physical() -> tuple[int, int]:
    """Of the machine: total and available."""
    kilobytes = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in _lines(Path("/proc/meminfo")))
    }
    if {"MemTotal", "MemAvailable"} <= kilobytes.keys():
        return kilobytes["MemTotal"] * 1024, kilobytes["MemAvailable"] * 1024
    try:
        import psutil  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total
    found = psutil.virtual_memory()
    return int(found.total), int(found.available)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
