"""The uncertainty query, byte for byte: a change here makes every tuned adapter useless."""

import hashlib

from ct_guard.query import LABELS, QUERY_HASH, QUERY_TEXT


def test_text_is_roman_choice_byte_for_byte() -> None:
    assert QUERY_TEXT.encode() == (
        b"\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
    )


def test_labels_are_no_then_yes() -> None:
    assert LABELS == ("i", "ii")


def test_hashes_are_pinned() -> None:
    assert (
        hashlib.sha256(QUERY_TEXT.encode()).hexdigest()
        == "cdc7eb7d0ed4cdd475521593f9779ff0c80347ac59ef583ccbd5f821e965d99e"
    )
    assert QUERY_HASH == "154c62e965a8f9a358e5f9c59fcd1e1b31d639ef3f5e946569ac633a3e3de8f0"
