"""`ct-guard inspect`: what an estimator is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shown import shown

if TYPE_CHECKING:
    from ct_guard.store import Manifest

__all__ = ["command"]

Line = tuple[str, str]
"""A name, and what is shown behind it."""


@click.command("inspect")
@click.argument("estimator")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(estimator: str, as_json: bool) -> None:
    """Show what ESTIMATOR (a directory, 'mini', 'mini:query', …, or a published adapter's id) is
    made of, and verify it.

    Reads the manifest and the hashes of all its files; loads no model.
    """
    from ct_guard.store import load_manifest, locate

    folder = locate(estimator)
    manifest = load_manifest(folder)
    if as_json:
        click.echo(json.dumps(manifest.model_dump(mode="json"), indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for name, value in [*_lines(manifest), ("base files", _base_verdict(manifest, folder))]:
        console.print(Text(f"{name:<15}", style="bold"), Text(shown(value)), sep="")
    console.print(Text(f"{'directory':<15}", style="bold"), Text(shown(str(folder))), sep="")


def _lines(manifest: "Manifest") -> list[Line]:
    return [
        *_made_of(manifest),
        *_asked(manifest),
        *_probabilities(manifest),
        *(_certificates(manifest) or [("certificate", "none")]),
        *(("promise", one.summary) for one in manifest.promises),
        *_figures(manifest),
        *_origins(manifest),
    ]


def _made_of(manifest: "Manifest") -> list[Line]:
    from ct_guard.query import QUERY_HASH

    same = "this version's" if manifest.query_hash == QUERY_HASH else "NOT this version's"
    return [
        ("name", manifest.name),
        ("method", manifest.method),
        ("base", _base(manifest)),
        ("context style", f"{manifest.style}, boundary {manifest.boundary}"),
        ("query", f"{manifest.query_hash[:16]} ({same})"),
        ("labels", "looked up" if manifest.label_ids is None else f"ids {manifest.label_ids}"),
        ("adapter", f"acts on {manifest.activation} tokens" if manifest.adapter else "none"),
        ("probe", f"a head in {manifest.probe}" if manifest.probe else "none"),
        (
            "question prior",
            f"trees in {manifest.prior}, with words of the tuning questions"
            if manifest.prior
            else "none",
        ),
        ("ood", _ood(manifest)),
        ("noise", _noise(manifest)),
        ("evidence", _evidence(manifest)),
        ("budget", f"{manifest.budget} tokens" if manifest.budget else "what the base reads"),
        ("files", f"{len(manifest.files)} verified against their SHA-256"),
    ]


def _base(manifest: "Manifest") -> str:
    if not manifest.spec.has_base:
        return "no model"
    base = manifest.base
    named = f"{base.id} {base.revision or ''}".strip()
    if base.fingerprint:
        named += f" (fingerprint {base.fingerprint})"
    return named + (f", loaded in {base.quantization}" if base.quantization else "")


def _ood(manifest: "Manifest") -> str:
    by = manifest.novelty_by
    if manifest.novelty and by:
        return f"p-value over the rows in {manifest.novelty}, on {by.backend} in {by.format}"
    if manifest.spec.measures_ood:
        return "not measured: fit it with 'ct-guard calibrate --ood'"
    return "not measured by this method"


def _noise(manifest: "Manifest") -> str:
    """Of the number formats that it has been computed in."""
    if not manifest.spec.has_base:
        return "none: no model is asked"
    computed = [manifest.novelty_by, *(known.arithmetic for known in manifest.certificates)]
    known = dict.fromkeys(str(one) for one in computed if one and one.noise is not None)
    if known:
        return "; ".join(known)
    return "not recorded: 'ct-guard doctor --base BASE --check' measures it, and so does every load"


def _evidence(manifest: "Manifest") -> str:
    if manifest.evidence is None:
        return "none"
    return f"in {manifest.evidence}" + (", weighed beside the raw score" if manifest.weighs else "")


def _asked(manifest: "Manifest") -> list[Line]:
    """How the base is asked, where that is not the one query."""
    from ct_guard.estimators.baselines import cost_of

    lines = []
    if manifest.label_orders == "both":
        lines.append(("label orders", "both, averaged"))
    if manifest.method == "sampling" and (asking := manifest.asking) is not None:
        said = f"k {asking.samples}, temperature {asking.temperature:g}, seed {asking.seed}"
        lines.append(("sampling", f"{said}, agreement by the grader {asking.grader}"))
    if (cost := cost_of(manifest)) is not None:
        lines.append(("cost", cost))
    return lines


def _probabilities(manifest: "Manifest") -> list[Line]:
    lines = []
    for model, state in manifest.calibrators.items():
        which = "every model" if model == "*" else model
        shown = ", ".join(f"{key}={value:.4g}" for key, value in state.params.items()
                          if isinstance(value, float))  # fmt: skip
        labels = f"from {state.n:,} labels" if state.n else "labels not recorded"
        lines.append(("calibrator", f"{which}: {state.kind} ({shown}), {labels}"))
    for model, layer in manifest.provider.items():
        coef = ", ".join(
            f"{name} {value:+.2f}" for name, value in zip(layer.features, layer.coef, strict=True)
        )
        lines.append(("log-probabilities", f"of {model}, where given: {coef}"))
    lines += [
        ("groups", f"{len(one.slopes):,} values of {one.column}, penalty {one.penalty:g}")
        for one in manifest.groups
    ]
    if not manifest.calibrators:
        lines.append(("calibrator", "none: probabilities are uncalibrated"))
    return lines


def _certificates(manifest: "Manifest") -> list[Line]:
    lines = []
    for known in manifest.certificates:
        claim = (
            f"at most {known.alpha:.0%} wrong among answered, with probability"
            f" {1 - known.delta:.0%}"
        )
        if known.grader_false_pass:
            claim += f" (of wrong answers, the grader passes {known.grader_false_pass:.0%})"
        if known.arithmetic is not None:
            claim += f", on scores by {known.arithmetic}"
        if known.void is not None:
            said = f"{known.void.reason} (since {known.void.at})"
        elif known.threshold is None:
            said = f"no threshold for {claim}: {known.reason}"
        else:
            said = (
                f"p >= {known.threshold:.3f}: {claim}; answers {known.coverage:.0%} of the"
                f" {known.n:,} certification rows, {known.errors} of them wrong"
            )
        lines.append(("certificate", said))
    return lines


def _figures(manifest: "Manifest") -> list[Line]:
    from ct_guard.store.figures import known_figures

    lines = []
    for figure in known_figures(manifest.figures):
        interval = f" (95% interval {figure.interval})" if figure.has_interval else ""
        lines.append(("figure", f"{figure.name}: {figure.value}{interval}"))
    return lines


def _origins(manifest: "Manifest") -> list[Line]:
    lines = [("data", f"{name}: {value}") for name, value in manifest.data.items()]
    if manifest.scope is not None:
        lines.append(("scope", manifest.scope.description))
    lines += [("found", f"{name}: {value}") for name, value in manifest.found.items()]
    lines += [("assumed", f"{name}: {value}") for name, value in manifest.assumed.items()]
    return lines + [("made with", f"{name} {value}") for name, value in manifest.versions.items()]


def _base_verdict(manifest: "Manifest", folder: Path) -> str:
    from ct_guard.backends.fingerprint import digest, fingerprint
    from ct_guard.store import EMBEDDED, base_place

    if not manifest.base.fingerprint:
        return "no fingerprint is recorded: any base is accepted"
    if not manifest.base.id.startswith(".") and manifest.base.id != EMBEDDED:
        return "verified when the estimator is loaded"
    place = Path(base_place(manifest.base.id, folder))
    same = fingerprint(place) == manifest.base.fingerprint
    if same and manifest.base.digests:
        same = digest(place) in manifest.base.digests
    return "verified" if same else "DIFFER from the fingerprint: the estimator will be refused"
