"""A small model answers; where it is not sure enough, an exact solver is asked instead.

python examples/langchain_escalate.py
"""

import re
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard import load_estimator
from ct_guard_langchain import ChatLocal, GuardedChatModel, get_confidence

QUESTIONS = (
    "What is 3 plus 4?",
    "What is 9 minus 2?",
    "What is 17 plus 25?",
    "What is 4821 plus 3977?",
    "What is 90210 minus 31337?",
    "What is 731455 plus 268544?",
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
        answer = str(a + b if found[2] == "plus" else a - b)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


def main() -> None:
    mini = load_estimator("mini")
    model = GuardedChatModel(
        inner=ChatLocal(estimator=mini),
        estimator=mini,
        models=(Solver(),),
        policy={"kind": "escalate", "threshold": 0.7, "otherwise": "pass", "keep": "last"},
    )
    small = ChatLocal(estimator=mini)
    for question in QUESTIONS:
        first = small.invoke(question)
        final = model.invoke(question)
        p, record = get_confidence(first), get_confidence(final)
        if p is None or record is None:
            raise SystemExit("no confidence was attached")
        who = "the solver" if record["model_index"] else "mini"
        print(f"{question:30} mini says {first.text!r:28} p={p['p']:.2f}  -> {who}: {final.text}")


if __name__ == "__main__":
    main()
