"""Another policy for one call, set where the call is made."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.utils import ConfigurableFieldSpec

from ct_guard.errors import UsageError
from ct_guard.forks import ForkLock, Shared
from ct_guard.guard import Guard
from ct_guard.policies import Annotate, Policy, load_policy, refuse_draws, resampled

__all__ = [
    "POLICY",
    "POLICY_SPEC",
    "Guards",
    "needs_estimator",
    "no_option",
    "policy_in",
    "refuse_settings",
    "refuse_unknown",
]

_log = logging.getLogger(__name__)

POLICY = "ct_guard_policy"
"""The key in `config["configurable"]`, or in the context of a LangGraph run, that sets another
policy for one call."""

POLICY_SPEC = ConfigurableFieldSpec(
    POLICY,
    Any,
    name="Policy",
    description="A threshold such as 0.9, or any other policy, for this call",
)

_RUNTIME = "__pregel_runtime"
"""LangGraph's key in a config for what belongs to the run, its context among it."""

_OURS = ("ct_guard_pol", "ct_guard_thresh", "ct-guard", "ctguard")
"""How a key begins that means ours."""

_MOST = 32
"""Policies set by calls that are remembered."""


def policy_in(config: RunnableConfig | Mapping[str, Any] | None, context: Any = None) -> Any:
    """The policy that a call sets, in its config or in the context of its run; None: it sets none.
    The config's goes first. Raises UsageError for a key that begins like ours and is none."""
    configurable = (config or {}).get("configurable") or {}
    _refuse_misspelt(configurable)
    if configurable.get(POLICY) is not None:
        return configurable[POLICY]
    if context is None:
        context = getattr(configurable.get(_RUNTIME), "context", None)
    if isinstance(context, Mapping):
        _refuse_misspelt(context)
        return context.get(POLICY)
    return getattr(context, POLICY, None)


def _refuse_misspelt(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if isinstance(name, str) and name.startswith(_OURS) and name != POLICY:
            raise UsageError(
                f"a call sets {name!r}, which is nothing here: another policy is set by {POLICY!r}"
            )


_SETTINGS = ("policy", "estimator", "threshold")
"""Keywords that no provider knows, and that mean the guard."""


def refuse_settings(keywords: Mapping[str, Any]) -> None:
    """Raises UsageError where a call's keywords, which go to the model or chain inside, name a
    setting of the guard."""
    for name in _SETTINGS:
        if name in keywords:
            instead = (
                "another estimator is given where the guard is made"
                if name == "estimator"
                else f'give config={{"configurable": {{"{POLICY}": 0.9}}}}, or any other policy'
            )
            raise UsageError(f"{name!r} is no keyword of a call: {instead}")


class Guards(Shared):
    """The guard of a surface, and the same with the policies that calls have set. Equal policies
    share a guard, and with it a batch and a budget. Safe to share between threads.

    Raises PolicyError for a policy that wants further answers, on a surface that `draws` none; and
    where `samples` of them cannot be drawn under the guard's policy.
    """

    def __init__(
        self, guard: Guard, surface: str, *, draws: bool = False, samples: int | None = None
    ) -> None:
        self._surface, self._draws, self.samples = surface, draws, samples
        self._check(guard.policy)
        self.guard = guard if samples is None else guard.under(resampled(guard.policy, samples))
        self._others: dict[str, Guard] = {}
        self._lock = ForkLock()

    def under(self, policy: Any) -> Guard:
        """The guard with this policy, given as to `Guard`; None: its own.

        Raises PolicyError for a policy that makes no sense.
        """
        if policy is None:
            return self.guard
        loaded = load_policy(policy, self.guard.estimator.manifest.known)
        self._check(loaded)
        if self.samples is not None and not isinstance(loaded, Annotate):
            loaded = resampled(loaded, self.samples)
        with self._lock:
            key = repr(loaded)
            if key not in self._others:
                while len(self._others) >= _MOST:
                    self._others.pop(next(iter(self._others)))
                self._others[key] = self.guard.under(loaded)
            return self._others[key]

    def _check(self, policy: Policy) -> None:
        if not self._draws:
            refuse_draws(policy, self._surface)


def needs_estimator(surface: str, given: Any) -> Any:
    """What was given. Raises UsageError, which says what to give, where nothing was."""
    if given is None:
        raise UsageError(
            f"{surface} needs an estimator: give the directory or hub name of one, as from"
            " 'ct-guard tune'; 'mini' is a toy that knows its own small world only"
        )
    return given


_STANDARD = frozenset(
    {
        "temperature",
        "max_tokens",
        "timeout",
        "max_retries",
        "stop",
        "streaming",
        "base_url",
        "api_key",
    }
)
"""LangChain's own parameters of chat models, which its factories give to any of them."""


def refuse_unknown(surface: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises UsageError for options that a surface does not have, saying what it has instead. One
    of LangChain's standard parameters is told of in the log."""
    for name in given:
        if name in known:
            continue
        if name in _STANDARD:
            _log.warning("%s has no %r of its own: set it on the model inside", surface, name)
            continue
        raise no_option(surface, name, known)


def no_option(surface: str, name: str, known: Collection[str]) -> UsageError:
    """The error for an option that a surface does not have, saying what it has instead."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    if name.startswith(("thresh", "tresh", "min_p", "min_conf", "cutoff")):
        where = POLICY if POLICY in known else "policy"
        instead = f"give {where}=0.7, or any other policy"
    elif name == "stronger" and "models" in known:
        instead = "stronger models, or chains, are given as 'models'"
    elif near:
        instead = f"did you mean {near[0]!r}?"
    else:
        instead = f"it has {', '.join(sorted(known))}"
    return UsageError(f"{surface} has no option {name!r}: {instead}")
