"""Baselines: estimators that need no tuning, made for any base model by name."""

from pathlib import Path
from typing import Literal

from ct_guard.backends import Backend
from ct_guard.datasets.answerers import style_of
from ct_guard.errors import UsageError
from ct_guard.methods import METHODS, baselines
from ct_guard.store import (
    EMBEDDED,
    MINI,
    Asking,
    BaseModelRef,
    Manifest,
    load_manifest,
    locate,
)

from .methods.verbalized import ASKING

__all__ = ["baseline_manifest", "cost_of", "named_baseline"]


def named_baseline(source: object, base: str | Path | None) -> tuple[str, str | Path] | None:
    """The baseline and its base that `source` names: `sampling` with a base, or `mini:sampling`.
    None where it names something else: a directory of that name goes first.

    Raises UsageError for a baseline without a base, and for the question prior, which has no name
    before it is fitted.
    """
    text = str(source)
    if (
        text.startswith("mini:")
        and text[5:] in baselines(by_name=True)
        and not (MINI / text[5:]).is_dir()
    ):
        return text[5:], base if base is not None else "mini"
    if text in ("question_prior", "mini:question_prior") and not Path(text).is_dir():
        raise UsageError(
            "'question_prior' is fitted on graded rows before it scores: make a directory of it"
            " with 'ct-guard baseline question_prior --graded FILE -o DIR'"
        )
    if text not in baselines(by_name=True) or Path(text).is_dir():
        return None
    if base is None:
        raise UsageError(
            f"{text!r} is a baseline over any base model: name one with `base` (a directory, a hub"
            f" id, or 'mini'), or take 'mini:{text}'"
        )
    return text, base


def cost_of(manifest: Manifest) -> str | None:
    """What an answer costs with a method that has the model generate; None for the others, which
    read each answer once."""
    asking = manifest.asking
    if asking is None:
        return None
    if manifest.method == "verbalized":
        return f"one prefill and up to {asking.max_tokens} new tokens an answer"
    return f"{asking.samples} sampled answers a question, up to {asking.max_tokens} new tokens each"


def baseline_manifest(
    method: str,
    base: str | Path,
    engine: Backend,
    *,
    asking: Asking | None = None,
    label_orders: Literal["fixed", "both"] = "fixed",
    quantization: Literal["8bit", "4bit"] | None = None,
) -> Manifest:
    """The manifest of a baseline over `base`, which `engine` has loaded, in `quantization`. Nothing
    is calibrated.

    Raises UsageError for a method that is no baseline, and where both label orders make no sense.
    """
    known = baselines(by_name=True)
    if method not in known:
        raise UsageError(f"{method!r} is no baseline: there are {', '.join(known)}")
    spec = METHODS[method]
    if label_orders == "both" and not spec.both_orders:
        raise UsageError(
            f"both label orders are for the query, and {method} does not ask it: use zero-shot"
        )
    if method == "verbalized":
        asking = ASKING
    elif "replies" in spec.evidence:
        asking = asking or Asking()
    else:
        asking = None
    own_path = str(base) != EMBEDDED and Path(base).exists()
    manifest = Manifest(
        name=f"{Path(base).name}:{method}",
        method=method,
        base=BaseModelRef(
            id=str(Path(base).resolve()) if own_path else str(base),
            fingerprint=engine.fingerprint,
            digests=(engine.digest,) if engine.digest else (),
            quantization=quantization,
        ),
        style=style_of(engine, "auto"),
        asking=asking,
        label_orders=label_orders,
    )
    if str(base) != EMBEDDED:
        return manifest
    mini = load_manifest(locate("mini"))
    same = {"style": mini.style, "budget": mini.budget, "scope": mini.scope}
    return manifest.model_copy(update=same)
