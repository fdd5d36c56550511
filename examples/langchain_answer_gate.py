"""An agent sends only answers that are likely right: auto mode with a certified threshold.

python examples/langchain_answer_gate.py
"""

import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AutoModeMiddleware
from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from ct_guard import CalibrateDecisionsConfig, QuestionAnswer, calibrate_decisions, load_estimator
from ct_guard_langchain import CalibratedDecisionModel

MINI = load_estimator("mini")


class Judging(BaseDecisionModel):
    """P(wrong) as mini sees it."""

    model: str = "mini"

    @property
    def _provider(self) -> str:
        return "example"

    def _classify(self, state: Any, questions: Any) -> ClassifierResponse:
        asked, answer = state["messages"][0].text, state["tool_call"]["args"]["answer"]
        (one,) = MINI.score([QuestionAnswer(question=asked, answer=answer)])
        answers = {name: {"type": "noul", "noul": 1 - (one.p or 0)} for name in questions}
        return ClassifierResponse.model_validate({"model": self.model, "answers": answers})


class Caller(FakeMessagesListChatModel):  # stands for a chat model that calls tools
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


@tool
def send(answer: str) -> str:
    """Send an answer to the customer."""
    return f"sent: {answer}"


def fate(classifier: BaseDecisionModel, rng: random.Random) -> tuple[Any, str]:
    """An agent sends a sum. Is it wrong, and was it sent?"""
    a, b, slip = rng.randrange(30, 100), rng.randrange(2, 10), rng.choice((0, 0, 0, 17, -23))
    call = {"name": "send", "args": {"answer": f"It is {a + b + slip}."}, "id": "1"}
    model = Caller(responses=[AIMessage("", tool_calls=[call]), AIMessage("Done.")])
    gate = AutoModeMiddleware(tools=[send], instructions="Is it wrong?", classifier=classifier)
    agent = create_agent(model, [send], middleware=[gate])
    state = agent.invoke({"messages": [HumanMessage(f"What is {a} plus {b}?")]})
    return "yes" if slip else "no", state["messages"][2].status


def main() -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        log, made = Path(folder, "log.jsonl"), Path(folder, "decisions.json")
        collecting = CalibratedDecisionModel(inner=Judging(), log=log)
        labels = [fate(collecting, rng)[0] for _ in range(240)]
        rows = zip(map(json.loads, log.read_text().splitlines()), labels, strict=True)
        log.write_text("\n".join(json.dumps(row | {"label": label}) for row, label in rows))
        calibrate_decisions(log, made, CalibrateDecisionsConfig(alpha=0.1))
        certified = CalibratedDecisionModel(inner=Judging(), calibration=made, certified_at=0.5)
    for (wrong, status), count in sorted(Counter(fate(certified, rng) for _ in range(40)).items()):
        print(f"wrong: {wrong}, {status}: {count}")


if __name__ == "__main__":
    main()
