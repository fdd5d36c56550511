"""`ChatLocal`: an estimator's own base model as a chat model, at almost no cost for confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr

from ct_guard.backends import KV
from ct_guard.errors import MismatchError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import OnError, Policy
from ct_guard.query import ContextStyle, render_context
from ct_guard.records import Assessment, QuestionAnswer

from .assess import ABSTAIN_MESSAGE, deliver
from .messages import question_answer

__all__ = ["ChatLocal"]

_STYLE: ContextStyle = "chat_turn"
_SETTINGS = ("max_tokens", "temperature", "top_p", "seed")


@dataclass(frozen=True)
class _Spoken:
    """What the base model said. `kv` holds exactly the prompt and `text`, or is None."""

    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    kv: KV | None


class ChatLocal(BaseChatModel):
    """Generates with an estimator's base model and scores each answer on the same live KV cache:
    the prompt is read once, and the confidence costs the query's few tokens.

        model = ChatLocal(estimator="mini")
        model.invoke("What is 2 plus 2?").response_metadata["ct_guard"]["p"]

    Without a policy every answer passes with its record attached. With one, an answer that it
    abstains from is replaced by `abstain_message` and kept as the record's `original`; every other
    action returns the answer as it is, for the caller to act on.

    The estimator must be of the style `chat_turn`, the only one that goes on from a conversation's
    cache. An answer that a stop sequence cut short is no longer what the cache holds: its text is
    read again. One answer is generated at a time, in order of arrival.

    `max_tokens`, `temperature`, `top_p` and `seed` can also be given per call, or by `bind`.
    """

    estimator: Any = Field(exclude=True, repr=False)
    """The loaded `Estimator`."""
    policy: Any
    """The `Policy` in force."""
    on_error: OnError
    """What happens to an answer that cannot be scored: "pass", "block" (abstain) or "raise"."""
    max_tokens: int = Field(gt=0)
    """Most tokens of an answer; fewer where the estimator's budget leaves less room."""
    temperature: float = Field(ge=0.0)
    """0 takes the likeliest token, which makes the answer deterministic."""
    top_p: float = Field(gt=0.0, le=1.0)
    seed: int | None
    abstain_message: str

    _guard: Guard = PrivateAttr()

    def __init__(
        self,
        *,
        estimator: str | Path | Estimator = "mini",
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        on_error: OnError = "block",
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        abstain_message: str = ABSTAIN_MESSAGE,
        **kwargs: Any,
    ) -> None:
        """`estimator` and `policy` are given by name, path or object, as for `ct_guard.Guard`;
        other keywords are those of every chat model.

        Raises MismatchError for an estimator of another style or a backend that cannot generate,
        EstimatorError or PolicyError for what cannot be loaded.
        """
        guard = Guard(estimator, "annotate" if policy is None else policy, on_error=on_error)
        _check(guard.estimator)
        super().__init__(
            estimator=guard.estimator,
            policy=guard.policy,
            on_error=on_error,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            abstain_message=abstain_message,
            **kwargs,
        )
        self._guard = guard

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Raises UsageError for content that is not text and for a prompt that does not fit.

        The async twin is LangChain's: it runs this on a thread, which waits for the guard's.
        """
        asked = question_answer(messages, model=self._model_name)
        settings = {name: kwargs.get(name, getattr(self, name)) for name in _SETTINGS}
        spoken = self._guard.run(lambda: self._speak(asked, stop or (), **settings))
        assessment = self._assess(asked.model_copy(update={"answer": spoken.text}), spoken.kv)
        message = AIMessage(
            content=spoken.text,
            response_metadata={"model_name": self._model_name},
            usage_metadata=UsageMetadata(
                input_tokens=spoken.input_tokens,
                output_tokens=spoken.output_tokens,
                total_tokens=spoken.input_tokens + spoken.output_tokens,
            ),
        )
        delivered = deliver(message, assessment, abstain_message=self.abstain_message)
        info = {"finish_reason": spoken.finish_reason}
        return ChatResult(generations=[ChatGeneration(message=delivered, generation_info=info)])

    def _speak(
        self, asked: QuestionAnswer, stop: Sequence[str], *, max_tokens: int, **sampling: Any
    ) -> _Spoken:
        """Generate one answer; runs on the guard's thread."""
        estimator = self._guard.estimator
        prompt, _ = render_context(asked.conversation(), _STYLE, estimator.backend)
        room = estimator.budget - len(prompt) - len(estimator.query.ids)
        if room < 1:
            raise UsageError(
                f"a conversation of {len(prompt)} tokens leaves no room for an answer: the"
                f" estimator {estimator.name} reads {estimator.budget} in all"
            )
        most = min(max_tokens, room)
        made = estimator.backend.generate([prompt], max_tokens=most, stop=stop, **sampling)[0]
        said = estimator.backend.decode(made.ids)
        text = _before(said, stop)
        return _Spoken(
            text=text,
            finish_reason="stop" if text != said or len(made.ids) < most else "length",
            input_tokens=len(prompt),
            output_tokens=len(made.ids),
            kv=made.kv if text == said else None,
        )

    def _assess(self, qa: QuestionAnswer, kv: KV | None) -> Assessment:
        if kv is None:
            return self._guard.assess(qa)
        return self._guard.assess_generated(qa, kv)

    # --- identity -------------------------------------------------------------------------------

    @property
    def _model_name(self) -> str:
        manifest = self._guard.estimator.manifest
        name: str = manifest.name if manifest.base.id.startswith(".") else manifest.base.id
        return name

    @property
    def _llm_type(self) -> str:
        return "ct-guard-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Whatever changes an answer or its record, for caches and traces."""
        return {
            "model_name": self._model_name,
            "estimator": self._guard.estimator.name,
            "fingerprint": self._guard.estimator.fingerprint,
            "policy": repr(self.policy),
            "on_error": self.on_error,
            "abstain_message": self.abstain_message,
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "ct_guard"
        params["ls_model_name"] = self._model_name
        return params

    def get_token_ids(self, text: str) -> list[int]:
        return list(self._guard.estimator.backend.encode(text))


def _check(estimator: Estimator) -> None:
    if estimator.manifest.style != _STYLE:
        raise MismatchError(
            f"the estimator {estimator.name} is of style {estimator.manifest.style!r}, and only"
            f" {_STYLE!r} shares a cache with generation: score answers with GuardedChatModel"
        )
    able = estimator.backend.capabilities
    if not (able.generates and able.kv_handles):
        raise MismatchError(
            f"the backend {estimator.backend.name} cannot generate with a live cache: use"
            " GuardedChatModel over a model that answers"
        )


def _before(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop sequence in it."""
    found = [at for at in (text.find(mark) for mark in stop if mark) if at >= 0]
    return text[: min(found)] if found else text
