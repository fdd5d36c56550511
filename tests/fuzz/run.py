"""Targets in processes of their own: whatever an input does, the next one has its turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
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


def fuzz(inputs: Mapping[str, int], first: int = 0) -> dict[str, Found]:
    """Feed each target so many inputs, of the seeds from `first` on. A process reads all of them;
    where an input ends it, another goes on behind that input."""
    found = {name: Found(name, count) for name, count in inputs.items()}
    left = {name: range(first, first + count) for name, count in inputs.items()}
    while left:
        done = _work(left)
        last: int | None = None
        for line in done.stdout.decode().splitlines():
            told, name = json.loads(line), next(iter(left))
            if "seed" in told:
                last = told["seed"]
            elif "broken" in told:
                found[name].broken.append(f"seed {last}: {told['broken']}")
            else:
                found[name].outcomes.update(told["outcomes"])
                del left[name]
                last = None
        if done.returncode == 0:
            break
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        name = next(iter(left))
        if last is None:
            raise RuntimeError(f"the fuzzing of {name} did not begin: {said[-1:]}")
        how = f"the process ended with {done.returncode} {_place(said)}"
        found[name].broken.append(f"seed {last}: {how}")
        left[name] = range(last + 1, left[name].stop)
    return found


def _work(left: Mapping[str, range]) -> "subprocess.CompletedProcess[bytes]":
    asked = [word for name, at in left.items() for word in (name, str(at.start), str(at.stop))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-m", "tests.fuzz.worker", folder, *asked],
            capture_output=True,
            env=environment,
        )


def _place(trace: list[str]) -> str:
    """The first lines of a watchdog's traceback that are ours."""
    ours = [line.strip() for line in trace if "ct_guard" in line]
    return " < ".join(ours[:2])[:200] or " ".join(trace[-1:])[:200]
