"""One target in processes of its own: whatever an input does, the next one has its turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Found", "fuzz"]

WORKER = Path(__file__).with_name("worker.py")


@dataclass
class Found:
    """What a target did with its inputs."""

    name: str
    inputs: int
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often inputs were read, and how often each error of ours was raised."""
    broken: list[str] = field(default_factory=list)
    """What must not happen, with the seed that makes it happen again."""

    def __str__(self) -> str:
        told = ", ".join(f"{name} {count:,}" for name, count in self.outcomes.most_common())
        lines = [f"{self.name:<17} {self.inputs:>7,} inputs: {len(self.broken)} broken; {told}"]
        kinds = Counter(one.split(": ")[1] for one in self.broken)
        for kind, count in kinds.most_common():
            first = next(one for one in self.broken if one.split(": ")[1] == kind)
            lines.append(f"    {count} x {kind}, first {first}")
        return "\n".join(lines)


def fuzz(name: str, first: int, inputs: int) -> Found:
    """Feed the inputs of the seeds `first` to `first + inputs - 1` to a target."""
    found = Found(name, inputs)
    at, end = first, first + inputs
    while at < end:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.worker", name, str(at), str(end), folder],
                capture_output=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "OMP_NUM_THREADS": "1",
                    "TOKENIZERS_PARALLELISM": "false",
                    "HF_HUB_OFFLINE": "1",
                },
            )
        seed = at - 1
        for line in done.stdout.decode().splitlines():
            told = json.loads(line)
            if "seed" in told:
                seed = told["seed"]
            elif "broken" in told:
                found.broken.append(f"seed {seed}: {told['broken']}")
            else:
                found.outcomes.update(told["outcomes"])
        if done.returncode == 0:
            break
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if seed < at:
            raise RuntimeError(f"the fuzzing of {name} did not begin: {last[-1:]}")
        found.broken.append(f"seed {seed}: the process ended with {done.returncode} {_place(last)}")
        at = seed + 1
    return found


def _place(trace: list[str]) -> str:
    """The first lines of a watchdog's traceback that are ours."""
    ours = [line.strip() for line in trace if "ct_guard" in line]
    return " < ".join(ours[:2])[:200] or " ".join(trace[-1:])[:200]
