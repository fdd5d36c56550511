"""Serve confidences over HTTP, until told to stop."""

import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ct_guard.errors import DeadlineError, FieldError, MissingExtraError
from ct_guard.policies import ABSTAIN_MESSAGE
from ct_guard.remote import key_from, key_in

from .reporting import SILENT, Reporter
from .score_settings import OF_A_MODEL_HERE, OF_SERVER, ScoreConfig
from .settings import Bits, refuse_idle

if TYPE_CHECKING:
    import uvicorn

    from ct_guard.estimators import Estimator
    from ct_guard.guard import Guard
    from ct_guard.serving import Settings

__all__ = ["ServeConfig", "ServeResult", "serve"]

OF_UPSTREAM = ("upstream_key_env", "upstream_key_file", "upstream_timeout", "stronger")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Which estimator answers whom, and where."""

    estimator: "str | Path | Estimator" = "mini"
    """As for `ScoreConfig`, with all that says how it is run."""
    policy: str | float | None = None
    on_error: Literal["pass", "block"] | None = None
    """What becomes of an answer that could not be scored: None blocks it, but passes it under
    `annotate`, which keeps no answer back."""
    backend: str = "transformers"
    server: str | None = None
    server_model: str | None = None
    server_adapter: str | None = None
    key_env: str | None = None
    key_file: str | Path | None = None
    timeout: float | None = None
    base: str | Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: Bits | None = None
    threads: int | None = None
    deadline: float | None = 30.0
    """Seconds for the scoring of an answer; later it goes by `on_error`."""
    cache: str | Path | None = None
    """An SQLite file of scores that outlives the server; None: they are in memory."""
    upstream: str | None = None
    """URL of the OpenAI API that chats are forwarded to, as `http://localhost:8000/v1`."""
    upstream_key_env: str | None = None
    """Environment variable that holds its key; or `upstream_key_file`, a file that does. None: the
    client's own key goes on, unless clients show a token of this server's in its place."""
    upstream_key_file: str | Path | None = None
    upstream_timeout: float | None = None
    """Seconds that it may be silent; None: 600."""
    stronger: tuple[str, ...] = ()
    """Models of the upstream's, from weak to strong, that a policy may escalate to."""
    abstain_message: str = ABSTAIN_MESSAGE
    """What is said instead of an answer that is withheld."""
    host: str = "127.0.0.1"
    port: int = 8077
    """0: any that is free."""
    token_env: str | None = None
    """Environment variable that holds the token that clients must show; or `token_file`."""
    token_file: str | Path | None = None
    most_bytes: int = 4 << 20
    """Of a request."""
    most_requests: int = 256
    """At a time."""
    grace: float = 30.0
    """Seconds that requests in flight have once the server is told to stop."""

    def __post_init__(self) -> None:
        for name in ("most_bytes", "most_requests"):
            if getattr(self, name) < 1:
                raise FieldError(f"`{name}` is a number of at least 1, not {getattr(self, name)}")
        for name in ("deadline", "upstream_timeout"):
            if (seconds := getattr(self, name)) is not None and not seconds > 0:
                raise FieldError(f"`{name}` is a time in seconds above 0, not {seconds}")
        if not 0 <= self.port < 1 << 16:
            raise FieldError(f"`port` is a number from 0 to 65535, not {self.port}")
        if not self.grace >= 0:
            raise FieldError(f"`grace` is a time in seconds, not {self.grace}")
        for one, other in (
            ("token_env", "token_file"),
            ("upstream_key_env", "upstream_key_file"),
        ):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise FieldError(f"`{one}` and `{other}` name the same key: give one of them")

    def idle(self) -> Mapping[str, str]:
        """The fields that nothing reads beside the others, each with what it is for."""
        idle: dict[str, str] = {}
        if self.server is None:
            idle |= dict.fromkeys(OF_SERVER, "a `server`")
        else:
            idle |= dict.fromkeys(
                (name for name in OF_A_MODEL_HERE if name != "batch_size"),
                "a model here, and there is a `server`",
            )
        if self.upstream is None:
            idle |= dict.fromkeys(OF_UPSTREAM, "an `upstream`")
        return idle


