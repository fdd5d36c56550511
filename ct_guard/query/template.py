"""The texts and labels of the uncertainty query, and of the query about a field: the only place in
the project where they stand.

Source of the first: `roman_choice` of Kapoor et al. 2024 (arXiv 2406.08391), section 4 and
appendix. The second is ours, and begins as the first.
"""

import hashlib
import json

__all__ = [
    "FIELD_EMPTY",
    "FIELD_FILLED",
    "FIELD_PREAMBLE",
    "FIELD_QUERY_HASH",
    "LABELS",
    "QUERY_HASH",
    "QUERY_TEXT",
    "SWAPPED_TEXT",
    "TEMPLATE_DATE",
]

QUERY_TEXT = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"

LABELS = ("i", "ii")
"""Texts of the labels, (no, yes): P(correct) = softmax(logits[i], logits[ii])[1]."""

SWAPPED_TEXT = QUERY_TEXT.replace("(i): no", "(i): yes").replace("(ii): yes", "(ii): no")
"""The same with the labels exchanged: asked beside the query, it cancels a model's liking of one
label or one place."""

QUERY_HASH = hashlib.sha256(
    json.dumps({"text": QUERY_TEXT, "labels": LABELS}, sort_keys=True).encode()
).hexdigest()
"""Stored in every manifest; an adapter that was tuned on another query is refused."""

TEMPLATE_DATE = "2024-07-26"
"""The day that it is for every chat template that reads the clock: what a row scores follows from
the row alone, not from when it is scored. Stored in every manifest, as the query's hash."""

FIELD_PREAMBLE = QUERY_TEXT.removesuffix("\nAnswer:")
"""Behind an answer, the same for all of its fields: what the answer's own query begins with, which
is then read once for both."""

FIELD_FILLED = ("\n-", ":", "?")
"""Around the path and the value of a field, behind the preamble: short, as it is read for each."""

FIELD_EMPTY = ("\n-", ": none", "?")
"""Around the path of a field without a value: is it right that there is none?"""

FIELD_QUERY_HASH = hashlib.sha256(
    json.dumps(
        {
            "preamble": FIELD_PREAMBLE,
            "filled": FIELD_FILLED,
            "empty": FIELD_EMPTY,
            "labels": LABELS,
        },
        sort_keys=True,
    ).encode()
).hexdigest()
"""Stored in a manifest that was fitted on fields; one of another text is refused."""
