"""What an agent withholds is heard by nobody: no stream, event, callback, tracer or record,
wherever the guard stands among the middlewares."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    PIIMiddleware,
    dynamic_prompt,
    wrap_model_call,
)
from langchain.agents.middleware.types import ModelResponse
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import StreamMode

from ct_guard.errors import BackendError, PolicyError
from ct_guard.estimators import Estimator
from ct_guard.policies import OnError, ToolGate
from ct_guard.records import CalibratorState
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware, get_confidence
from tests.integration.langchain.scripted import Scripted, calling, model
from tests.integration.langchain.surfaces import SURFACES, run
from tests.known_confidence import by_word, estimator_on

ASK: Any = {"messages": [("user", "Where is it?")]}
SECRET = "unsure secret"
WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke"])
MODES: list[StreamMode] = [
    "updates",
    "values",
    "messages",
    "custom",
    "debug",
    "tasks",
    "checkpoints",
]


class Hears(RunCollectorCallbackHandler):
    """A tracer that also keeps the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> Any:
        self.tokens.append(token)
        return super().on_llm_new_token(token, **kwargs)

    @property
    def heard(self) -> str:
        def outputs(run: Any) -> list[Any]:
            inside = [each for child in run.child_runs for each in outputs(child)]
            return [run.outputs, run.events, *inside]

        return repr([self.tokens, *(outputs(run) for run in self.traced_runs)])


def secretive(estimator: Any, *before: Any, policy: Any = 0.7, said: Any = SECRET) -> Any:
    asked = [model(said), model("sure, the answer")] if policy == "escalate" else [model(said)]
    guard = ConfidenceMiddleware(
        estimator, 0.7 if policy == "escalate" else policy, models=asked[1:]
    )
    return create_agent(
        asked[0], middleware=[*before, guard], checkpointer=InMemorySaver(), name="told"
    )


@pytest.mark.parametrize("policy", [0.7, "escalate"])
@pytest.mark.parametrize("mode", MODES)
async def test_no_stream_mode_tells(
    estimator: Estimator, mode: StreamMode, policy: float | str
) -> None:
    thread: Any = {"configurable": {"thread_id": "1"}}
    parts = list(secretive(estimator, policy=policy).stream(ASK, thread, stream_mode=mode))
    agent = secretive(estimator, policy=policy)
    parts += [part async for part in agent.astream(ASK, thread, stream_mode=mode)]
    assert parts
    assert "secret" not in repr(parts)


