"""What observers hear of answers as they are left to their readers, and by which run of LangChain's
they are found in a trace."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from ct_guard.errors import UsageError
from ct_guard.guard import Guard, Judged
from ct_guard.guard.observing import RUN

from .messages import text_of, turns_of
from .record import ConfidenceRecord

__all__ = ["judged_of", "tell_judged", "tell_run"]


def tell_judged(
    guard: Guard,
    record: ConfidenceRecord,
    answer: BaseMessage,
    asked: Sequence[BaseMessage],
    *,
    run: Any = None,
    config: RunnableConfig | None = None,
    schemas: Collection[str] = (),
) -> None:
    """The guard's observers hear of an answer, given as it was judged, also where another takes its
    place. `run` is the manager of the run that gave it; without one, that around `config`."""
    if not guard.observers.given:
        return
    traced = _traced(run, config)
    guard.observers.judged(judged_of(record, answer, asked, schemas=schemas, traced=traced))


def tell_run(
    guard: Guard,
    run: Mapping[str, Any] | None,
    last: ConfidenceRecord | None,
    config: RunnableConfig,
) -> None:
    """The guard's observers hear how likely an agent's run was to succeed, where that is known, and
    how its `last` turn ended it."""
    if not guard.observers.given or run is None or run["p"] is None or last is None:
        return
    run_id, trace_id = _traced(None, config)
    guard.observers.judged(
        Judged(
            p=run["p"],
            action=last["action"],
            policy=last["policy"],
            estimator=last["estimator"],
            name=RUN,
            run_id=trace_id or run_id,
            trace_id=trace_id,
        )
    )


def judged_of(
    record: ConfidenceRecord,
    answer: BaseMessage,
    asked: Sequence[BaseMessage],
    *,
    schemas: Collection[str] = (),
    traced: tuple[str | None, str | None] = (None, None),
) -> Judged:
    """What is told; `traced` are the ids of the run and of its trace in LangSmith."""

    def texts() -> tuple[str, str]:
        try:
            return turns_of(asked)[-1].content, text_of(answer, schemas)
        except UsageError:
            return "(not text)", "(not text)"

    return Judged(
        p=record["p"],
        action=record["action"],
        policy=record["policy"],
        status=record["status"],
        estimator=record["estimator"],
        id=answer.response_metadata.get("id") or answer.id,
        run_id=traced[0],
        trace_id=traced[1],
        texts=texts,
    )


def _traced(run: Any, config: RunnableConfig | None) -> tuple[str | None, str | None]:
    """The ids of a run and of its trace, where LangSmith traces it."""
    from langchain_core.tracers import LangChainTracer  # slow, and of use with observers only

    handlers, run_id = getattr(run, "handlers", ()), getattr(run, "run_id", None)
    manager = (config or {}).get("callbacks")
    if run is None and isinstance(manager, BaseCallbackManager):
        handlers, run_id = manager.handlers, manager.parent_run_id
    for handler in handlers:
        if isinstance(handler, LangChainTracer) and (found := handler.run_map.get(str(run_id))):
            return str(found.id), str(found.trace_id)
    return None, None
