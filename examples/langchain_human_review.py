"""The agent stops before a doubtful answer leaves; a person corrects it, and it goes on.

python examples/langchain_human_review.py
"""

from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ct_guard import load_estimator
from ct_guard.policies import Review
from ct_guard_langchain import ChatLocal, ConfidenceMiddleware


def person(action: dict[str, Any]) -> dict[str, Any]:
    """Plays the reviewer, who sees the draft and why it was stopped, and knows better."""
    print(f"  for review: {action['name']} {action['args']}")
    print(f"  because:    {action['description']}")
    print("  the person writes 999999999 instead")
    corrected = {"name": action["name"], "args": {"answer": "999999999"}}
    return {"type": "edit", "edited_action": corrected}


def main() -> None:
    mini = load_estimator("mini")
    agent = create_agent(
        ChatLocal(estimator=mini),
        middleware=[ConfidenceMiddleware(mini, Review(threshold=0.5))],
        checkpointer=InMemorySaver(),  # a real one may hold the question for days
    )
    for number, question in enumerate(("What is 7 plus 5?", "What is 731455268 plus 268544731?")):
        print(question)
        thread: RunnableConfig = {"configurable": {"thread_id": f"thread-{number}"}}
        state = agent.invoke({"messages": [HumanMessage(question)]}, thread)
        while waiting := state.get("__interrupt__"):
            print("  the agent waits")
            actions = waiting[0].value["action_requests"]
            decisions = [person(action) for action in actions]
            state = agent.invoke(Command(resume={"decisions": decisions}), thread)
        p = state["ct_guard"]["p"]
        print(
            f"  answer: {state['messages'][-1].text}  (P(correct) of mini's own answer: {p:.2f})\n"
        )


if __name__ == "__main__":
    main()
