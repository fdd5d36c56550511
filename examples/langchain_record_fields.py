"""An extraction whose fields are judged one by one: what is doubtful is left for a person.

`mini` was not tuned on fields: it doubts all of them, and shows where their P goes.

python examples/langchain_record_fields.py
"""

import json
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel

from ct_guard import load_estimator
from ct_guard_langchain import GuardedChatModel, get_confidence

ASKED = (
    "Where was Captain Sonja Falk born? What is the job of Captain Sonja Falk? Which food does"
    " Captain Sonja Falk like?"
)
FILLED_IN = {"town": "Kelso", "job": "sailor", "food": "figs", "instrument": None}


class Person(BaseModel):
    """A form about somebody."""

    town: str | None
    job: str | None
    food: str | None
    instrument: str | None


class Extractor(BaseChatModel):
    """Stands for your provider's model: it fills in the form, with one mistake."""

    @property
    def _llm_type(self) -> str:
        return "extractor"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind()

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        call = {"name": "Person", "args": FILLED_IN, "id": "1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def main() -> None:
    policy = {
        "kind": "fields",
        "threshold": 0.5,
        "below": "review",
        "rules": {"food": {"threshold": 0.9, "below": "drop"}},
    }
    mini = load_estimator("mini")
    model = GuardedChatModel(inner=Extractor(), estimator=mini, policy=policy)
    made = model.with_structured_output(Person, include_raw=True).invoke(ASKED)

    fields = record.fields if (record := get_confidence(made["raw"])) else {}
    print(f"The form: {made['parsed'].model_dump_json()}\n")
    for path, field in fields.items():
        print(f"  {path}: p={field['p']:.2f} ({field['kind']}) {field['action']}")
    waiting = [path for path, field in fields.items() if field["action"] == "review"]
    print(f"\nFor a person to look at: {json.dumps(waiting)}")


if __name__ == "__main__":
    main()
