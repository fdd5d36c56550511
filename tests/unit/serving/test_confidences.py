"""Rows over HTTP have the columns of files, and come back with what `ct-guard score` would add."""

import pytest

from .conftest import Serving


def test_one_row_gets_its_confidence_and_the_policys_action(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    found = client.post("/v1/confidence", json={"question": "?", "answer": "I am sure", "id": 7})
    told = found.json()
    assert told["p"] == pytest.approx(0.95, abs=0.01)
    assert (told["id"], told["status"], told["action"]) == (7, "ok", "pass")
    assert told["calibrated"] is False
    assert found.headers["x-ct-guard-p"] == f"{told['p']:.6f}"
    assert found.headers["x-ct-guard-action"] == "pass"


def test_several_rows_come_back_in_order(serving: Serving) -> None:
    client = serving(0.5, upstream=False)
    answers = ["sure", "unsure", "", "sure"]
    rows = [
        {"question": "?", "answer": answer, "id": f"r{at}"} for at, answer in enumerate(answers)
    ]
    told = client.post("/v1/confidence", json={"items": rows}).json()["data"]
    assert [one["id"] for one in told] == ["r0", "r1", "r2", "r3"]
    assert [one["action"] for one in told] == ["pass", "abstain", "abstain", "pass"]
    assert told[2]["p"] is None
    assert told[2]["status"] == "empty"


def test_a_conversation_is_asked_by_its_last_turn(serving: Serving) -> None:
    client = serving(upstream=False)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
    row = {"messages": messages, "answer": "sure"}
    assert client.post("/v1/confidence", json=row).json()["p"] > 0.9


def test_what_is_no_text_is_unsupported_and_not_measured(serving: Serving) -> None:
    client = serving(upstream=False)
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    row = {"messages": [{"role": "user", "content": image}], "answer": "sure"}
    told = client.post("/v1/confidence", json={"items": [row, {"question": "?", "answer": "sure"}]})
    first, second = told.json()["data"]
    assert (first["p"], first["status"], first["action"]) == (None, "unsupported", "abstain")
    assert second["p"] > 0.9


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"answer": "sure"}, "field 'question' is missing"),
        ({"items": [{"question": "?", "answer": "a"}, {"question": "?"}]}, "items[1]"),
        ({"items": []}, "items"),
        ({"items": ["sure"]}, "items[0]"),
        ({"question": 1, "answer": "sure"}, "field 'question' must be text"),
    ],
)
def test_a_row_that_is_none_is_named(serving: Serving, body: object, named: str) -> None:
    client = serving(upstream=False)
    refused = client.post("/v1/confidence", json=body)
    assert refused.status_code == 400
    assert named in refused.json()["error"]["message"]


def test_a_body_that_is_no_object_is_refused(serving: Serving) -> None:
    client = serving(upstream=False)
    for body in (b"[1]", b"{", b'{"question": NaN}'):
        headers = {"Content-Type": "application/json"}
        refused = client.post("/v1/confidence", content=body, headers=headers)
        assert refused.json()["error"]["code"] == "invalid_json"
