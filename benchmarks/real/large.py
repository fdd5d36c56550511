"""100,000 rows with agreement, read from a file, scored and written, in a process of its own."""

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ct_guard import WeighConfig, weigh

from .data import title_of

__all__ = ["large"]

ROWS = 100_000
SCORE = "from ct_guard.cli import cli; import sys; cli(['score', *sys.argv[1:], '-q'])"


def large(files: Mapping[str, Path], evidence: Sequence[str]) -> None:
    """The rows of each file over and over, with questions of other names."""
    print("\n| file | rows | seconds | seconds of CPU | peak MB |\n" + "|---" * 5 + "|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in files.items():
            folder = Path(scratch) / title_of(name)
            folder.mkdir()
            print(_measured(title_of(name), path, evidence, folder), flush=True)


def _measured(named: str, path: Path, evidence: Sequence[str], folder: Path) -> str:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    kept = ("question", "answer", "model")
    with (folder / "graded.jsonl").open("w") as file:
        for row in rows:
            file.write(json.dumps({key: row[key] for key in (*kept, "correct")}) + "\n")
    weigh(folder / "graded.jsonl", folder / "mine", WeighConfig(evidence=evidence))
    with (folder / "new.jsonl").open("w") as file:
        for at in range(ROWS):
            row = {key: rows[at % len(rows)][key] for key in kept}
            row["question"] = f"[{at // len(rows)}] {row['question']}"
            file.write(json.dumps(row) + "\n")
    arguments = [str(folder / "new.jsonl"), "-e", str(folder / "mine")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-c", SCORE, *arguments, "-o", str(folder / "scored.jsonl")]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"| {named} | {ROWS:,} | {seconds:.1f} | {cpu:.1f} | {after.ru_maxrss / 1024:.0f} |"
