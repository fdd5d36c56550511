"""Where the figures of a page come from, and what it leaves out, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ct_guard import __version__
from ct_guard.evaluation import Scored
from ct_guard.store import Manifest

from .examples import Examples
from .slices import MOST_SLICES

__all__ = ["Source", "left_out", "provenance", "twice"]


@dataclass(frozen=True)
class Source:
    """An estimator on the rows: those of every source are the same answers in the same order."""

    name: str
    rows: Scored
    manifest: Manifest | None = None
    remarks: tuple[str, ...] = ()
    digest: str | None = None
    """SHA-256 of the file."""


def twice(rows: Scored) -> list[str]:
    """Answers that stand in the file more than once, and so count more than once."""
    keys = [(row.id, row.model, row.question, row.answer) for row in rows.graded]
    seen = Counter(keys)
    again = [key for key, count in seen.items() if count > 1]
    if not again:
        return []
    extra = sum(seen[key] - 1 for key in again)
    first = rows.graded[keys.index(again[0])]
    named = "" if first.id is None else f", id {first.id}"
    return [
        f"{extra:,} rows repeat an answer that stands in the file already (the first: {first.where}"
        f"{named}): each counts; remove them where they are copies."
    ]


def left_out(
    rows: Scored, shown: Examples, within: Mapping[str, Sequence[str]], resamples: int
) -> list[str]:
    """What of the rows, the resamples, the curves and the slices a reader does not see."""
    said = [
        f"Every figure is of all {len(rows):,} rows. {len(shown.rows):,} of them are shown in"
        f" clear: of each estimator at most {shown.each:,} of the most confident mistakes and as"
        f" many of the least confident right answers, and {len(shown.sample):,} drawn at random."
        " Long texts are cut, and say so.",
        f"Intervals and bands are of {resamples:,} resamples of whole questions; `ct-guard"
        " evaluate` prints more figures, and puts the question prior beside them.",
        "Curves are drawn through 200 of the thresholds; the slider has all, and its counts are"
        " exact.",
    ]
    for column, values in within.items():
        count = len(set(values))
        if count > MOST_SLICES:
            said.append(
                f"Of {count:,} values of {column}, the {MOST_SLICES} with most rows are shown."
            )
    return said


def provenance(
    sources: Sequence[Source], made: str, again: Mapping[str, int]
) -> list[dict[str, str]]:
    """Of each estimator and of the page itself, what is known: `of` whom, `what`, its `value`."""
    found: list[dict[str, str]] = []

    def tell(of: str, what: str, value: object) -> None:
        if value not in (None, "", ()):
            found.append({"of": of, "what": what, "value": str(value)})

    for source in sources:
        rows, manifest = source.rows, source.manifest
        statuses = ", ".join(f"{count:,} {name}" for name, count in rows.statuses.items())
        tell(source.name, "file", rows.path)
        tell(source.name, "SHA-256 of the file", source.digest)
        tell(source.name, "rows", f"{rows.rows:,} ({statuses}); {rows.ungraded:,} not graded")
        tell(source.name, "scored by", ", ".join(rows.estimators))
        tell(source.name, "scorer", ", ".join(rows.scorers))
        tell(source.name, "arithmetic", "; ".join(map(str, rows.arithmetics)))
        if manifest is not None:
            versions = ", ".join(f"{name} {one}" for name, one in manifest.versions.items())
            tell(source.name, "estimator", f"{manifest.name}, {manifest.method}")
            tell(source.name, "base model", manifest.base.id)
            tell(source.name, "its revision", manifest.base.revision)
            for split, digest in manifest.data.items():
                tell(source.name, f"questions of its split {split}", digest)
            tell(source.name, "made with", versions)
    tell("this page", "made", made)
    tell("this page", "ct-guard", __version__)
    tell("this page", "resamples, seed", f"{again['resamples']:,}, {again['seed']}")
    return found
