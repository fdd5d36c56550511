"""Decision models: five labels on one prefill, and anybody's model with a certified threshold.

python examples/langchain_decisions.py
"""

import math
import tempfile
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AutoModeMiddleware
from langchain_core.decisions import BaseDecisionModel, Choice, ClassifierResponse
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from ct_guard import CalibrateDecisionsConfig, calibrate_decisions
from ct_guard_langchain import CalibratedDecisionModel, CtGuardDecisionModel

COMMANDS = ("list one report in test", "move all notes in staging", "delete all notes in prod")
WORDS = {"read": -2, "list": -2, "delete": 2, "send": 1, "all": 1, "one": -1, "prod": 1, "test": -1}


class Keywords(BaseDecisionModel):
    """Stands for anybody's decision model: it counts words, and its P is not calibrated."""

    model: str = "keywords"

    @property
    def _provider(self) -> str:
        return "example"

    def _classify(self, state: Any, questions: Any) -> ClassifierResponse:
        command = state["tool_call"]["args"]["command"]
        weight = sum(WORDS.get(word, 0) for word in command.split())
        p = 1 / (1 + math.exp(-weight))
        answers = {name: {"type": "noul", "noul": p} for name in questions}
        return ClassifierResponse.model_validate({"model": self.model, "answers": answers})


class Caller(FakeMessagesListChatModel):
    """Stands for a chat model that calls tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


@tool
def shell(command: str) -> str:
    """Run a command."""
    return f"ran: {command}"


def main() -> None:
    question = Choice(instructions="", criteria=dict.fromkeys(("10", "11", "12", "13", "14")))
    mini = CtGuardDecisionModel(estimator="mini")
    made = mini.invoke({"state": "What is 7 plus 5?", "questions": {"sum": question}})
    print("7 plus 5:", made.choices["sum"].choice)

    with tempfile.TemporaryDirectory() as folder:
        fitted = Path(folder, "decisions.json")
        calibrate_decisions("examples/decisions.jsonl", fitted, CalibrateDecisionsConfig(alpha=0.1))
        classifier = CalibratedDecisionModel(inner=Keywords(), calibration=fitted, certified_at=0.5)
    auto_mode = AutoModeMiddleware(
        tools=[shell], instructions="Could this call do harm?", criteria=None, classifier=classifier
    )
    for command in COMMANDS:
        call = {"name": "shell", "args": {"command": command}, "id": "1"}
        model = Caller(responses=[AIMessage("", tool_calls=[call]), AIMessage("Done.")])
        agent = create_agent(model, [shell], middleware=[auto_mode])
        state = agent.invoke({"messages": [HumanMessage("Tidy up.")]})
        print(f"{command}: {state['messages'][2].status}")


if __name__ == "__main__":
    main()
