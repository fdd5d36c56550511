"""Rows of a set through the `datasets` library: from the hub, its cache, or a copy in a folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ct_guard.errors import InputError, MissingExtraError

from .spec import Fields, SetSpec

__all__ = ["LOCAL", "load_rows", "load_spec"]

LOCAL = "CT_GUARD_DATASETS"
"""Environment variable that names a folder of local copies."""
_KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
CONVERTED = "refs/convert/parquet"


def load_spec(
    spec: SetSpec, split: str, subject: str | None, folder: Path | None = None
) -> Sequence[Fields]:
    """Rows of a split of the hub's, of one subject. A copy at FOLDER/NAME (with a configuration of
    its own for each subject: FOLDER/NAME/SUBJECT) goes before the hub.

    Raises InputError in one line that says what to do, MissingExtraError without `datasets`.
    """
    config = subject if subject is not None and spec.subject_field is None else spec.config
    local = folder or (Path(os.environ[LOCAL]) if os.environ.get(LOCAL) else None)
    copy = local / spec.name if local is not None else None
    if copy is not None and subject is not None and spec.subject_field is None:
        copy /= subject
    if copy is not None and copy.exists():
        rows = load_rows(str(copy), split)
    elif spec.hub is None:
        raise InputError(
            f"{spec.name} is not on the hub, its authors hand it out on request: put it at"
            f" DIR/{spec.name}/{split}.csv, and give `dataset_dir` DIR"
        )
    else:
        rows = load_rows(spec.hub, split, config=config, converted=spec.converted)
    if subject is None or spec.subject_field is None:
        return rows
    wanted = subject.replace("_", " ")
    return [row for row in rows if row[spec.subject_field] == wanted]


def load_rows(
    where: str,
    split: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    converted: bool = False,
) -> Sequence[Fields]:
    """Rows of a hub set, or of a folder that `datasets` wrote or can read (Parquet, JSON, CSV)."""
    try:
        import datasets  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtraError("a question set by name", "datasets") from error
    folder = Path(where)
    options: dict[str, Any] = {}
    if converted:
        options = {
            "revision": CONVERTED,
            "data_files": {split: f"{config or '*'}/{split}/*.parquet"},
        }
    elif revision is not None:
        options = {"revision": revision}
    datasets.disable_progress_bars()
    try:
        if (folder / "dataset_dict.json").is_file():
            kept = datasets.load_from_disk(where)
            if split not in kept:
                raise ValueError(f"Unknown split {split!r}. Should be one of {sorted(kept)}.")
            rows: Any = kept[split]
        elif (folder / "state.json").is_file():
            rows = datasets.load_from_disk(where)
        elif files := _files(folder, split):
            kind = _KINDS[Path(files[0]).suffix]
            rows = datasets.load_dataset(kind, data_files={"rows": files}, split="rows")
        else:
            rows = datasets.load_dataset(
                where, None if converted else config, split=split, **options
            )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise InputError(_why(where, split, config, error)) from None
    return rows  # type: ignore[no-any-return]


def _files(folder: Path, split: str) -> list[str]:
    """Files of a folder named by the split: `train.parquet`, `train-00000-of-00002.parquet`…"""
    for suffix in _KINDS:
        for place in (folder, folder / "data"):
            if found := [*place.glob(f"{split}{suffix}"), *place.glob(f"{split}-*{suffix}")]:
                return [str(path) for path in sorted(found)]
    return []


def _why(where: str, split: str, config: str | None, error: Exception) -> str:
    """One line: what is wrong, and the way out. The library's text is cut to its first line."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    name = where + (f" ({config})" if config else "")
    if "gated" in said.lower():
        hint = f"accept its terms at https://huggingface.co/datasets/{where}, and set HF_TOKEN"
    elif isinstance(error, ConnectionError) or "offline" in said.lower():
        hint = "check the network, or put a copy into a folder and give `dataset_dir`"
    elif "split" in said.lower():
        hint = "name one of its splits"
    elif "config" in said.lower():
        hint = "name the configuration too: owner/name:config:split"
    else:
        hint = "check the name; a copy in a folder loads with `dataset_dir`"
    return f"the question set {name}, split {split!r}, cannot be loaded: {said.rstrip('.')}; {hint}"
