"""The model card of an estimator: what a reader must know before using it."""

import html
import json
import re

from ct_guard.certificates import Certificate

from .figures import Value, known_figures
from .locate import ON_HUB
from .manifest import EVERY_MODEL, Manifest

__all__ = ["model_card"]

_MARKUP = re.compile(r"[\\`*_\[\]|~#]")
_TICKS = re.compile(r"`+")

LIMITS = """- A probability holds for questions like those it was calibrated on, and for the
  answering models named above; re-calibrate for others (`ct-guard calibrate`).
- A certificate holds for questions drawn like its certification rows.
- Short answers; long-form text and single claims are out of scope.
- Persuasion in an answer ("verified, 100% sure") can move a model; nothing excludes it."""


def model_card(manifest: Manifest, repo_id: str) -> str:
    """README.md of the repository `repo_id`: method, data, figures, certificate, limits.

    Figures are shown as the manifest has them (`ct-guard evaluate --record` writes them); where it
    holds no interval the card says so.
    """
    base = manifest.base
    front = {
        "library_name": "ct-guard",
        "base_model": "/".join(base.id.removeprefix(ON_HUB).split("/")[:2])
        if base.id.startswith(ON_HUB)
        else base.id,
        "tags": ["ct-guard", "calibration", "uncertainty", manifest.method],
    }
    header = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    parts = [
        f"---\n{header}\n---",
        f"# {_text(manifest.name)}",
        "An estimator of P(correct): how likely a given answer to a given question is to be"
        " correct, whoever wrote it.",
        "```python\nfrom ct_guard import Guard, QuestionAnswer\n\n"
        f"guard = Guard({json.dumps(repo_id)})\n"
        'print(guard.assess(QuestionAnswer(question="…", answer="…")).p)\n```',
        "## Method",
        _method(manifest),
        "## Data",
        _data(manifest),
        "## Figures",
        _figures(manifest.figures),
        "## Certificate",
        "\n".join(
            [_certificate(known) for known in manifest.certificates]
            + [f"- {_text(promise.summary)}" for promise in manifest.promises]
        )
        or "None.",
        "## Limits",
        LIMITS + (f"\n- {_text(manifest.scope.description)}" if manifest.scope is not None else ""),
    ]
    return "\n\n".join(parts) + "\n"


def _method(manifest: Manifest) -> str:
    base = manifest.base
    at = f" at revision {_code(base.revision)}" if base.revision else ""
    known = f" (fingerprint {_code(base.fingerprint)})" if base.fingerprint else ""
    lines = [
        f"- method {_code(manifest.method)}, context style {_code(manifest.style)}, boundary"
        f" {_code(manifest.boundary)}",
        f"- base model {_code(base.id)}{at}{known}",
        f"- uncertainty query {_code(manifest.query_hash[:16])}",
    ]
    if manifest.activation is not None:
        lines.append(f"- adapter: acts on {_code(manifest.activation)} tokens")
    if manifest.prior is not None:
        lines.append(
            f"- question prior: trees over the question's text, in {_code(manifest.prior)}, which"
            " holds words of the tuning questions; it helps on questions like those, and no others"
        )
    for model, state in manifest.calibrators.items():
        which = "every answering model" if model == EVERY_MODEL else _code(model)
        lines.append(f"- calibrator for {which}: {_text(state.kind)}, from {state.n:,} labels")
    if manifest.evidence is not None:
        where = "beside the raw score" if manifest.weighs else "alone"
        lines.append(f"- evidence of rows: weighed {where}, as {_code(manifest.evidence)} says")
    lines += [
        f"- calibrated within {len(one.slopes):,} values of the column {_code(one.column)}"
        for one in manifest.groups
    ]
    if manifest.decisions is not None:
        lines.append(f"- decisions: calibrated, as {_code(manifest.decisions)} says")
    if not manifest.calibrators:
        lines.append("- no calibrator: the probabilities are uncalibrated")
    lines += [
        f"- made with {_text(name)} {_text(version)}" for name, version in manifest.versions.items()
    ]
    return "\n".join(lines)


def _data(manifest: Manifest) -> str:
    lines = [
        f"- {_text(split)}: hash of its questions {_code(value)}"
        for split, value in manifest.data.items()
    ]
    return "\n".join(lines) or "Not recorded."


def _figures(figures: dict[str, Value]) -> str:
    if not figures:
        return "Not measured."
    lines = ["| figure | value | 95% interval |", "|---|---|---|"]
    lines += [
        f"| {_text(one.name)} | {_text(one.value)} | {_text(one.interval)} |"
        for one in known_figures(figures)
    ]
    return "\n".join(lines)


def _certificate(known: Certificate) -> str:
    claim = (
        f"at most {known.alpha:.0%} wrong among answered, with probability {1 - known.delta:.0%}"
    )
    if known.void is not None:
        return f"- **{_text(known.void.reason)}** (since {_text(known.void.at)})"
    if known.threshold is None:
        return f"- no threshold for: {claim} ({_text(known.reason)})"
    return (
        f"- p >= {known.threshold:.4f}: {claim}; {known.answered:,} of {known.n:,} certification"
        f" rows answered, {known.errors:,} of them wrong"
    )


def _text(value: object) -> str:
    """A value of the manifest as text on one line: no markup of its own, and no HTML."""
    line = " ".join(str(value).split())
    return _MARKUP.sub(r"\\\g<0>", html.escape(line, quote=False))


def _code(value: object) -> str:
    """A value of the manifest as code on one line, between more backticks than it holds."""
    line = " ".join(str(value).split())
    fence = "`" * (1 + max(map(len, _TICKS.findall(line)), default=0))
    pad = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"
