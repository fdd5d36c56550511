"""`load_estimator`: from a name to an estimator that is verified and ready."""

import hashlib
import re
from pathlib import Path
from typing import Any

from ct_guard.backends import Adapter, Backend, Item, self_test
from ct_guard.certificates import Arithmetic
from ct_guard.errors import ManifestError, MismatchError
from ct_guard.query import MIN_ROOM, QUERY_HASH, TEMPLATE_DATE, build_query
from ct_guard.store import (
    MANIFEST,
    Manifest,
    base_place,
    load_manifest,
    locate,
    manifest_text,
)
from ct_guard.store.lora_config import read_lora_config

from .baselines import baseline_manifest, named_baseline
from .bases import BaseLoader
from .estimator import Estimator
from .fields import field_reader_for
from .methods import Method, TextMethod, make_method
from .novelty import novelty_for, state_wants, states_of
from .weighing import weighing_of

__all__ = ["load_estimator"]


_COMMIT = re.compile(r"[0-9a-f]{40}")


def load_estimator(
    source: str | Path | Estimator,
    *,
    backend: str | Backend = "transformers",
    server: str | None = None,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    refusals: bool = True,
    revision: str | None = None,
    offline: bool = False,
    **options: Any,
) -> Estimator:
    """Load an estimator: a directory, `mini` (embedded), `mini:query`…, or an id of the hub's
    (`owner/name`, at `revision`), the paper's adapters (`ct_guard.store.PUBLISHED`) among them;
    an Estimator passes. The name of a baseline (`sampling`, `likelihood`…) makes it over `base`: a
    path, a hub id, `mini`.

    With `offline`, an estimator of the hub's comes from the local cache only.
    `backend` is "transformers" or "llama_cpp" (GGUF files), or a backend that is loaded already.
    `server` is the URL of a vLLM, SGLang or llama-server that runs the base in its place; of the
    base's files only the tokenizer is read then.
    `base` replaces the base model's location (its fingerprint must still fit); `batch_size` None
    starts large and halves when memory runs out. `options` are the backend's own, such as `n_ctx`
    and `threads` of llama_cpp, `quantization` of transformers ("8bit", "4bit", None; left out:
    as it was tuned), or `model`, `adapter`, `key_env`, `key_file` and `timeout` of a server: see
    its `load`. Verified before anything is scored: file hashes,
    query, base fingerprint, labels, and the backend's arithmetic.

    Raises EstimatorError or one of its children, in one line that says what does not fit.
    """
    if isinstance(source, Estimator):
        return source
    loader = BaseLoader(backend, server, device, dtype, batch_size, options)
    named = named_baseline(source, base)
    if named is not None:
        engine = loader.over(base_place(named[1], offline=offline))
        manifest = baseline_manifest(*named, engine)
        digest = manifest_text(manifest).encode()
        return _over(engine, manifest, Path(manifest.name), digest, refusals=refusals)
    folder = locate(source, revision, offline=offline)
    manifest, digest = load_manifest(folder), (folder / MANIFEST).read_bytes()
    _check_version(manifest, folder)
    if not manifest.spec.has_base:
        loader.check_backend()  # misspelt, it says so here as it does over a base
        return _without_base(manifest, folder, digest, refusals=refusals)
    if manifest.adapter is not None and loader.name == "transformers":
        read_lora_config(folder / manifest.adapter, on_query=manifest.activation == "query")
    engine = _base_over(loader, manifest, folder, base, offline=offline)
    return _over(engine, manifest, folder, digest, refusals=refusals)


def _without_base(manifest: Manifest, folder: Path, digest: bytes, *, refusals: bool) -> Estimator:
    """The estimator of a method that reads no base model."""
    return Estimator(
        manifest=manifest,
        method=make_method(manifest, folder),
        backend=None,
        query=None,
        adapter=None,
        fingerprint=_fingerprint(digest),
        weighing=weighing_of(manifest, folder),
        refusals=refusals,
        folder=folder,
    )


