"""What this machine offers: what its processor multiplies fast, and how much memory is free."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "computes_in_bfloat16", "cpu_features", "memory"]

BFLOAT16_FEATURES = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Of processors that multiply bfloat16; the last is ARM's name."""

SMALL = 50_000_000
"""Parameters below which 16 bits gain little: most of the time goes into other things than
products."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True)
class Memory:
    """In bytes; a container's limit counts where it is lower than the machine's memory."""

    total: int
    available: int


def computes_in_bfloat16(parameters: int) -> bool:
    """Whether a model of so many parameters is faster in bfloat16 here: it is large enough, and the
    processor has instructions for it. Others take longer for 16 bits than for 32."""
    return parameters >= SMALL and not BFLOAT16_FEATURES.isdisjoint(cpu_features())


def cpu_features() -> frozenset[str]:
    """Of the processor, as Linux names them; empty where it does not say."""
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def memory() -> Memory:
    """What processes here may use, and what is free of it."""
    total, available = _physical()
    limit, used = _number(_CGROUP_LIMIT), _number(_CGROUP_USED)
    if limit is not None and used is not None and limit < total:
        return Memory(limit, min(available, limit - used))
    return Memory(total, available)


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
