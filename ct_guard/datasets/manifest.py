"""The manifest of graded data: one JSON file beside it, that says what it was made from."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ct_guard.errors import InputError
from ct_guard.files.replacing import replacing
from ct_guard.records import Record

from .audit import Audit

__all__ = ["Counts", "DataManifest", "data_manifest_path", "load_data_manifest", "sha256_of"]

Settings = dict[str, str | float | int | bool | None]


class Counts(Record):
    """Rows of a graded file. An answer is right, wrong or unclear; a row without one is failed."""

    questions: int = Field(ge=0)
    right: int = Field(ge=0)
    wrong: int = Field(ge=0)
    unclear: int = Field(ge=0)
    failed: int = Field(ge=0)

    @property
    def rows(self) -> int:
        return self.right + self.wrong + self.unclear + self.failed

    @property
    def accuracy(self) -> float | None:
        """Share of right answers among those right or wrong; None without any."""
        graded = self.right + self.wrong
        return self.right / graded if graded else None


class DataManifest(Record):
    """What graded data is, and how far its grader is to be trusted."""

    schema_version: Literal[1] = 1
    source: str
    """Name of the file of questions."""
    source_sha256: str | None
    """None for a pipe."""
    sha256: str
    """Of the graded file itself."""
    gold: str
    """The column of the graded file that holds the gold answers."""
    grader: str
    grader_settings: Settings
    answering: Settings
    """Where the answers come from: model, sampling, prompt."""
    counts: Counts
    audit: Audit | None = None
    """What a person found, once a draw of the rows was checked."""
    version: str
    """Of ct-guard."""

    def save(self, graded: str | Path) -> None:
        """Write the manifest of the file `graded`, whole or not at all."""
        path = data_manifest_path(graded)
        try:
            with replacing(path) as building:
                building.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def data_manifest_path(graded: str | Path) -> Path:
    """Where the manifest of a graded file lies."""
    return Path(f"{graded}.manifest.json")


def load_data_manifest(graded: str | Path) -> DataManifest:
    """The manifest of the file `graded`. Raises InputError where there is none, it is broken, or
    the file is no longer the one that it describes."""
    path = data_manifest_path(graded)
    try:
        manifest = DataManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file: grade the answers with ct-guard grade, which writes it"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: {where[:60]!r}: {first['msg']}; grade the answers again"
        ) from None
    if sha256_of(graded) != manifest.sha256:
        raise InputError(
            f"{graded}: is not the file that its manifest describes: it was changed after grading;"
            " grade the answers again"
        )
    return manifest


def sha256_of(path: str | Path) -> str:
    """Raises InputError for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None
