"""What it costs to be guarded: an attempt is scored once and decided on once, a row of a file as
well."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel

import ct_guard
import ct_guard.estimators
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import Escalate, Retry
from ct_guard_langchain import ConfidenceGuard, ConfidenceMiddleware, GuardedChatModel


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Answers that estimators scored, and confidences that guards decided on."""
    counts: Counter[str] = Counter()
    score, decide = Estimator.score, Guard.decide_each

    def scoring(self: Estimator, items: Sequence[Any]) -> Any:
        counts["scored"] += len(items)
        return score(self, items)

    def deciding(self: Guard, confidences: Sequence[Any], *rest: Any) -> Any:
        counts["decided"] += len(confidences)
        return decide(self, confidences, *rest)

    monkeypatch.setattr(Estimator, "score", scoring)
    monkeypatch.setattr(Guard, "decide_each", deciding)
    return counts


def says(*lines: str) -> FakeListChatModel:
    return FakeListChatModel(responses=list(lines))


def guarded_model(estimator: Estimator, policy: Any, small: Any, models: Any) -> Any:
    return GuardedChatModel(inner=small, estimator=estimator, policy=policy, models=models), "?"


def guarded_agent(estimator: Estimator, policy: Any, small: Any, models: Any) -> Any:
    middleware = ConfidenceMiddleware(estimator, policy, models=models)
    return create_agent(small, middleware=[middleware]), {"messages": [("user", "?")]}


def guarded_chain(estimator: Estimator, policy: Any, small: Any, models: Any) -> Any:
    return ConfidenceGuard(estimator, policy).wrap(small, models=models), "?"


ESCALATE: Any = Escalate(threshold=0.7)


@pytest.mark.parametrize("guarded", [guarded_model, guarded_agent, guarded_chain])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch"])
@pytest.mark.parametrize(
    ("policy", "small", "models", "attempts"),
    [
        (0.7, ["sure"], [], 1),
        (0.7, ["unsure"], [], 1),
        ("annotate", ["unsure"], [], 1),
        (ESCALATE, ["sure"], [["unused"]], 1),
        (ESCALATE, ["unsure"], [["sure"]], 2),
        (ESCALATE, ["unsure"], [["perhaps"], ["sure"]], 3),
        (Retry(threshold=0.7, times=1), ["unsure", "sure"], [], 2),
    ],
    ids=["passes", "abstains", "annotates", "needs none", "one", "two", "retries"],
)
async def test_an_attempt(
    estimator: Estimator, counted: Counter[str], guarded: Any, way: str, policy: Any, small: Any,
    models: Any, attempts: int,
) -> None:  # fmt: skip
    runnable, given = guarded(estimator, policy, says(*small), [says(*each) for each in models])
    await asked(runnable, way, given)
    assert counted == {"scored": attempts, "decided": attempts}


@pytest.mark.parametrize("policy", [0.7, "annotate", {"kind": "escalate", "threshold": 0.7}])
def test_a_row_of_a_file(
    estimator: Estimator, counted: Counter[str], tmp_path: Path, policy: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source, output = tmp_path / "answers.jsonl", tmp_path / "scored.jsonl"
    said = ["sure", "unsure", "perhaps", "sure", ""] * 8
    rows = [{"question": f"{at}?", "answer": text} for at, text in enumerate(said)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(ct_guard.estimators, "load_estimator", lambda *_, **__: estimator)
    ct_guard.score(source, output, ct_guard.ScoreConfig(estimator="here", policy=policy))
    assert len(output.read_text().splitlines()) == len(rows)
    assert counted == {"scored": len(rows), "decided": len(rows)}


async def asked(runnable: Any, way: str, given: Any) -> None:
    match way:
        case "ainvoke":
            await runnable.ainvoke(given)
        case "astream":
            assert [part async for part in runnable.astream(given)]
        case "batch":
            runnable.batch([given])
        case _:
            assert (
                list(getattr(runnable, way)(given)) if way == "stream" else runnable.invoke(given)
            )
