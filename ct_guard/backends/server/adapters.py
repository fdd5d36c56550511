"""Which of a server's LoRAs is the estimator's?"""

from pathlib import Path

from ct_guard.backends.base import Adapter
from ct_guard.errors import MismatchError
from ct_guard.query import Query

from .dialect import Dialect, Served

__all__ = ["find_adapter"]


def find_adapter(
    adapter: Adapter, query: Query, wanted: str | None, dialect: Dialect, url: str
) -> Served:
    """The one named `wanted`, else the one that is called like the estimator's directory, or that
    the server has from there: another adapter would score without an error, and wrongly.

    Raises MismatchError where there is none, or it acts elsewhere than it was tuned to.
    """
    known = dialect.about.adapters
    folder = adapter.path.resolve().parent.name
    how = dialect.loading.format(name=folder, path=adapter.path)
    if wanted is not None:
        found = [one for one in known if wanted in (one.name, one.place)]
    else:
        found = [one for one in known if one.name == folder or _is_at(one.place, adapter.path)]
    if not found:
        there = ", ".join(one.name for one in known) or "none"
        if wanted is None and known:
            raise MismatchError(
                f"which adapter of {url} is the estimator's? It has {there}: name it with"
                f" --server-adapter, or start the server with {how}"
            )
        raise MismatchError(
            f"{url} has no adapter {wanted or folder!r} (there: {there}): start the server with"
            f" {how}"
        )
    _check_activation(adapter, query, found[0], dialect, url)
    return found[0]


def _check_activation(
    adapter: Adapter, query: Query, served: Served, dialect: Dialect, url: str
) -> None:
    """What the server says of where it acts, if it does."""
    if not dialect.tells_where:
        return
    right = query.ids[1:] if adapter.activation == "query" else ()
    if served.invocation == right:
        if right and dialect.about.slots not in (None, 1):
            raise MismatchError(
                f"{url} computes {dialect.about.slots} requests side by side, and then has the"
                f" adapter {served.name!r} act on other requests' tokens: start llama-server with"
                " --parallel 1"
            )
        return
    said = "other tokens than this query" if served.invocation else "all tokens"
    raise MismatchError(
        f"the adapter {served.name!r} of {url} acts on {said}, and the estimator's on"
        f" {'the query alone' if right else 'all tokens'}: serve {adapter.path}/adapter.gguf, which"
        " 'ct-guard export gguf' makes"
    )


def _is_at(place: str, folder: Path) -> bool:
    if not place:
        return False
    path = Path(place)
    return folder.resolve() in (path.resolve(), path.resolve().parent)
