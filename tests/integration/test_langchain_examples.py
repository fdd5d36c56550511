"""Each LangChain example tells its story, offline, on the embedded model."""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.scripts import ROOT, printed_by

STORIES = sorted(path.name for path in (ROOT / "examples").glob("lang*.py"))


@cache
def story(name: str) -> tuple[str, ...]:
    return tuple(printed_by(f"examples/{name}").splitlines())


def probability(line: str) -> float:
    found = re.search(r"p=(\d\.\d+)", line)
    assert found, line
    return float(found[1])


def summed(line: str) -> int:
    """The sum or difference that a line asks about, done exactly."""
    found = re.search(r"(\d+) (plus|minus|\+) (\d+)", line)
    assert found, line
    a, b = int(found[1]), int(found[3])
    return a - b if found[2] == "minus" else a + b


def test_every_story_is_told_here_and_short() -> None:
    told = {name for name in STORIES if name in Path(__file__).read_text()}
    assert told == set(STORIES)
    assert len(STORIES) == 10
    for name in STORIES:
        assert len((ROOT / "examples" / name).read_text().splitlines()) < 80, name


def test_a_wrapped_chain_keeps_what_it_is_sure_of() -> None:
    lines = story("langchain_wrap.py")
    guarded = [line for line in lines if re.match(r"  \d+ \+ \d+: p=", line)]
    assert len(guarded) == 4
    for line in guarded:
        assert ("I don't know." in line) == (probability(line) < 0.5)
    assert "I don't know." not in guarded[1]
    assert str(summed(guarded[1])) in guarded[1].split("p=")[1]
    assert "I don't know. (it would have said" in guarded[-1]
    assert any("threshold of 1.0" in line and line.endswith("I don't know.") for line in lines)
    right, wrong = [probability(line) for line in lines[-2:]]
    assert right > wrong


def test_an_agent_escalates_what_it_is_not_sure_of_and_ends_with_every_answer_right() -> None:
    lines = story("langchain_agent_escalate.py")
    who = [("the solver" if "-> the solver:" in line else "mini") for line in lines]
    assert who[1] == "mini"
    assert who[-1] == "the solver"
    for line, by in zip(lines, who, strict=True):
        assert (by == "the solver") == (probability(line) < 0.5)
        if by == "the solver":
            assert line.endswith(f"the solver: {summed(line)}")


def test_a_dangerous_tool_does_not_run_and_a_harmless_one_does() -> None:
    lines = story("langchain_agent_tools.py")
    assert any(re.match(r"tool +ran +add: 12", line) for line in lines)
    assert any(re.match(r"tool +REFUSED +publish: publish was not run", line) for line in lines)
    assert any(line.endswith("published: []") for line in lines)


def test_a_run_that_is_unlikely_to_succeed_is_stopped_and_another_one_is_not() -> None:
    first, *runs = story("langchain_agent_runs.py")
    assert re.match(r"P\(an agent's run succeeds\), from 60 runs of which \d+ did", first)
    stopped = ["I don't know." in line for line in runs]
    assert len(set(stopped)) == 2
    for line, ended in zip(runs, stopped, strict=True):
        found = re.search(r"succeeds\)=(\d\.\d+)", line)
        assert found
        assert (float(found[1]) < 0.5) == ended
    misread = [line.endswith("(misread)") for line in runs]
    right = [was == ended for was, ended in zip(misread, stopped, strict=True)]
    assert sum(right) > len(runs) / 2


def test_a_person_corrects_the_doubtful_answer_and_is_not_asked_about_the_other() -> None:
    sure, doubtful = "\n".join(story("langchain_human_review.py")).split("\n\n")[:2]
    assert "the agent waits" not in sure
    assert "answer: " in sure
    assert "for review: final_answer" in doubtful
    assert "answer: 999999999 " in doubtful


def test_a_batch_run_is_watched_and_reported() -> None:
    lines = story("langchain_callbacks.py")
    assert re.match(r"The chain answered 7 questions, [1-6] of them correctly", lines[0])
    assert any(re.match(r"answers +7, tool calls 0", line) for line in lines)
    assert any(re.match(r"actions +.*abstain \d", line) for line in lines)
    head = next(at for at, line in enumerate(lines) if line.startswith("    p  action"))
    lowest = [float(line.split()[0]) for line in lines[head + 1 : head + 4]]
    assert lowest == sorted(lowest)
    assert lines[-2].endswith("pass")
    assert lines[-1].endswith("abstain")


@pytest.mark.parametrize(("at", "decision"), [(0, "pass"), (-1, "escalate")])
def test_a_graph_takes_the_edge_that_the_confidence_chooses(at: int, decision: str) -> None:
    parts = "\n".join(story("langgraph_router.py")).strip().split("\n\n")
    assert len(parts) == 3
    lines = parts[at].splitlines()
    assert lines[2].endswith(f"so: {decision}")
    assert (probability(lines[2]) < 0.5) == (decision == "escalate")
    if decision == "escalate":
        assert lines[3].split() == ["solve", str(summed(lines[0]))]
    else:
        assert len(lines) == 3


@pytest.mark.skipif(
    find_spec("langchain_core.decisions") is None, reason="needs langchain-core 1.8 or newer"
)
def test_a_certified_threshold_acts_inside_auto_mode() -> None:
    assert story("langchain_decisions.py") == (
        "7 plus 5: 12",
        "list one report in test: success",
        "move all notes in staging: error",
        "delete all notes in prod: error",
    )


@pytest.mark.skipif(
    find_spec("langchain_core.decisions") is None, reason="needs langchain-core 1.8 or newer"
)
def test_a_language_model_judges_inside_auto_mode() -> None:
    told = [
        re.fullmatch(r"wrong: (yes|no), (success|error): (\d+)", line)
        for line in story("langchain_answer_gate.py")
    ]
    fates = {(found[1], found[2]): int(found[3]) for found in told if found}
    assert sum(fates.values()) == 40
    sent, wrong = fates["no", "success"], fates.get(("yes", "success"), 0)
    assert wrong <= 0.1 * (sent + wrong)
    assert sent > fates.get(("no", "error"), 0)


def test_each_field_of_a_form_has_a_fate_of_its_own() -> None:
    form, _, *fields, _, waiting = story("langchain_record_fields.py")
    told = [re.fullmatch(r"  (\w+): p=(\d\.\d+) \((\w+)\) (\w+)", line) for line in fields]
    fates = {found[1]: (float(found[2]), found[3], found[4]) for found in told if found}
    assert set(fates) == {"food", "instrument", "job", "town"}
    assert fates["instrument"][1] == "empty"
    for name, (p, _, action) in fates.items():
        least, below = (0.9, "drop") if name == "food" else (0.5, "review")
        assert action == ("pass" if p >= least else below)
    assert ('"food":null' in form) == (fates["food"][2] == "drop")
    reviewed = [name for name, (_, _, action) in fates.items() if action == "review"]
    assert waiting == f"For a person to look at: {json.dumps(reviewed)}"
