"""Why a base model could not be loaded, in one line that says what to do."""

__all__ = ["loading_problem"]

_ADVICE = {
    "GatedRepoError": "it is gated: accept its licence on its page on the hub, then log in with"
    " 'hf auth login' or set HF_TOKEN",
    "RevisionNotFoundError": "it has no such revision: check the estimator's source",
    "RepositoryNotFoundError": "it is not on the hub, or is private: check the id, or log in with"
    " 'hf auth login'",
    "LocalEntryNotFoundError": "it is not in the local cache and the hub cannot be reached: fetch"
    " it once with a network ('hf download'), or give its directory",
    "OfflineModeIsEnabled": "it is not in the local cache and HF_HUB_OFFLINE is set: fetch it once"
    " with a network ('hf download'), or give its directory",
}
"""By the names of the hub client's errors: the client may not be installed. Most special first."""


def loading_problem(error: BaseException) -> str:
    """The advice for what went wrong on the hub, else the error's own first line."""
    names: set[str] = set()
    link: BaseException | None = error
    while link is not None:
        names.update(kind.__name__ for kind in type(link).__mro__)
        link = link.__cause__ or link.__context__
    for name, advice in _ADVICE.items():
        if name in names:
            return advice
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
