"""How rows of files tell of fields: an object by path in one column, JSON text where a format has
no objects."""

from collections.abc import Mapping
from typing import Any

from ct_guard.errors import InputError
from ct_guard.files import Row
from ct_guard.files.columns import cell
from ct_guard.files.untrusted_json import JsonError, parse_json
from ct_guard.records import Confidence, Decision

__all__ = ["FIELDS", "FIELDS_CORRECT", "FIELDS_SCORER", "by_path", "fields_column", "with_text"]

FIELDS = "fields"
"""By path, what scoring says of each field: p, logit, kind, status, calibrated, action."""
FIELDS_SCORER = "fields_scorer"
"""What their logits follow from (`Manifest.field_scorer`)."""
FIELDS_CORRECT = "fields_correct"
"""By path, whether each field is right."""


def fields_column(confidence: Confidence, decision: Decision) -> dict[str, Any] | None:
    """The value of `FIELDS`; None where no field was judged. `action` is None where the answer
    itself did not pass, so that nothing was decided on its fields."""
    if confidence.fields is None:
        return None
    actions = decision.fields or {}
    return {
        path: {**field.model_dump(mode="json"), "action": actions.get(path)}
        for path, field in confidence.fields.items()
    }


def by_path(row: Row, column: str) -> Mapping[str, Any] | None:
    """What a row says in one of these columns; None where it says nothing. Raises InputError for
    what is no object."""
    value = row.fields.get(column)
    if isinstance(value, str) and value.strip():
        try:
            value = parse_json(value)
        except JsonError as error:
            raise InputError(f"{row.where}: field '{column}' is no JSON: {error}") from error
    if value is None or value == "":
        return None
    if not isinstance(value, Mapping):
        raise InputError(
            f"{row.where}: field '{column}' must be an object by path, as {{\"invoice.total\": …}}"
        )
    return value


def with_text(row: Row, *columns: str) -> Row:
    """The row with objects in these columns, and lists of objects, as JSON text."""
    found = {name: row.fields[name] for name in columns if _is_json(row.fields.get(name))}
    if not found or row.error is not None:
        return row
    texts = {name: cell(value) for name, value in found.items()}
    return row._replace(fields={**row.fields, **texts})


def _is_json(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
    )
