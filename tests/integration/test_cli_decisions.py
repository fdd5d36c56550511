"""`certify --cascade`, `--by`, `--answered-wrong` and `cost` at the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from tests.integration.scored_files import inside, rows, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An estimator, and two models' scored answers to certify and to test on."""
    made = tmp_path_factory.mktemp("decisions")
    manifest = Manifest(name="tiny", method="likelihood", base=BaseModelRef(id="base"))
    save_estimator(made / "tiny", manifest)
    for part, seed in (("c", 0), ("t", 10)):
        for at, model in enumerate(("small", "large")):
            some = [
                row
                | {
                    "scorer": manifest.scorer,
                    "model": model,
                    "correct": bool(draw < row["confidence"]),
                }
                for row, draw in zip(
                    rows(part, 600, seed=seed + at),
                    np.random.default_rng(seed + at + 5).random(600),
                    strict=True,
                )
            ]
            write(made / f"{part}-{model}.jsonl", some)
    return made


def test_a_cascade_is_shown_with_its_promise_and_its_cost(folder: Path) -> None:
    done = inside(
        "certify", folder / "c-small.jsonl", "-e", folder / "tiny", "-o", folder / "cascaded",
        "--cascade", folder / "c-large.jsonl", "--price", "0.1", "--price", "1", "--alpha", "0.1",
        "--alpha", "0.2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Cascade small from" in done.output
    assert "at most 0.2 wrong among all that is answered, with probability 0.9" in done.output
    assert "How often large is right, by P(correct) of small:" in done.output
    shown = inside("inspect", folder / "cascaded").output
    assert "wrong among all that a cascade answers" in " ".join(shown.split())

    played = inside(
        "cost", folder / "t-small.jsonl", folder / "t-large.jsonl", "-e", folder / "cascaded",
        "--error", "20", "--abstain", "3", "--price", "0.1", "--price", "1",
    )  # fmt: skip
    assert played.exit_code == 0, played.output
    assert "600 questions; an error costs 20" in played.output
    for policy in ("annotate", "cascade alpha=0.1", "cost of errors 20"):
        assert policy in played.output


def test_figures_come_as_json(folder: Path) -> None:
    done = inside(
        "cost", folder / "t-small.jsonl", "-e", folder / "tiny", "--policy", "0.7", "--json"
    )
    found = json.loads(done.stdout)
    assert found["models"] == ["small"]
    assert found["policies"][0]["policy"] == "threshold 0.7"
    assert found["policies"][0]["rows"] == 600


def test_groups_and_wrong_answers_are_shown_under_their_own_names(folder: Path) -> None:
    grouped = inside(
        "certify", folder / "c-small.jsonl", "-e", folder / "tiny", "-o", folder / "grouped",
        "--by", "kind",
    )  # fmt: skip
    assert grouped.exit_code == 0, grouped.output
    assert "of each kind, all at once with probability 0.9 (Bonferroni)" in grouped.output
    share = inside(
        "certify", folder / "c-small.jsonl", "-e", folder / "tiny", "-o", folder / "share",
        "--answered-wrong", "--alpha", "0.05",
    )  # fmt: skip
    assert "at most 0.05 of all questions are answered wrongly, on average" in share.output
    assert load_manifest(folder / "share").certificates == ()


def test_where_nothing_passes_the_exit_code_says_so(folder: Path) -> None:
    done = inside(
        "certify", folder / "c-small.jsonl", "-e", folder / "tiny", "-o", folder / "none",
        "--cascade", folder / "c-large.jsonl", "--alpha", "0.0001",
    )  # fmt: skip
    assert done.exit_code == 4
    assert "No cascade: at most 0.0001 wrong" in done.output


def test_settings_are_named_as_options(folder: Path) -> None:
    done = inside("certify", folder / "c-small.jsonl", "-e", folder / "tiny", "--price", "1")
    assert done.exit_code != 0
    assert "--price is for a --cascade" in f"{done.output}{done.exception}"
