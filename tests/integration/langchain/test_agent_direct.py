"""Tools with `return_direct`, whose results end a run: they are its answers, judged and withheld as
those of models."""

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ct_guard.errors import BackendError, PolicyError
from ct_guard.estimators import Estimator
from ct_guard.policies import Threshold, ToolGate
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceGuard, ConfidenceMiddleware, get_confidence
from tests.confidences import record_of
from tests.integration.langchain.scripted import calling, model
from tests.integration.langchain.surfaces import is_valid, run, state_of
from tests.integration.langchain.test_agent_withheld import ASK, MODES, SECRET, WAYS, Hears
from tests.known_confidence import by_word, estimator_on

THREAD: Any = {"configurable": {"thread_id": "1"}}
SURE = "sure thing"


def looking(result: str) -> Any:
    """A tool that returns this."""

    @tool(return_direct=True)
    def look(word: str) -> str:
        """Look something up."""
        return result

    return look


def asks_a_model(result: str) -> Any:
    """A tool that returns what another model says, which it streams."""
    inner = create_agent(model(result), name="inner")

    @tool(return_direct=True)
    def look(word: str, runtime: ToolRuntime[Any, Any]) -> str:
        """Look something up."""
        state: Any = None
        for mode, part in inner.stream(ASK, runtime.config, stream_mode=["messages", "values"]):
            state = part if mode == "values" else state
        return str(state["messages"][-1].text)

    return look