@dataclass(frozen=True)
class ServeResult:
    """What was done until the server was told to stop."""

    metrics: dict[str, Any]
    """As `Guard.metrics()` gives them."""


def serve(config: ServeConfig | None = None, *, report: Reporter = SILENT) -> ServeResult:
    """Answer requests until Ctrl-C or SIGTERM, or until `grace` is over after it; those in flight
    are answered first.

    Raises:
        FieldError: a field that does not fit the others; a host that others reach, without a token;
            a port that is taken.
        UsageError: a key that cannot be had.
        EstimatorError, BackendError, PolicyError: what loading an estimator and a policy raises.
        MissingExtraError: without Starlette and uvicorn.
    """
    config = config or ServeConfig()
    refuse_idle(config)
    try:
        import uvicorn

        from ct_guard.serving import application
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("starlette", "uvicorn"):
            raise MissingExtraError("a server", "serve") from None
        raise
    settings = _settings(config)
    with _listening(config) as place:
        guard = _guard(config)
        for line in _remarks(config, guard):
            report.note(line)
        server = uvicorn.Server(
            uvicorn.Config(
                application(guard, settings),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(config.grace),
            )
        )
        report.tell(f"Serving {guard.estimator.name} ({guard.policy.name}) at {_url(place)}")
        _run(server, place)
        metrics = guard.metrics()
        try:
            guard.close()
        except DeadlineError:  # every request has had its answer by now
            report.note("A scoring that nobody waits for still ran: it is given up.")
    return ServeResult(metrics)


def _guard(config: ServeConfig) -> "Guard":
    from ct_guard.guard import Guard, ScoreCache

    from .scoring import estimator_of

    known = {field.name for field in fields(ScoreConfig)} - {"on_error"}
    named = {field.name: getattr(config, field.name) for field in fields(config)}
    loaded = estimator_of(ScoreConfig(**{name: named[name] for name in known & named.keys()}))
    cache = None if loaded.reads_together else ScoreCache(path=config.cache)
    return Guard(
        loaded, config.policy, on_error=config.on_error, deadline=config.deadline, cache=cache
    )


def _settings(config: ServeConfig) -> "Settings":
    from ct_guard.serving import Settings, Upstream, is_loopback

    token = _key(config.token_env, config.token_file)
    if not token and not is_loopback(config.host):
        raise FieldError(
            f"`host` {config.host} is reached by others: give a token, by `token_env` or"
            " `token_file`, or keep 127.0.0.1"
        )
    upstream = None
    if config.upstream is not None:
        key = _key(config.upstream_key_env, config.upstream_key_file)
        seconds = config.upstream_timeout or Upstream.timeout
        upstream = Upstream(config.upstream, key, seconds, tuple(config.stronger))
    return Settings(
        upstream=upstream,
        token=token,
        most_bytes=config.most_bytes,
        most_requests=config.most_requests,
        abstain_message=config.abstain_message,
    )


def _key(variable: str | None, file: str | Path | None) -> str:
    if variable is not None:
        return key_from(variable)
    return "" if file is None else key_in(file)


@contextmanager
def _listening(config: ServeConfig) -> Iterator[socket.socket]:
    """The place, taken before anything is loaded."""
    from ct_guard.serving import listening_socket

    try:
        place = listening_socket(config.host, config.port)
    except OSError as error:
        raise FieldError(
            f"`host` {config.host} and `port` {config.port} cannot be had: {error.strerror}: give"
            " another port"
        ) from None
    with place:
        yield place


def _url(place: socket.socket) -> str:
    host, port = place.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _remarks(config: ServeConfig, guard: "Guard") -> Iterator[str]:
    if config.upstream is None:
        yield "No `upstream`: chats are not forwarded; rows, decisions and guardrails are answered."
    if guard.policy.name == "annotate":
        yield "Every answer passes, with its confidence; `policy` 0.7 withholds those below."


def _run(server: "uvicorn.Server", place: socket.socket) -> None:
    """Until the server ends. Signals that ended it are carried out with that: the process goes on
    to its own end."""
    if threading.current_thread() is not threading.main_thread():
        server.run(sockets=[place])
        return
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        server.run(sockets=[place])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
