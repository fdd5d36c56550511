"""What a guard judged, as scores in Langfuse and LangSmith, through their own clients."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from ct_guard.errors import MissingExtraError
from ct_guard.records import Decision

from .observing import Call, Judged

__all__ = ["LangSmith", "Langfuse"]


class Langfuse:
    """An observer for `Guard(…, observers=[Langfuse()])`: P(correct) as a numeric score, of the
    observation and trace in which the answer was judged.

    Those are the current span's, which Langfuse's tracing sets, its handler for LangChain
    included. Where there is none, a score goes to the session that `session` names, and without
    one nowhere. The action stands in the score's metadata and comment; question and answer in the
    metadata only where `texts` is set. What was not measured has no score.

    `client` is a `langfuse.Langfuse`; None: `langfuse.get_client()`, by the environment. Raises
    MissingExtraError without langfuse.
    """

    def __init__(
        self, client: Any = None, *, session: str | None = None, texts: bool = False
    ) -> None:
        try:
            from langfuse import get_client
            from opentelemetry.trace import get_current_span
        except ImportError:
            raise MissingExtraError("Langfuse", "langfuse") from None
        self._client = get_client() if client is None else client
        self._span, self._session, self._texts = get_current_span, session, texts

    def began(self, call: Call) -> None: ...

    def ended(self, call: Call) -> None: ...

    def decided(self, decision: Decision) -> None: ...

    def judged(self, judged: Judged) -> Callable[[], object] | None:
        if judged.p is None:
            return None
        span = self._span().get_span_context()
        where: dict[str, Any] = {"session_id": self._session}
        if span.is_valid:
            where = {
                "trace_id": f"{span.trace_id:032x}",
                "observation_id": f"{span.span_id:016x}",
            }
        elif self._session is None:
            return None
        return partial(
            self._client.create_score,
            name=judged.name,
            value=judged.p,
            data_type="NUMERIC",
            comment=judged.explanation,
            metadata=_metadata(judged, texts=self._texts),
            **where,
        )


class LangSmith:
    """An observer for `Guard(…, observers=[LangSmith()])`: P(correct) as feedback on the run that
    gave the answer.

    That is LangChain's run, or the one of a `@traceable` function around the call; an answer that
    was judged in neither is passed over. The action is the feedback's value; question and answer go
    along only where `texts` is set. What was not measured has a value and no score.

    `client` is a `langsmith.Client`; None: one by the environment. `project` is the name of that in
    which the runs are traced; None: as tracing goes by. Raises MissingExtraError without langsmith.
    """

    def __init__(
        self, client: Any = None, *, project: str | None = None, texts: bool = False
    ) -> None:
        try:
            from langsmith import Client
            from langsmith.run_helpers import get_current_run_tree
            from langsmith.utils import get_tracer_project
        except ImportError:
            raise MissingExtraError("LangSmith", "langsmith") from None
        self._client = Client() if client is None else client
        self._project = project or get_tracer_project()
        self._run, self._texts = get_current_run_tree, texts
        self._session: UUID | None = None

    def began(self, call: Call) -> None: ...

    def ended(self, call: Call) -> None: ...

    def decided(self, decision: Decision) -> None: ...

    def judged(self, judged: Judged) -> Callable[[], object] | None:
        if judged.run_id is not None:
            return partial(self._send, judged, judged.run_id, judged.trace_id)
        run = self._run()
        if run is None:
            return None
        return partial(self._send, judged, str(run.id), str(run.trace_id))

    def _send(self, judged: Judged, run_id: str, trace_id: str | None) -> None:
        self._client.create_feedback(
            run_id=run_id,
            trace_id=trace_id,
            key=judged.name,
            score=judged.p,
            value=judged.action,
            comment=judged.explanation,
            extra=_metadata(judged, texts=self._texts),
            feedback_id=uuid4(),
            session_id=self._session_id(),
        )

    def _session_id(self) -> UUID | None:
        """Of the project, which LangSmith has once its first run has arrived there: until then a
        run is looked for in all of them."""
        if self._session is None:
            try:
                self._session = self._client.read_project(project_name=self._project).id
            except Exception:
                return None
        return self._session


def _metadata(judged: Judged, *, texts: bool) -> dict[str, Any]:
    about: dict[str, Any] = {
        "action": judged.action,
        "policy": judged.policy,
        "status": judged.status,
        "estimator": judged.estimator,
    }
    if texts and judged.texts is not None:
        about["question"], about["answer"] = judged.texts()
    return about
