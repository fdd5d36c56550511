"""An agent's run is stopped where its turns and calls, taken together, are unlikely to succeed.

python examples/langchain_agent_runs.py
"""

import json
import random
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from ct_guard import CalibrateRunsConfig, Estimator, calibrate_runs, load_estimator
from ct_guard.estimators import OutOfScopeWarning
from ct_guard_langchain import ConfidenceMiddleware


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Careless(FakeMessagesListChatModel):
    """Plays the agent's model: it adds with the tool, and now and then misreads a number."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self


def run(estimator: Estimator, policy: Any, dice: random.Random) -> tuple[dict[str, Any], str, bool]:
    """One run: the agent's state at its end, what it was asked, and whether it succeeded."""
    a, b = dice.randint(1, 9), dice.randint(1, 9)
    read = b if dice.random() < 0.6 else dice.choice([n for n in range(1, 10) if n != b])
    call = {"name": "add", "args": {"a": a, "b": read}, "id": "call"}
    model = Careless(responses=[AIMessage("", tool_calls=[call]), AIMessage(str(a + read))])
    agent = create_agent(model, [add], middleware=[ConfidenceMiddleware(estimator, policy)])
    question = f"What is {a} plus {b}?"
    return agent.invoke({"messages": [HumanMessage(question)]}), question, read == b


def main() -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)  # mini was never taught to judge calls
    dice, folder = random.Random(0), Path(tempfile.mkdtemp())

    mini, runs = load_estimator("mini"), folder / "runs.jsonl"
    with runs.open("w") as file:
        for _ in range(60):
            state, _, right = run(mini, "annotate", dice)
            file.write(json.dumps({**state["ct_guard_run"], "correct": right}) + "\n")

    made = calibrate_runs(runs, folder / "mini-runs", CalibrateRunsConfig(estimator="mini"))
    print(made.fitted.layer.summary)

    knowing = load_estimator(folder / "mini-runs")
    policy = {"kind": "run", "threshold": 0.5, "below": "stop", "policy": "annotate"}
    for _ in range(8):
        state, question, right = run(knowing, policy, dice)
        p, said = state["ct_guard_run"]["p"], state["messages"][-1].text
        print(
            f"{question:20} P(the run succeeds)={p:.2f}  {said:14} {'' if right else '(misread)'}"
        )


if __name__ == "__main__":
    main()
