"""What is learnt from graded answers, decisions and runs, as files: read, and used once."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.agent_runs import drawn_runs

from .mutations import damaged_bytes, damaged_lines
from .target import Target

if TYPE_CHECKING:
    from ct_guard.records import QuestionAnswer

__all__ = ["LEARNT"]

KINDS = ("agreement", "stated", "logprobs", "model", "wording", "question", "column:score",
         "group:topic")  # fmt: skip


def _items(count: int) -> "list[QuestionAnswer]":
    """Three answers to each question, of which every third is wrong; some lack what others have."""
    from ct_guard.records import QuestionAnswer

    return [
        QuestionAnswer(
            question=f"Is {at // 3} even?",
            answer="yes" if at % 3 else "no, I think",
            model="m" if at % 2 else None,
            logprobs=(-0.1, -0.5 - at % 7) if at % 5 else None,
            columns={
                "samples": ["yes", "no"] if at % 5 else None,
                "stated": 0.5 + 0.1 * (at % 4),
                "score": at % 11 + 3 * bool(at % 3),
                "topic": "a" if at % 2 else "b",
            },
        )
        for at in range(count)
    ]


@cache
def _evidence() -> list[bytes]:
    """Every kind of evidence under every kind of layer."""
    from ct_guard.evidence import answers_in, fit_evidence
    from ct_guard.evidence.fit import features_of
    from ct_guard.evidence.layer import FITS

    answers = answers_in(_items(240), KINDS)
    correct = np.arange(240) % 3 > 0
    fitted = fit_evidence(answers, correct, KINDS, explain=False, force=True).fitted
    numbers, names = features_of(fitted, answers), fitted.layer.features
    layers = [FITS[kind](names, numbers, correct, seed=0) for kind in FITS]
    return [
        fitted.model_copy(update={"layer": layer}).model_dump_json().encode() for layer in layers
    ]


def _use_evidence(folder: Path, data: bytes) -> None:
    from ct_guard.errors import CtGuardError
    from ct_guard.estimators.methods.evidence import EvidenceMethod
    from ct_guard.estimators.reading import read_texts
    from ct_guard.evidence import load_evidence

    (folder / "evidence.json").write_bytes(data)
    method = EvidenceMethod(load_evidence(folder / "evidence.json"))
    for read in read_texts(method, _items(9)):
        if isinstance(read, CtGuardError):
            raise read
        assert np.isfinite(read.logit)


def _novelty() -> list[bytes]:
    from ct_guard.estimators.novelty import Novelty, novelty_file

    made = Novelty(
        mean=np.zeros(8, np.float32),
        axes=np.eye(8, dtype=np.float32)[:3],
        spreads=np.array([3.0, 2.0, 1.0]),
        rest=np.array([0.5]),
        distances=np.array([1.0, 2.0, 5.0]),
        weights=np.ones(3),
    )
    return [novelty_file(made)[1]]


def _use_novelty(folder: Path, data: bytes) -> None:
    from ct_guard.errors import MismatchError
    from ct_guard.estimators.novelty import load_novelty

    (folder / "novelty.safetensors").write_bytes(data)
    novelty = load_novelty(folder / "novelty.safetensors")
    size = len(novelty.mean)
    if size > 1000:
        raise MismatchError("states of another size")
    p = novelty.p(np.linspace(-3, 3, 2 * size).reshape(2, size))
    assert ((p > 0) & (p <= 1)).all()


NOUL = {"type": "noul", "instructions": "Is it safe?", "criteria": {"true": "yes", "false": None}}
CHOICE = {"type": "choice", "instructions": "Which?", "criteria": {"a": "one", "b": None}}
SCORE = {"type": "score", "instructions": "How well?", "criteria": ["bad", "good", "best"]}


def _decisions() -> list[bytes]:
    certificate = {"alpha": 0.1, "delta": 0.1, "threshold": 0.6, "n": 9, "answered": 4, "errors": 0}
    calibrators: list[dict[str, Any]] = [
        {"name": "safe", "question": NOUL, "slope": 1.0, "offsets": {"yes": 0.1, "no": 0.0}, "n": 9,
         "certificates": {"no": certificate}},
        {"name": "which", "question": CHOICE, "slope": 0.5, "offsets": {"a": 0, "b": -1}, "n": 9},
    ]  # fmt: skip
    return [json.dumps({"schema_version": 1, "by": "m", "calibrators": calibrators}).encode()]


def _use_decisions(folder: Path, data: bytes) -> None:
    from ct_guard.decisions.calibration import load_decisions

    (folder / "decisions.json").write_bytes(data)
    for one in load_decisions(folder / "decisions.json").calibrators:
        p = one.probabilities({label: float(at) for at, label in enumerate(one.offsets)})
        assert sum(p.values()) == 1 or np.isclose(sum(p.values()), 1)


def _graded_decisions() -> list[bytes]:
    rows = [
        {"state": {"messages": [{"role": "user", "content": "Go"}]}, "question": asked,
         "label": label, "scores": scores, "by": "m", "name": "n"}
        for asked, label, scores in (
            (NOUL, "yes", {"yes": 0.1, "no": 2}), (CHOICE, "a", {"a": 0.5, "b": -1}),
            (SCORE, 1, {"0": 0, "1": 1.5, "2": -3}),
        )
    ]  # fmt: skip
    return ["\n".join(map(json.dumps, rows)).encode() + b"\n"]


def _use_graded_decisions(folder: Path, data: bytes) -> None:
    from ct_guard.decisions.rows import read_decisions

    (folder / "decisions.jsonl").write_bytes(data)
    read_decisions(folder / "decisions.jsonl")


def _runs() -> list[bytes]:
    rows = [
        {"turns": [turn.model_dump(mode="json") for turn in run.turns], "correct": run.correct}
        for run in drawn_runs(4)
    ]
    return ["\n".join(map(json.dumps, rows)).encode() + b"\n"]


def _use_runs(folder: Path, data: bytes) -> None:
    from ct_guard.evaluation.agent_runs import read_runs

    (folder / "runs.jsonl").write_bytes(data)
    read_runs(folder / "runs.jsonl")


LEARNT: dict[str, Target] = {
    "evidence": Target(_evidence, _use_evidence),
    "novelty": Target(_novelty, _use_novelty, damaged_bytes),
    "decisions": Target(_decisions, _use_decisions),
    "graded-decisions": Target(_graded_decisions, _use_graded_decisions, damaged_lines),
    "runs": Target(_runs, _use_runs, damaged_lines),
}
"""By name."""
