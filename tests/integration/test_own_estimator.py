"""The story of an estimator of one's own, told at small scale with the real verbs."""

import re
from pathlib import Path

from ct_guard.store import load_manifest, load_questions
from tests.scripts import ROOT, printed_by


def test_from_questions_to_a_guarded_chat_model(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    said = printed_by(
        "examples/own_estimator.py", "--questions", "90", "--steps", "6", "--folder", str(folder)
    )
    for name in (
        "graded.jsonl", "tuning.jsonl", "tuned", "s-calibration.jsonl", "s-certification.jsonl",
        "s-test.jsonl", "mine", "scored.jsonl",
    ):  # fmt: skip
        assert (folder / name).exists(), name
    assert re.search(r"AUROC: [01]\.\d+", said)
    told = re.findall(r"\? .+ P\(correct\) = [01]\.\d\d, \w+", said)
    assert len(told) == 2
    mine = folder / "mine"
    manifest = load_manifest(mine)
    assert manifest.method == "hybrid"
    assert manifest.base.id == "mini"
    assert manifest.calibrators.keys() == {"*", "mini"} or manifest.calibrators.keys() == {"*"}
    assert len(manifest.certificates) == 1
    assert manifest.questions is not None
    splits = load_questions(mine / manifest.questions)
    assert {"calibration", "certification"} <= splits.keys()
    assert not splits["calibration"] & splits["certification"]


def test_the_story_is_short() -> None:
    assert len((ROOT / "examples/own_estimator.py").read_text().splitlines()) < 100