def updates(result: str) -> Any:
    """A tool that writes to the state by itself."""

    @tool(return_direct=True)
    def look(word: str, call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Look something up."""
        said = ToolMessage(result, tool_call_id=call_id, name="look", artifact=result)
        return Command(update={"messages": [said]})

    return look


def keeps(result: str) -> Any:
    """A tool whose message has more than its content."""

    @tool(return_direct=True, response_format="content_and_artifact")
    def look(word: str) -> tuple[str, str]:
        """Look something up."""
        return result, result

    return look


TOOLS = pytest.mark.parametrize("tools", [looking, asks_a_model, updates, keeps])


def agent(
    estimator: Estimator, look: Any, policy: Any = 0.7, said: Any = None, **options: Any
) -> Any:
    return create_agent(
        model(said or calling("look", word="sure")),
        [look],
        middleware=[ConfidenceMiddleware(estimator, policy, **options)],
        checkpointer=InMemorySaver(),
    )


# --- in an agent ----------------------------------------------------------------------------------


@WAYS
@TOOLS
@pytest.mark.parametrize(
    ("result", "policy", "left", "action"),
    [
        (SECRET, 0.7, "I don't know.", "abstain"),
        (SURE, 0.7, SURE, "pass"),
        (SECRET, "annotate", SECRET, "pass"),
    ],
)
async def test_a_result_that_ends_the_run_is_judged_as_its_answer(
    estimator: Estimator, way: str, tools: Any, result: str, policy: Any, left: str, action: str
) -> None:
    state = await run(way, agent(estimator, tools(result), policy), ASK, THREAD)
    assert [said.type for said in state["messages"]] == ["human", "ai", "tool"]
    last = state["messages"][-1]
    assert last.text == left
    assert (record_of(last)["action"], record_of(last)["turn"]) == (action, "answer")
    assert get_confidence(state) == record_of(last) == state["ct_guard"]
    assert is_valid(state["messages"])


@WAYS
@TOOLS
async def test_what_is_withheld_is_in_no_history(
    estimator: Estimator, way: str, tools: Any
) -> None:
    asked = agent(estimator, tools(SECRET))
    await run(way, asked, ASK, THREAD)
    assert "secret" not in repr(await state_of(asked, way, THREAD))
    assert "secret" not in repr(list(asked.get_state_history(THREAD)))


@TOOLS
@pytest.mark.parametrize("mode", MODES)
async def test_no_stream_mode_tells_of_a_result(
    estimator: Estimator, tools: Any, mode: Any
) -> None:
    for subgraphs in (False, True):
        options: Any = {"stream_mode": mode, "subgraphs": subgraphs}
        parts = list(agent(estimator, tools(SECRET)).stream(ASK, THREAD, **options))
        asked = agent(estimator, tools(SECRET))
        parts += [part async for part in asked.astream(ASK, THREAD, **options)]
        assert parts
        assert "secret" not in repr(parts)


@TOOLS
@pytest.mark.parametrize(("result", "left"), [(SECRET, "I don't know."), (SURE, SURE)])
async def test_events_tell_of_the_result_that_is_delivered(
    estimator: Estimator, tools: Any, result: str, left: str
) -> None:
    asked = agent(estimator, tools(result))
    events = [part async for part in asked.astream_events(ASK, THREAD, version="v2")]
    assert "secret" not in repr([event["data"] for event in events])
    (ended,) = [event for event in events if event["event"] == "on_tool_end"]
    output = ended["data"]["output"]
    said = output if isinstance(output, ToolMessage) else output.update["messages"][0]
    assert (ended["name"], said.text) == ("look", left)
    assert ended["data"]["input"]["word"] == "sure"


@WAYS
@TOOLS
async def test_no_callback_around_or_of_the_tool_hears_of_it(
    estimator: Estimator, way: str, tools: Any
) -> None:
    around, own = Hears(), Hears()
    look = tools(SECRET).model_copy(update={"callbacks": [own]})
    await run(way, agent(estimator, look), ASK, {**THREAD, "callbacks": [around]})
    assert "secret" not in around.heard
    assert "secret" not in own.heard
    assert [each.name for each in own.traced_runs] == ["look"]


@WAYS
async def test_of_several_results_each_is_judged(estimator: Estimator, way: str) -> None:
    @tool(return_direct=True)
    def look(word: str) -> str:
        """Look something up."""
        return word

    calls = [{"name": "look", "args": {"word": w}, "id": w} for w in (SURE, "perhaps")]
    asked = agent(
        estimator, look, ToolGate(answers=Threshold(threshold=0.7), default=0.1),
        AIMessage("", tool_calls=calls),
    )  # fmt: skip
    state = await run(way, asked, ASK, THREAD)
    assert [said.text for said in state["messages"][2:]] == [SURE, "I don't know."]


@WAYS
@TOOLS
@pytest.mark.parametrize(("outer", "inner"), [(0.7, "annotate"), ("annotate", 0.7), (0.7, 0.7)])
async def test_of_two_guards_either_may_withhold(
    estimator: Estimator, way: str, tools: Any, outer: Any, inner: Any
) -> None:
    around = Hears()
    asked = create_agent(
        model(calling("look", word="sure")),
        [tools(SECRET)],
        middleware=[
            ConfidenceMiddleware(estimator, outer, name="outer"),
            ConfidenceMiddleware(estimator, inner, name="inner"),
        ],
    )
    state = await run(way, asked, ASK, {"callbacks": [around]})
    assert state["messages"][-1].text == "I don't know."
    assert "secret" not in around.heard
    assert "secret" not in repr(state)


@WAYS
async def test_a_result_that_the_model_reads_is_no_answer(estimator: Estimator, way: str) -> None:
    @tool
    def search(word: str) -> str:
        """Search."""
        return "unsure"

    calls = [
        {"name": "look", "args": {"word": "sure"}, "id": "1"},
        {"name": "search", "args": {"word": "sure"}, "id": "2"},
    ]
    asked = create_agent(
        model(AIMessage("", tool_calls=calls), "sure"),
        [looking("unsure"), search],
        middleware=[ConfidenceMiddleware(estimator, 0.7)],
    )
    state = await run(way, asked, ASK)
    assert [said.text for said in state["messages"][2:]] == ["unsure", "unsure", "sure"]
    assert get_confidence(state["messages"][2]) is None


async def test_the_question_is_what_was_asked() -> None:
    heard: list[tuple[str, str]] = []

    class Listening(FakeBackend):
        def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            decode = self.encoder.decode
            heard.extend((decode(item.context), decode(item.answer)) for item in items)
            return super().score(items, *args, **kwargs)

    listening = estimator_on(Listening(logit=by_word))
    await run("invoke", agent(listening, looking(SURE), "annotate"), ASK, THREAD)
    assert heard == [("Where is it?", 'look({"word": "sure"})'), ("Where is it?", SURE)]
    heard.clear()
    bare = create_agent(model(calling("look", word="sure")), [looking(SURE)])
    await run("invoke", ConfidenceGuard(listening, "annotate").wrap(bare), ASK)
    assert heard == [("Where is it?", SURE)]


@WAYS
async def test_a_result_that_cannot_be_scored_goes_by_on_error(broken: Estimator, way: str) -> None:
    for on_error, left in (("pass", SURE), ("block", "I don't know.")):
        options: Any = {"on_error": on_error, "on_missing": "allow"}
        asked = agent(broken, looking(SURE), "annotate", **options)
        if on_error == "block":
            asked = agent(broken, looking(SURE), ToolGate(on_missing="allow", default=0.1))
        state = await run(way, asked, ASK, THREAD)
        assert state["messages"][-1].text == left


@WAYS
async def test_where_a_person_would_be_asked_the_tool_is_refused_by_name(
    estimator: Estimator, way: str
) -> None:
    policy = {"kind": "threshold", "threshold": 0.7, "below": "human"}
    with pytest.raises(PolicyError, match=r"'look', which is one with return_direct=True: let"):
        await run(way, agent(estimator, looking(SECRET), policy), ASK, THREAD)


@WAYS
async def test_the_gate_still_guards_the_call(estimator: Estimator, way: str) -> None:
    ran: list[str] = []

    @tool(return_direct=True)
    def look(word: str) -> str:
        """Look something up."""
        ran.append(word)
        return SURE

    @wrap_tool_call
    def swaps(request: Any, handler: Any) -> Any:
        changed = {**request.tool_call, "args": {"word": "another"}}
        return handler(request.override(tool_call=changed))

    gate = ToolGate(thresholds={"look": 0.9}, answers=Threshold(threshold=0.7))
    state = await run(
        way, agent(estimator, look, gate, calling("look", word="unsure")), ASK, THREAD
    )
    assert "was not run" in state["messages"][-1].text
    if way == "invoke":
        inside = create_agent(
            model(calling("look", word="sure")),
            [look],
            middleware=[ConfidenceMiddleware(estimator, gate), swaps],
        )
        state = await run(way, inside, ASK)
        assert "was not run" in state["messages"][-1].text
    assert ran == []


@WAYS
@pytest.mark.parametrize(("result", "told"), [(SECRET, ""), (SURE, SURE)])
async def test_of_models_in_the_tool_it_is_told_what_is_delivered(
    estimator: Estimator, way: str, result: str, told: str
) -> None:
    hears = Hears()
    config = {**THREAD, "callbacks": [hears]}
    await run(way, agent(estimator, asks_a_model(result)), ASK, config)
    (tools,) = [each for each in hears.traced_runs[0].child_runs if each.name == "tools"]
    assert [each.name for each in tools.child_runs] == ["Scripted", "look"]
    ended: Any = tools.child_runs[0].outputs
    assert ended["generations"][0][0]["text"] == told


@pytest.mark.parametrize("mode", ["messages", "updates"])
def test_where_nothing_is_held_a_result_streams_at_once_and_is_judged(
    estimator: Estimator, mode: Any
) -> None:
    asked = agent(estimator, asks_a_model(SECRET), hold_stream=False)
    parts = list(asked.stream(ASK, THREAD, stream_mode=mode, subgraphs=True))
    assert "secret" in repr(parts) if mode == "messages" else "I don't know." in repr(parts)
    assert asked.get_state(THREAD).values["messages"][-1].text == "I don't know."


@WAYS
async def test_the_gate_of_a_chain_around_still_stops_tools_inside(
    estimator: Estimator, way: str
) -> None:
    ran: list[str] = []

    @tool
    def delete(path: str) -> str:
        """Delete a file."""
        ran.append(path)
        return SURE

    @tool(return_direct=True)
    def look(word: str) -> str:
        """Look something up."""
        return str(delete.invoke({"path": word}))

    gate = ToolGate(thresholds={"delete": 0.9})
    guarded = ConfidenceGuard(estimator, gate).wrap(agent(estimator, look))
    with pytest.raises(PolicyError, match="cannot keep 'delete' from running"):
        await run(way, guarded, ASK, THREAD)
    assert ran == []


# --- around an agent ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@TOOLS
@pytest.mark.parametrize(
    ("result", "policy", "left"),
    [(SECRET, 0.7, "I don't know."), (SURE, 0.7, SURE), (SECRET, "annotate", SECRET)],
)
async def test_around_an_agent_its_result_is_judged_and_withheld(
    estimator: Estimator, way: str, tools: Any, result: str, policy: Any, left: str
) -> None:
    bare = create_agent(model(calling("look", word="sure")), [tools(result)])
    guarded, hears = ConfidenceGuard(estimator, policy).wrap(bare), Hears()
    config: Any = {"callbacks": [hears]}
    parts: list[Any]
    match way:
        case "stream":
            parts = list(guarded.stream(ASK, config))
        case "astream":
            parts = [part async for part in guarded.astream(ASK, config)]
        case _:
            parts = [await run(way, guarded, ASK, config)]
    record = parts[-1]["confidence"]
    assert record["p"] == pytest.approx(0.953 if result == SURE else 0.047, abs=1e-3)
    assert left in repr(parts)
    assert ("secret" in repr(parts)) == ("secret" in left)
    assert "secret" not in hears.heard or policy == "annotate"
    if way in ("invoke", "ainvoke"):
        assert get_confidence(parts[0]["output"]) == record
        assert is_valid(parts[0]["output"]["messages"])


async def test_of_several_streamed_results_all_are_judged(estimator: Estimator) -> None:
    @tool(return_direct=True)
    def look(word: str) -> str:
        """Look something up."""
        return word

    calls = [{"name": "look", "args": {"word": w}, "id": w} for w in ("unsure", "perhaps")]
    bare = create_agent(model(AIMessage("", tool_calls=calls)), [look])
    guarded = ConfidenceGuard(estimator, "annotate").wrap(bare)
    assert list(guarded.stream(ASK))[-1]["confidence"]["p"] == pytest.approx(0.047, abs=1e-3)


def test_results_alone_are_judged_as_an_answer(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator, 0.7)
    for text, left in ((SECRET, ["I don't know."]), (SURE, [SURE])):
        results = [ToolMessage(text, tool_call_id="1", artifact=text)]
        made = guard.invoke({"input": "?", "output": results})
        assert [each.text for each in made["output"]] == left
        made = guard.invoke({"input": "?", "output": results[0]})
        assert ("secret" in repr(made)) is False
        assert made["output"].text == left[0]


def test_what_an_agent_has_withheld_is_not_judged_anew(estimator: Estimator) -> None:
    guarded = ConfidenceGuard(estimator, 0.01).wrap(agent(estimator, looking(SECRET)))
    made = guarded.invoke({"messages": [HumanMessage("?")]}, THREAD)
    assert made["confidence"]["action"] == "abstain"
    assert "secret" not in repr(made)


@WAYS
async def test_an_error_of_the_guards_own_is_raised(broken: Estimator, way: str) -> None:
    asked = agent(broken, looking(SURE), "annotate", on_error="raise", on_missing="allow")
    with pytest.raises(BackendError):
        await run(way, asked, ASK, THREAD)
