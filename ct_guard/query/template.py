"""The uncertainty query's text and labels: the only place in the project where they stand.

Source: `roman_choice` of Kapoor et al. 2024 (arXiv 2406.08391), section 4 and appendix.
"""

import hashlib
import json

__all__ = ["LABELS", "QUERY_HASH", "QUERY_TEXT", "SWAPPED_TEXT", "TEMPLATE_DATE"]

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
