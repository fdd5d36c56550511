"""A graph of one's own: confidence is a node, and its decision chooses the edge.

python examples/langgraph_router.py
"""

import re
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from ct_guard import Guard, load_estimator
from ct_guard.policies import Escalate
from ct_guard_langchain import ChatLocal, confidence_node, get_confidence, route_by_confidence

QUESTIONS = ("What is 7 plus 5?", "What is 4821 plus 3977?", "What is 731455268 plus 268544731?")


def solve(state: MessagesState) -> dict[str, Any]:
    """Stands for whatever is slow, dear and right."""
    asked = next(each for each in state["messages"] if isinstance(each, HumanMessage))
    numbers = [int(number) for number in re.findall(r"\d+", asked.text)]
    return {"messages": [AIMessage(str(sum(numbers)), name="solver")]}


def main() -> None:
    mini = load_estimator("mini")
    small = ChatLocal(estimator=mini)

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [small.invoke(state["messages"])]}

    guard = Guard(mini, Escalate(threshold=0.5))
    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_node("confidence", confidence_node(guard))
    graph.add_node("solve", solve)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "confidence")
    graph.add_conditional_edges(
        "confidence", route_by_confidence, {"pass": END, "escalate": "solve"}
    )
    graph.add_edge("solve", END)
    app = graph.compile()

    for question in QUESTIONS:
        print(question)
        for update in app.stream({"messages": [HumanMessage(question)]}, stream_mode="updates"):
            for node, change in update.items():
                message = change["messages"][-1]
                record = get_confidence(message)
                if node == "confidence" and record is not None:
                    print(f"  confidence  p={record['p']:.2f}, so: {record['action']}")
                else:
                    print(f"  {node:11} {message.text}")
        print()


if __name__ == "__main__":
    main()
