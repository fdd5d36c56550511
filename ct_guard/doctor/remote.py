"""What is behind a URL, and does an estimator score there?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import CtGuardError
from ct_guard.methods import baselines

from .finding import Finding

if TYPE_CHECKING:
    from ct_guard.backends.server import About

__all__ = ["Remote", "server_findings"]


@dataclass(frozen=True)
class Remote:
    """A server, and how it is asked: see `ServerBackend.load`."""

    url: str
    model: str | None = None
    adapter: str | None = None
    key_env: str | None = None
    key_file: str | Path | None = None
    timeout: float | None = None


def server_findings(server: Remote, model: str | None, *, check: bool) -> list[Finding]:
    """Kind and version, what it serves, and with `check` whether `model`, an estimator or a base,
    is right there. What goes wrong is a finding."""
    from ct_guard.backends.server import Patience, Pool, key_of, open_server

    patience = Patience() if server.timeout is None else Patience.of(server.timeout)
    try:
        key = key_of(server.key_env, server.key_file)
        pool = Pool(server.url, key=key, patience=patience)
        try:
            dialect = open_server(pool, server.model)
        finally:
            pool.close()
    except CtGuardError as error:
        return [Finding("server", "cannot be used", str(error), ok=False)]
    found = [
        Finding("server", f"{dialect.name} {dialect.about.version}", _can(dialect.activations)),
        *_serves(dialect.about),
    ]
    if model is not None and check:
        found.append(_scores(server, model))
    return found


def _can(activations: frozenset[str]) -> str:
    if "query" in activations:
        return "runs adapters that act on the query alone, with the base's cache, and on all tokens"
    return "runs adapters that act on all tokens; of activation query, only the base's methods"


def _serves(about: "About") -> list[Finding]:
    side = f", {about.slots} requests side by side" if about.slots is not None else ""
    adapters = ", ".join(one.name for one in about.adapters)
    return [
        Finding(
            "served model",
            f"{about.model}, {about.max_tokens:,} tokens{side}",
            "whether these weights are your estimator's base, a server cannot tell: compare names,"
            " or score some rows here and there (score --compare-with)",
        ),
        Finding(
            "adapters",
            adapters or "none",
            "an estimator finds its own by the name of its directory, else by --server-adapter"
            if adapters
            else "methods without an adapter (zero-shot, likelihood) need none",
        ),
    ]


def _scores(server: Remote, model: str) -> Finding:
    from ct_guard.estimators import load_estimator

    from .arithmetic import is_estimator

    named = is_estimator(model)
    options = {
        name: value for name, value in vars(server).items() if name != "url" and value is not None
    }
    try:
        loaded = load_estimator(
            model if named else baselines(by_name=True)[0],
            base=None if named else model,
            server=server.url,
            **options,
        )
        how = str(loaded.arithmetic)
        loaded.close()
    except CtGuardError as error:
        return Finding("model", f"{model} does not score there", str(error), ok=False)
    return Finding("model", how, "right: labels, adapter and caches are as they should be")
