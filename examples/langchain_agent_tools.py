"""A dangerous tool runs only where the model's call of it is trusted; a harmless one always runs.

python examples/langchain_agent_tools.py
"""

import warnings
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from ct_guard.estimators import OutOfScopeWarning
from ct_guard.policies import ToolGate
from ct_guard_langchain import ConfidenceMiddleware, get_confidence

PUBLISHED: list[int] = []


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def publish(value: int) -> str:
    """Publish a result for everybody to see. Cannot be undone."""
    PUBLISHED.append(value)
    return "published"


class Scripted(FakeMessagesListChatModel):
    """Plays the agent's model: mini itself cannot call tools."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self


def call(name: str, **args: int) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{name}"}])


def main() -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)  # calls are: said at the end
    turns = [call("add", a=7, b=5), call("publish", value=13), AIMessage("It is 12.")]
    gate = ToolGate(thresholds={"publish": 0.9})
    agent = create_agent(
        Scripted(responses=list(turns)), [add, publish],
        middleware=[ConfidenceMiddleware("mini", gate)],
    )  # fmt: skip
    state = agent.invoke({"messages": [HumanMessage("What is 7 plus 5?")]})

    for message in state["messages"]:
        if isinstance(message, ToolMessage):
            what = "REFUSED " if message.status == "error" else "ran     "
            print(f"tool    {what} {message.name}: {message.text}")
        elif isinstance(message, AIMessage) and message.tool_calls:
            record = get_confidence(message)
            p = record["p"] if record else None
            for made in message.tool_calls:
                print(f"model   calls    {made['name']} {made['args']}  p={p:.3f}")
        else:
            print(f"{message.type:7} says     {message.text}")
    print(f"\nAdding is harmless and ran unasked. Publishing needs 0.9; published: {PUBLISHED}")
    print("mini was never taught to judge calls and trusts none; tune an estimator on yours.")


if __name__ == "__main__":
    main()
