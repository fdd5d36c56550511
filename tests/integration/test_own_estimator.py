"""The story of an estimator of one's own, told at small scale with the real verbs."""

import os
import re
import subprocess
import sys
from pathlib import Path

from ct_guard.store import load_manifest, load_questions

ROOT = Path(__file__).parents[2]


def test_from_questions_to_a_guarded_chat_model(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "examples/own_estimator.py",
            "--questions", "90", "--steps", "6", "--folder", str(tmp_path / "mine"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in (
        "graded.jsonl", "tuning.jsonl", "tuned", "s-calibration.jsonl", "s-certification.jsonl",
        "s-test.jsonl", "mine", "scored.jsonl",
    ):  # fmt: skip
        assert (tmp_path / "mine" / name).exists(), name
    assert re.search(r"AUROC: [01]\.\d+", done.stdout)
    told = re.findall(r"\? .+ P\(correct\) = [01]\.\d\d, \w+", done.stdout)
    assert len(told) == 2
    folder = tmp_path / "mine" / "mine"
    manifest = load_manifest(folder)
    assert manifest.method == "hybrid"
    assert manifest.base.id == "mini"
    assert manifest.calibrators.keys() == {"*", "mini"} or manifest.calibrators.keys() == {"*"}
    assert len(manifest.certificates) == 1
    assert manifest.questions is not None
    splits = load_questions(folder / manifest.questions)
    assert {"calibration", "certification"} <= splits.keys()
    assert not splits["calibration"] & splits["certification"]


def test_the_story_is_short() -> None:
    assert len((ROOT / "examples/own_estimator.py").read_text().splitlines()) < 100