def _base_over(
    loader: BaseLoader, manifest: Manifest, folder: Path, base: str | Path | None, *, offline: bool
) -> Backend:
    """The backend over the base that the manifest names, or over `base` in its place."""
    if not isinstance(loader.backend, str):
        return loader.backend
    where = (
        base_place(base, revision=manifest.base.revision, offline=offline)
        if base is not None
        else _base_of(manifest, folder, offline=offline)
    )
    _check_revision(manifest, where)
    if loader.name == "transformers" and manifest.base.quantization is not None:
        loader = loader.with_default(quantization=manifest.base.quantization)
    return loader.over(where, manifest.base.revision)


def _over(
    engine: Backend, manifest: Manifest, folder: Path, digest: bytes, *, refusals: bool
) -> Estimator:
    """The estimator over its base: what does not fit is refused, and the arithmetic tried."""
    _check_base(engine, manifest, folder)
    query = build_query(manifest.style, engine.encoder, manifest.label_ids)
    budget = min(manifest.budget or engine.max_tokens, engine.max_tokens)
    if budget < len(query.ids) + MIN_ROOM:
        raise MismatchError(
            f"{folder}: a budget of {budget} tokens leaves no room beside the query"
        )
    adapter = _adapter_of(manifest, folder, engine)
    method = make_method(manifest, folder, engine)
    _check_capabilities(engine, manifest, method)
    self_test(engine, query, adapter)
    novelty = novelty_for(manifest, folder, Arithmetic(backend=engine.name, format=engine.format))
    if not isinstance(method, TextMethod) and (_reads_hidden(manifest) or novelty is not None):
        probe = Item(tuple(engine.encoder.encode("?")), tuple(engine.encoder.encode(" ?")))
        wants = method.wants | (state_wants(method) if novelty is not None else frozenset())
        batch = engine.score([probe], query, adapter, wants)
        method.logits(batch, ["?"])
        if novelty is not None:
            novelty.p(states_of(method, batch))
    return Estimator(
        manifest=manifest,
        method=method,
        backend=engine,
        query=query,
        adapter=adapter,
        fingerprint=_fingerprint(digest),
        novelty=novelty,
        weighing=weighing_of(manifest, folder),
        swapped=build_query(manifest.style, engine.encoder, manifest.label_ids, swapped=True)
        if manifest.label_orders == "both"
        else None,
        refusals=refusals,
        reader=None
        if isinstance(method, TextMethod)
        else field_reader_for(manifest, folder, engine, query, adapter),
        folder=folder if (folder / MANIFEST).is_file() else None,
    )


def _check_base(engine: Backend, manifest: Manifest, folder: Path) -> None:
    """Raise MismatchError where it was made over another base."""
    expected, served = manifest.base.fingerprint, engine.capabilities.served
    unknown = served and not engine.fingerprint  # only its tokenizer is here
    if expected and not unknown and engine.fingerprint != expected:
        raise MismatchError(
            f"{folder} was made for the base model {manifest.base.id!r} ({expected}), but this base"
            f" is another ({engine.fingerprint or 'unknown'}): give the right one with `base`"
            + (f", at revision {manifest.base.revision}" if manifest.base.revision else "")
        )
    if manifest.base.digests and not served and engine.digest not in manifest.base.digests:
        raise MismatchError(
            f"{folder}: the weights, configuration or tokenizer of its base model"
            f" {manifest.base.id!r} are not those that it was made with: they were changed or"
            " damaged; fetch the base again, or, where you converted it, write the file by"
            " 'ct-guard export gguf'"
        )
    if not all(0 <= token < engine.vocabulary_size for token in manifest.label_ids or ()):
        raise MismatchError(
            f"{folder}: the label ids {manifest.label_ids} are not in the base model's vocabulary"
            f" of {engine.vocabulary_size}"
        )


