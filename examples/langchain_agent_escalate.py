"""A small model answers; where it is not sure enough, an exact solver is asked instead.

python examples/langchain_agent_escalate.py
"""

import re
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard import load_estimator
from ct_guard.policies import Escalate
from ct_guard_langchain import ChatLocal, ConfidenceMiddleware

QUESTIONS = (
    "What is 3 plus 4?",
    "What is 7 plus 5?",
    "What is 4821 plus 3977?",
    "What is 90210 minus 31337?",
    "What is 731455268 plus 268544731?",
)


class Solver(BaseChatModel):
    """Sums and differences, exactly: stands for the strong, expensive model."""

    @property
    def _llm_type(self) -> str:
        return "exact-solver"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        found = re.search(r"(\d+) (plus|minus) (\d+)", messages[-1].text)
        if found is None:
            raise ValueError("the solver knows sums and differences only")
        a, b = int(found[1]), int(found[3])
        answer = AIMessage(str(a + b if found[2] == "plus" else a - b))
        return ChatResult(generations=[ChatGeneration(message=answer)])


def main() -> None:
    mini = load_estimator("mini")
    small = ChatLocal(estimator=mini)
    # The solver is never wrong: what it says counts, whatever mini thinks of it.
    policy = Escalate(threshold=0.5, otherwise="pass", keep="last")
    agent = create_agent(small, middleware=[ConfidenceMiddleware(mini, policy, models=[Solver()])])
    for question in QUESTIONS:
        alone = small.invoke(question)
        p = alone.response_metadata["ct_guard"]["p"]
        state = agent.invoke({"messages": [HumanMessage(question)]})
        who = "the solver" if state["ct_guard"]["model_index"] else "mini"
        final = state["messages"][-1].text
        print(f"{question:34} mini says {alone.text!r:16} p={p:.2f}  -> {who}: {final}")


if __name__ == "__main__":
    main()
