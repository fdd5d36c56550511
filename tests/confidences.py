"""The record that a message carries, where a test relies on there being one."""

from ct_guard_langchain import ConfidenceRecord, get_confidence


def record_of(source: object) -> ConfidenceRecord:
    record = get_confidence(source)
    assert record is not None
    return record


def p_of(source: object) -> float:
    p = record_of(source)["p"]
    assert p is not None
    return p