def _adapter_of(manifest: Manifest, folder: Path, engine: Backend) -> Adapter | None:
    """Raises MismatchError where the backend cannot have it act as it was tuned."""
    if manifest.adapter is None or manifest.activation is None:
        return None
    if manifest.activation not in engine.capabilities.activations:
        way = (
            ": serve the estimator on llama-server ('ct-guard export gguf' makes its files), or"
            " tune it with 'ct-guard tune --activation all'"
            if engine.capabilities.served
            else ""
        )
        raise MismatchError(
            f"the adapter acts on {manifest.activation!r} tokens, which the backend"
            f" {engine.name} cannot do{way}"
        )
    path = folder / manifest.adapter
    if engine.name == "llama_cpp":
        _check_gguf_adapter(manifest, folder)
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    return Adapter(f"{manifest.method}-{place}", path, manifest.activation)


def _check_capabilities(engine: Backend, manifest: Manifest, method: Method | TextMethod) -> None:
    """Raise MismatchError where the backend cannot do what the method asks of it."""
    if isinstance(method, TextMethod) and not engine.capabilities.generates:
        raise MismatchError(
            f"the method {manifest.method!r} has the base model answer, and the backend"
            f" {engine.name} cannot generate: use `backend` transformers or llama_cpp"
        )
    if _reads_hidden(manifest) and not engine.capabilities.hidden_states:
        raise MismatchError(
            f"the method {manifest.method!r} reads hidden states, which the backend {engine.name}"
            " does not give: use `backend` transformers"
        )


def _reads_hidden(manifest: Manifest) -> bool:
    return "hidden" in manifest.spec.evidence


def _fingerprint(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()[:16]


def _check_version(manifest: Manifest, folder: Path) -> None:
    """Raise MismatchError where this version would ask, or frame, otherwise than it was made."""
    if manifest.query_hash != QUERY_HASH:
        raise MismatchError(
            f"{folder} was tuned on another uncertainty query ({manifest.query_hash[:12]}) than"
            f" this version asks ({QUERY_HASH[:12]}): use the ct-guard that made it, or tune again"
        )
    if manifest.template_date != TEMPLATE_DATE:
        raise MismatchError(
            f"{folder} was made for chat templates on the day {manifest.template_date}, which is"
            f" {TEMPLATE_DATE} in this version: use the ct-guard that made it, or make it again"
        )


def _check_gguf_adapter(manifest: Manifest, folder: Path) -> None:
    """Raise ManifestError unless the file that llama.cpp reads is there and hashed."""
    from ct_guard.backends.llama_cpp import ADAPTER_FILE

    if f"{manifest.adapter}/{ADAPTER_FILE}" not in manifest.files:
        raise ManifestError(
            f"{folder} has no {ADAPTER_FILE}, which the backend llama_cpp reads: make it with"
            " 'ct-guard export gguf'"
        )


def _check_revision(manifest: Manifest, base: str | Path) -> None:
    """Raise MismatchError where the base is the hub client's snapshot of another commit."""
    expected, place = manifest.base.revision, Path(base).absolute()
    commit = place.name if place.parent.name == "snapshots" else None
    if commit and expected and _COMMIT.fullmatch(expected) and commit != expected:
        raise MismatchError(
            f"{manifest.name} was made on revision {expected} of {manifest.base.id}, and {base} is"
            f" revision {commit}: give the right one with `base`, or leave `base` out"
        )


def _base_of(manifest: Manifest, folder: Path, *, offline: bool) -> str | Path:
    if not manifest.base.id:
        raise MismatchError(f"{folder} names no base model: give it with `base`")
    base = base_place(manifest.base.id, folder, revision=manifest.base.revision, offline=offline)
    if manifest.base.id.startswith(".") and not Path(base).exists():
        raise MismatchError(f"the base model of {folder} is not at {base}: give it with `base`")
    return base
