"""`wrap()`: put a guard around whatever answers."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack, overload

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from typing_extensions import TypedDict

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.guard import Observer
from ct_guard.monitoring import Monitor
from ct_guard.policies import (
    BelowAnsweredWrong,
    Cascade,
    Certified,
    OnError,
    Policy,
    Resample,
)

from .chain import GuardedChain
from .chat_model import GuardedChatModel
from .delivery import AbstainMessage, Redact
from .guarding import Guarding
from .outputs import Selector
from .per_call import needs_estimator, refuse_unknown
from .runnable import ConfidenceGuard

__all__ = ["Options", "wrap"]


class Options(TypedDict, total=False):
    """What `GuardedChatModel` is told besides the model that answers, and `GuardedChain` besides
    the chain: the last three."""

    estimator: str | Path | Estimator
    policy: str | float | Path | dict[str, Any] | Policy | None
    samples: int | None
    models: Sequence[Runnable[Any, Any]]
    on_error: OnError | None
    deadline: float | None
    window: float
    max_batch: int | None
    max_waiting: int
    monitor: Monitor | None
    observers: Sequence[Observer]
    hold_stream: bool | None
    abstain_message: AbstainMessage
    keep_original: bool
    redact: Redact | None
    question: Callable[[Any], Any] | None
    answer: Selector | None
    context: Selector | None


_OF_CHAINS = ("question", "answer", "context")
"""Options that say where in a chain's input and output the parts are."""


@overload
def wrap(runnable: BaseChatModel, **options: Unpack[Options]) -> GuardedChatModel: ...


@overload
def wrap(runnable: Runnable[Any, Any], **options: Unpack[Options]) -> Runnable[Any, Any]: ...


def wrap(runnable: Runnable[Any, Any], **options: Unpack[Options]) -> Runnable[Any, Any]:
    """The same, guarded.

    * A chat model becomes a `GuardedChatModel`; also inside of `bind`, `bind_tools`, `with_config`
      and `with_retry`, each one of `with_fallbacks`, and whichever `init_chat_model` chooses.
    * Any other runnable, a chain or an agent, becomes a `GuardedChain` (`ConfidenceGuard.wrap`),
      `models` being stronger ones of its kind; `question`, `answer` and `context` say where in its
      input and output they are.

    What is guarded already is not guarded twice: its settings are kept, and `options` change them.
    Keywords that were bound before wrapping reach stronger models as they are; bind tools after
    wrapping, or give stronger models with their own tools bound.

    Raises EstimatorError, PolicyError or UsageError that says what does not fit.
    """
    refuse_unknown("wrap", options, Options.__annotations__)
    of_models: Any = {name: value for name, value in options.items() if name not in _OF_CHAINS}
    guarded = _Wrapping(of_models).around(runnable)
    if guarded is None:
        return _guarded_chain(runnable, options)
    if unfit := [name for name in _OF_CHAINS if name in options]:
        raise UsageError(
            f"{' and '.join(unfit)} cannot be set around a {type(runnable).__name__}, whose"
            " question and answer are its messages: wrap the chain that it is in"
        )
    return guarded


class _Wrapping:
    """One call of `wrap`: its estimator is loaded once, however many models are guarded."""

    def __init__(self, options: Options) -> None:
        self._options = options

    @cached_property
    def _estimator(self) -> Estimator:
        return load_estimator(needs_estimator("wrap", self._options.get("estimator")))

    def around(self, runnable: Runnable[Any, Any]) -> Runnable[Any, Any] | None:
        """The runnable with the chat model in it guarded; None where there is none."""
        match runnable:
            case GuardedChatModel():
                return self._changed(runnable)
            case BaseChatModel():
                return self.fresh(runnable)
            case RunnableBindingBase():
                return self._bound(runnable)
            case RunnableWithFallbacks():
                return self._fallbacks(runnable)
        return self._chosen_at_run_time(runnable)

    def fresh(self, model: BaseChatModel) -> GuardedChatModel:
        options: dict[str, Any] = {**self._options, "estimator": self._estimator}
        return GuardedChatModel(inner=model, **options)

    def _changed(self, guarded: GuardedChatModel) -> GuardedChatModel:
        """Guarded already: it is made again, with its settings as far as `options` leave them."""
        settings = {name: getattr(guarded, name) for name in type(guarded).model_fields}
        policy = guarded.policy
        if guarded.samples is not None and isinstance(policy, Resample):
            policy = policy.policy  # `samples` make it again
        promised = isinstance(policy, Certified | Cascade | BelowAnsweredWrong)
        if "estimator" in self._options and promised:
            settings["policy"] = None  # that certificate is the other estimator's
        return type(guarded)(**{**settings, **self._options})

    def _bound(
        self, binding: RunnableBindingBase[Any, Any]
    ) -> RunnableBindingBase[Any, Any] | None:
        inside = self.around(binding.bound)
        if inside is None:
            return None
        if isinstance(inside, GuardedChatModel):
            inside = inside.model_copy(update={"bound": {**inside.bound, **binding.kwargs}})
        return binding.model_copy(update={"bound": inside})

    def _fallbacks(
        self, runnable: RunnableWithFallbacks[Any, Any]
    ) -> RunnableWithFallbacks[Any, Any] | None:
        first, *others = [self.around(each) for each in runnable.runnables]
        if first is None or None in others:
            return None
        return runnable.model_copy(update={"runnable": first, "fallbacks": others})

    def _chosen_at_run_time(self, runnable: Runnable[Any, Any]) -> Runnable[Any, Any] | None:
        """What `init_chat_model` returns where the model is configurable."""
        if not type(runnable).__module__.startswith(("langchain.", f"{__package__}.")):
            return None  # so that langchain is imported only where it is in use
        from .agents.configurable import ConfigurableModel, GuardedConfigurableModel

        if not isinstance(runnable, ConfigurableModel):
            return None
        already = runnable.guarding if isinstance(runnable, GuardedConfigurableModel) else None

        def guarding(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
            model = already(model) if already is not None else model
            return self.around(model) or model

        return GuardedConfigurableModel(runnable, guarding)


def _guarded_chain(runnable: Runnable[Any, Any], options: Options) -> Runnable[Any, Any]:
    settings: dict[str, Any] = dict(options)
    models = settings.pop("models", ())
    reading = {name: settings.pop(name) for name in _OF_CHAINS if name in settings}
    if isinstance(runnable, GuardedChain):
        settings = {**_settings_of(runnable.guarding), **settings}
        reading = {**{name: getattr(runnable.reading, name) for name in _OF_CHAINS}, **reading}
    needs_estimator("wrap", settings.get("estimator"))
    return ConfidenceGuard(**settings).wrap(runnable, models=models, **reading)


def _settings_of(guarding: Guarding) -> dict[str, Any]:
    guard, delivery = guarding.guard, guarding.delivery
    return {
        "estimator": guard.estimator,
        "policy": guard.policy,
        "samples": guarding.guards.samples,
        "on_error": guard.on_error_given,
        "deadline": guard.deadline,
        "window": guard.window,
        "max_batch": guard.max_batch,
        "max_waiting": guard.max_waiting,
        "monitor": guard.monitor,
        "observers": guard.observers.given,
        "hold_stream": guarding.hold_stream,
        "abstain_message": delivery.abstain_message,
        "keep_original": delivery.keep_original,
        "redact": delivery.redact,
        "input_key": guarding.input_key,
        "output_key": guarding.output_key,
    }