@pytest.mark.parametrize("policy", [0.7, "escalate"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_event_tells_and_the_delivered_answer_is_one(
    estimator: Estimator, version: str, policy: float | str
) -> None:
    thread: Any = {"configurable": {"thread_id": "1"}}
    agent = secretive(estimator, policy=policy)
    events = [part async for part in agent.astream_events(ASK, thread, version=version)]
    assert "secret" not in repr([event["data"] for event in events])
    said = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert said == ["sure, the answer" if policy == "escalate" else "I don't know."]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_log_patch_tells(estimator: Estimator) -> None:
    thread: Any = {"configurable": {"thread_id": "1"}}
    patches = [patch async for patch in secretive(estimator).astream_log(ASK, thread)]
    assert "secret" not in repr([op["value"] for patch in patches for op in patch.ops])


async def test_nothing_tells_in_a_subgraph(estimator: Estimator) -> None:
    for mode in MODES:
        guard = ConfidenceMiddleware(estimator, 0.7)
        outer = StateGraph(MessagesState)
        outer.add_node("inside", create_agent(model(SECRET), middleware=[guard]))
        outer.add_edge(START, "inside")
        parts = list(outer.compile().stream(ASK, stream_mode=mode, subgraphs=True))
        assert "secret" not in repr(parts)


@WAYS
@pytest.mark.parametrize("policy", [0.7, "escalate"])
async def test_no_tracer_or_callback_tells_and_tokens_are_counted(
    estimator: Estimator, way: str, policy: float | str
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    said = AIMessage(SECRET, usage_metadata=usage, response_metadata={"model_name": "small"})
    config: Any = {"configurable": {"thread_id": "1"}, "callbacks": [hears := Hears()]}
    with get_usage_metadata_callback() as counted:
        await run(way, secretive(estimator, policy=policy, said=said), ASK, config)
    assert "secret" not in hears.heard
    assert counted.usage_metadata["small"]["total_tokens"] == 5


@WAYS
@pytest.mark.parametrize("bound", [False, True], ids=["own", "bound"])
async def test_a_models_own_callbacks_hear_what_is_delivered(
    estimator: Estimator, way: str, bound: bool
) -> None:
    own, ended = Hears(), list[Any]()
    asked: Any = Scripted(script=[SECRET], callbacks=None if bound else [own])
    if bound:
        asked = asked.with_config(callbacks=[own]).with_listeners(on_end=ended.append)
    agent = create_agent(asked, middleware=[ConfidenceMiddleware(estimator, 0.7)])
    await run(way, agent, ASK)
    assert own.tokens == ["I don't know."]
    assert "secret" not in own.heard
    assert len(ended) == bound
    assert "secret" not in repr([each.outputs for each in ended])


@WAYS
async def test_p_stands_in_the_metadata_of_the_runs(estimator: Estimator, way: str) -> None:
    for policy in (0.7, "annotate"):
        tracer = RunCollectorCallbackHandler()
        agent = create_agent(model("perhaps"), middleware=[ConfidenceMiddleware(estimator, policy)])
        await run(way, agent, ASK, {"callbacks": [tracer]})
        nodes = {node.name: node.metadata for node in tracer.traced_runs[0].child_runs}
        assert nodes["model"]["ct_guard_p"] == 0.5


@pytest.mark.parametrize("order", [1, -1])
async def test_what_another_middleware_redacts_is_not_in_the_record(
    estimator: Estimator, order: int
) -> None:
    redacts = PIIMiddleware("email", strategy="redact", apply_to_output=True)
    middleware = [ConfidenceMiddleware(estimator, 0.7), redacts]
    agent = create_agent(model("unsure, ask ann@example.org"), middleware=middleware[::order])
    assert "ann@example.org" not in repr(await run("invoke", agent, ASK))


async def test_what_is_kept_is_redacted(estimator: Estimator) -> None:
    guard = ConfidenceMiddleware(
        estimator, 0.7, keep_original=True, redact=lambda text: text.replace("secret", "*")
    )
    state = await run("invoke", create_agent(model(SECRET), middleware=[guard]), ASK)
    assert state["ct_guard"]["original"] == "unsure *"


async def test_log_probabilities_and_citations_of_a_withheld_answer_go_with_it(
    estimator: Estimator,
) -> None:
    told = {
        "logprobs": {"content": [{"token": SECRET, "logprob": -0.1}]},
        "citations": [SECRET],
        "model_name": "small",
        "finish_reason": "stop",
    }
    state = await run(
        "invoke",
        create_agent(
            model(AIMessage(SECRET, response_metadata=told)),
            middleware=[ConfidenceMiddleware(estimator, 0.7)],
        ),
        ASK,
    )
    assert "secret" not in repr(state)
    assert state["messages"][-1].response_metadata["model_name"] == "small"


# --- where the policy keeps nothing back ----------------------------------------------------------


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    ("options", "text", "action"),
    [
        ({"on_error": "block"}, "I don't know.", "abstain"),
        ({"on_error": "pass"}, "so sure", "pass"),
        ({}, "so sure", "pass"),
    ],
    ids=["block", "pass", "by default"],
)
async def test_annotate_delivers_the_same_on_every_surface(
    broken: Estimator, surface: str, options: dict[str, Any], text: str, action: str
) -> None:
    """By itself it keeps no answer back; `on_error="block"` does, where none can be scored."""
    guard = ConfidenceMiddleware(broken, "annotate", **options)
    seen = await SURFACES[surface](create_agent(model("so sure"), middleware=[guard]), ASK, None)
    assert seen.text in (text, None)
    if seen.record is not None:  # live tokens carry none
        assert seen.record["action"] == action


@pytest.mark.parametrize("surface", ["stream messages", "astream messages"])
async def test_where_tools_are_gated_an_answer_that_cannot_be_scored_is_not_streamed(
    broken: Estimator, surface: str
) -> None:
    guard = ConfidenceMiddleware(broken, ToolGate(default=0.9))
    seen = await SURFACES[surface](create_agent(model("so sure"), middleware=[guard]), ASK, None)
    assert seen.text == "I don't know."


@WAYS
@pytest.mark.parametrize(("on_error", "raised"), [("raise", True), ("pass", False)])
async def test_an_answer_that_raises_was_not_streamed_before(
    broken: Estimator, way: str, on_error: OnError, raised: bool
) -> None:
    agent: Any = create_agent(
        model("so sure"), middleware=[ConfidenceMiddleware(broken, "annotate", on_error=on_error)]
    )
    seen: list[str] = []
    try:
        if way == "invoke":
            seen += [part.text for part, _ in agent.stream(ASK, stream_mode="messages")]
        else:
            async for part, _ in agent.astream(ASK, stream_mode="messages"):
                seen.append(part.text)
    except BackendError:
        assert raised
    assert "".join(seen) == ("" if raised else "so sure")


# --- wherever it stands ---------------------------------------------------------------------------


class Named(Scripted):
    """Says its name when it is asked, and not with its answers."""

    named: str

    def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
        return {"ls_model_name": self.named}


def inside(kind: str) -> AgentMiddleware[Any, Any, Any]:
    big = Named(script=["sure"], named="big")
    if kind == "fallback":
        return ModelFallbackMiddleware(big)
    return wrap_model_call(lambda request, handler: handler(request.override(model=big)))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kind", ["fallback", "chosen"])
async def test_the_calibrator_is_that_of_the_model_that_answered(kind: str, order: int) -> None:
    def flat(b: float) -> CalibratorState:
        return CalibratorState(kind="platt", params={"a": 0.0, "b": b}, n=10)

    estimator = estimator_on(
        FakeBackend(logit=by_word), calibrators={"small": flat(-9.0), "big": flat(0.0)}
    )
    small = Named(script=[ConnectionError("gone")], named="small")
    middleware = [ConfidenceMiddleware(estimator, "annotate"), inside(kind)]
    agent = create_agent(small, middleware=middleware[::order])
    state = await run("invoke", agent, ASK)
    assert (state["ct_guard"]["p"], state["ct_guard"]["calibrated"]) == (0.5, True)


async def test_a_models_name_in_its_message_goes_before_the_one_it_was_asked_by() -> None:
    flat = CalibratorState(kind="platt", params={"a": 0.0, "b": 0.0}, n=10)
    estimator = estimator_on(FakeBackend(logit=by_word), calibrators={"router": flat, "v": flat})

    async def calibrated(asked: str, answered: str) -> bool:
        said = AIMessage("sure", response_metadata={"model_name": answered})
        agent = create_agent(
            Named(script=[said], named=asked),
            middleware=[ConfidenceMiddleware(estimator, "annotate")],
        )
        return bool((await run("invoke", agent, ASK))["ct_guard"]["calibrated"])

    assert not await calibrated("router", "somebody else")
    assert await calibrated("small", "router" * 3)  # one that came with each of three chunks
    assert await calibrated("somebody else", "router")
    assert await calibrated("v", "v-2024-08-06")
    assert not await calibrated("v", "v-mini")


@pytest.mark.parametrize("order", [1, -1])
async def test_what_an_inner_middleware_adds_to_the_prompt_is_judged_and_said_once(
    order: int, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    class Listening(FakeBackend):
        def score(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            heard.extend(self.encoder.decode(item.context) for item in items)
            return super().score(items, *args, **kwargs)

    @dynamic_prompt
    def retrieved(request: Any) -> str:
        return "PASSAGE: it is in the attic."

    guard = ConfidenceMiddleware(estimator_on(Listening(logit=by_word)), 0.7)
    agent = create_agent(model("sure", "sure"), middleware=[guard, retrieved][::order])
    with caplog.at_level(logging.WARNING, logger="ct_guard_langchain"):
        await run("invoke", agent, ASK)
        await run("invoke", agent, ASK)
    assert all("PASSAGE" in context for context in heard)
    said = [message for message in caplog.messages if "list ConfidenceMiddleware last" in message]
    assert len(said) == (1 if order == 1 else 0)


@pytest.mark.parametrize("kind", ["fallback", "chosen"])
async def test_what_an_inner_middleware_asks_is_held_as_well(
    estimator: Estimator, kind: str
) -> None:
    big = Named(script=[SECRET], named="big")
    inner: Any = ModelFallbackMiddleware(big)
    if kind == "chosen":
        inner = wrap_model_call(lambda request, handler: handler(request.override(model=big)))
    agent = create_agent(
        model(ConnectionError("gone")), middleware=[ConfidenceMiddleware(estimator, 0.7), inner]
    )
    parts: list[Any] = list(agent.stream(ASK, stream_mode="messages"))
    assert [part.text for part, _ in parts] == ["I don't know."]


@WAYS
@pytest.mark.parametrize("at", [0, 1], ids=["before", "after"])
async def test_of_several_messages_in_one_response_none_escapes_unjudged(
    estimator: Estimator, way: str, at: int
) -> None:
    class Adds(AgentMiddleware):
        """Another middleware, which says something of its own beside the model's answer."""

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return self.added(handler(request))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return self.added(await handler(request))

        def added(self, response: Any) -> Any:
            said = [*response.result]
            said.insert(at, AIMessage("I am sure"))
            return ModelResponse(result=said)

    for text, left in ((SECRET, ["I don't know."]), ("sure", None)):
        agent = create_agent(model(text), middleware=[ConfidenceMiddleware(estimator, 0.7), Adds()])
        state = await run(way, agent, ASK)
        said = [each.text for each in state["messages"] if isinstance(each, AIMessage)]
        assert said == (left or [*["sure"][:at], "I am sure", *["sure"][at:]])
        assert state["ct_guard"]["action"] == ("abstain" if left else "pass")


@WAYS
async def test_where_another_middleware_ends_the_run_the_state_has_no_older_record(
    estimator: Estimator, way: str
) -> None:
    @tool
    def search(word: str) -> str:
        """Search."""
        return "found"

    limit = ModelCallLimitMiddleware(run_limit=1)
    agent = create_agent(
        model(calling("search", word="sure")),
        [search],
        middleware=[ConfidenceMiddleware(estimator, "annotate"), limit],
    )
    state = await run(way, agent, ASK)
    assert "limit" in state["messages"][-1].text
    assert (state["ct_guard"], get_confidence(state)) == (None, None)


# --- a policy for one call ------------------------------------------------------------------------


@dataclass
class Context:
    ct_guard_policy: Any = None


@WAYS
async def test_a_run_can_set_its_policy(estimator: Estimator, way: str) -> None:
    agent = create_agent(
        model(*["perhaps"] * 4),
        middleware=[ConfidenceMiddleware(estimator, 0.3)],
        context_schema=Context,
    )

    async def text(config: Any = None, **context: Any) -> str:
        given = Context(**context)
        if way == "invoke":
            state = agent.invoke(ASK, config, context=given)
        else:
            state = await agent.ainvoke(ASK, config, context=given)
        return str(state["messages"][-1].text)

    configured = {"configurable": {"ct_guard_policy": 0.9}}
    assert await text() == "perhaps"
    assert await text(ct_guard_policy=0.9) == "I don't know."
    assert await text(configured) == "I don't know."
    assert await text(configured, ct_guard_policy=0.1) == "I don't know."


async def test_a_policy_that_the_agent_has_no_review_for_is_refused(estimator: Estimator) -> None:
    agent = create_agent(model("perhaps"), middleware=[ConfidenceMiddleware(estimator, 0.3)])
    config = {"configurable": {"ct_guard_policy": {"kind": "review", "threshold": 0.9}}}
    with pytest.raises(PolicyError, match="made without a review"):
        await run("invoke", agent, ASK, config)
