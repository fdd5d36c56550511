"""Grading when a LangChain provider goes down: the run stops, and its failures are no result."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard.datasets import GRADERS, AskedAnswers
from ct_guard.datasets.answerers import LangChainAnswerer
from ct_guard.errors import BackendError
from ct_guard.workflows.runs import GradeSummary, grade_file
from ct_guard.workflows.runs import grade as engine
from ct_guard.workflows.runs.journal import journal_path


def questions(folder: Path, count: int) -> Path:
    path = folder / "in.jsonl"
    rows = [{"question": f"Which is number {n}?", "gold": "1"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def grade(source: Path, output: Path, answering: AskedAnswers, **more: Any) -> GradeSummary:
    return grade_file(source, output, answering, GRADERS["exact"](), **more)


class Provider(BaseChatModel):
    """Says "1" until it is down; `replies` counts down to that."""

    replies: int

    @property
    def _llm_type(self) -> str:
        return "provider"

    def _generate(self, messages: list[BaseMessage], *_: Any, **options: Any) -> ChatResult:
        self.replies -= 1
        if self.replies < 0:
            raise RuntimeError("HTTP 503")
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="1"))])


def through_langchain(replies: int, samples: int) -> AskedAnswers:
    provider = Provider(replies=replies)
    answerer = LangChainAnswerer("provider:1", lambda tokens, heat: provider, concurrency=1)
    return AskedAnswers(answerer, samples=samples)


@pytest.mark.parametrize("samples", [0, 11, 12, 20, 70])
def test_an_outage_of_a_langchain_provider_stops_however_many_samples(
    samples: int, tmp_path: Path
) -> None:
    """With many samples a chunk holds few questions, or one."""
    source, output = questions(tmp_path, 70), tmp_path / "out.jsonl"
    with pytest.raises(BackendError, match=r"HTTP 503.*in a row.*`resume` goes on"):
        grade(source, output, through_langchain(0, samples))
    assert not output.exists()
    assert len(read(journal_path(output))) == 1  # whose run it is, and no failures


def test_an_outage_over_several_chunks_costs_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of 1 and of 4 questions are answered before it, whatever the clock says."""
    monkeypatch.setattr(engine, "monotonic", lambda: 0.0)
    source, output = questions(tmp_path, 12), tmp_path / "out.jsonl"
    with pytest.raises(BackendError, match=r"\d+ questions in a row"):
        grade(source, output, through_langchain(5 * 21, 20))
    summary = grade(source, output, through_langchain(7 * 21, 20), resume=True)
    assert (summary.questions, summary.replayed, summary.failed) == (12, 5, 0)


def test_an_outage_in_a_short_last_chunk_stops_and_costs_no_question(tmp_path: Path) -> None:
    source, output = questions(tmp_path, 66), tmp_path / "out.jsonl"
    with pytest.raises(BackendError, match=r"\d+ questions in a row"):
        grade(source, output, through_langchain(61, 0))
    summary = grade(source, output, through_langchain(5, 0), resume=True)
    assert (summary.replayed, summary.failed) == (61, 0)
    assert [row["answer"] for row in read(output)] == ["1"] * 66
