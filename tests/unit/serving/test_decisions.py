"""Typed questions about a state, in both forms of the wire."""

import httpx
import pytest

from .conftest import Serving

STATE = "The payment failed three times."
CRITERIA = {"sure": "Nothing else fits.", "unsure": None, "unknown": None}


def ask(client: httpx.Client, path: str, body: object) -> httpx.Response:
    return client.post(path, json=body)


def test_the_questions_of_systemone_are_answered_by_their_ids(serving: Serving) -> None:
    client = serving(upstream=False)
    questions = {
        "team": {"type": "choice", "instructions": "Which team?", "criteria": CRITERIA},
        "urgent": {"type": "noul", "instructions": "Is it urgent?"},
        "anger": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "angry"]},
    }
    told = ask(client, "/v1/systemone", {"state": STATE, "model": "m", "questions": questions})
    answers = told.json()["answers"]
    team = answers["team"]
    assert team["choice"] == "sure"
    assert sum(team["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert team["confidence"] == team["probabilities"]["sure"]
    assert answers["urgent"]["noul"] == pytest.approx(0.5)
    assert answers["anger"]["legend"] == {"0": "calm", "1": "angry"}
    assert team["calibrated"] is False


def test_those_of_openais_form_by_their_names_in_order(serving: Serving) -> None:
    client = serving(upstream=False)
    questions = [
        {"type": "predicate", "name": "urgent", "instructions": "Is it urgent?"},
        {
            "type": "choice",
            "name": "team",
            "instructions": "Which?",
            "choices": [{"value": "unsure"}, {"value": "sure"}, {"value": True}],
        },
        {
            "type": "score",
            "instructions": "How angry?",
            "levels": [{"label": "calm"}, {"label": "angry", "description": "shouts"}],
        },
    ]
    body = {"model": "m", "input": STATE, "questions": questions}
    urgent, team, anger = ask(client, "/v1/decisions", body).json()["answers"]
    assert (urgent["name"], urgent["type"], urgent["probability"]) == ("urgent", "predicate", 0.5)
    assert team["choice"] == "sure"
    assert [one["value"] for one in team["probabilities"]] == ["unsure", "sure", True]
    assert anger["name"] is None
    assert [one["label"] for one in anger["probabilities"]] == ["calm", "angry"]
    assert anger["score"] == pytest.approx(0.5)


def test_messages_of_text_are_read(serving: Serving) -> None:
    client = serving(upstream=False)
    parts = [{"type": "input_text", "text": STATE}]
    questions = [{"type": "predicate", "name": "x", "instructions": "Is it urgent?"}]
    body = {"input": [{"role": "user", "content": parts}], "questions": questions}
    assert ask(client, "/v1/decisions", body).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/systemone", {"questions": {}}, "'state' is missing"),
        ("/v1/systemone", {"state": "x", "questions": {}}, "no question"),
        ("/v1/systemone", {"state": "x", "questions": {"b": {"type": "box"}}}, "box"),
        ("/v1/decisions", {"input": "x", "questions": []}, "'questions'"),
        ("/v1/decisions", {"input": "x", "questions": ["?"]}, "must be an object"),
        ("/v1/decisions", {"input": "x", "questions": [{"type": "choice"}]}, "'choices'"),
        (
            "/v1/decisions",
            {
                "input": [{"role": "user", "content": [{"type": "input_image"}]}],
                "questions": [{"type": "predicate", "instructions": "?"}],
            },
            "'input'",
        ),
    ],
)
def test_what_is_no_question_is_named(serving: Serving, path: str, body: object, said: str) -> None:
    client = serving(upstream=False)
    refused = ask(client, path, body)
    assert refused.status_code == 400
    assert said in refused.json()["error"]["message"]
