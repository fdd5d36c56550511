"""How a server is set up, beside its guard."""

from dataclasses import dataclass, field

from ct_guard.errors import UsageError
from ct_guard.policies import ABSTAIN_MESSAGE
from ct_guard.remote import checked_url

__all__ = ["Settings", "Upstream"]

LIKE = "http://localhost:8000/v1"


@dataclass(frozen=True)
class Upstream:
    """The server of chat models that requests are forwarded to.

    Raises UsageError for a URL that is none, or that holds credentials.
    """

    url: str
    """Its `base_url`, as clients of OpenAI's API are given it."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token. Empty: the client's own, unless this server wants a token itself."""
    timeout: float = 600.0
    """Seconds that it may be silent."""
    stronger: tuple[str, ...] = ()
    """Names of models, from weak to strong, that a policy may escalate to."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", checked_url(self.url, like=LIKE))
        if not self.timeout > 0:
            raise UsageError(f"a timeout is a time in seconds above 0, not {self.timeout!r}")


@dataclass(frozen=True)
class Settings:
    """Raises UsageError for limits below 1."""

    upstream: Upstream | None = None
    token: str = field(default="", repr=False)
    """What clients must show. Empty: requests are answered on this machine only."""
    most_bytes: int = 4 << 20
    """Of a request's body."""
    most_requests: int = 256
    """That are answered at a time."""
    abstain_message: str = ABSTAIN_MESSAGE
    """What stands in for an answer that is withheld."""

    def __post_init__(self) -> None:
        for name in ("most_bytes", "most_requests"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is a number of at least 1, not {getattr(self, name)!r}")
