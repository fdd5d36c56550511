"""Question sets by name: through the real `datasets`, from copies of the true shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.datasets.sets import SETS, parts_of, question_rows, write_questions
from ct_guard.datasets.sets.evaluation import MMLU_SUBJECTS
from ct_guard.datasets.sets.load import load_rows
from ct_guard.datasets.sets.paper import PAPER
from ct_guard.errors import CtGuardError, InputError, UsageError
from ct_guard.query import RAW_STYLES, ContextStyle, render_prompt
from ct_guard.records import Message
from ct_guard.testing import FakeBackend
from tests.question_sets import FIRST

SNAPSHOT: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("renderings.json").read_text(encoding="utf-8")
)


def test_the_snapshot_has_every_set_in_every_rendering() -> None:
    assert set(FIRST) == set(SETS)
    expected = {
        f"{FIRST[spec.name]} {rendering}{shots}"
        for spec in SETS.values()
        for rendering in ("open", "choice")
        for shots in ("", " 1 shot")
        if rendering == "open" or spec.choice is not None
    }
    assert set(SNAPSHOT) == expected


@pytest.mark.parametrize("key", SNAPSHOT)
def test_every_byte_is_the_reference_s(copies: Path, key: str) -> None:
    name, rendering, *one = key.split(" ")
    rows = question_rows(name, rendering, shots=1 if one else None, folder=copies)  # type: ignore[arg-type]
    said = [{key: value for key, value in row.items() if key != "dataset"} for row in rows]
    assert said == SNAPSHOT[key]


@pytest.mark.parametrize("style", RAW_STYLES)
def test_an_adapter_reads_a_question_in_the_words_of_its_set(style: ContextStyle) -> None:
    rows = [row for rows in SNAPSHOT.values() for row in rows]
    asked = [Message(role="user", content=row["question"]) for row in rows]
    encoder = FakeBackend()
    for turn in asked:
        ids = render_prompt((turn,), style, encoder.encoder)
        assert encoder.encoder.decode(ids[1:]) == turn.content


def test_the_mixture_is_uniform_over_the_sets_that_have_training_rows(copies: Path) -> None:
    assert len(PAPER) == 23
    choice = [part.spec.name for part in parts_of("mixture:paper", "choice")]
    assert choice == sorted({spec.name for spec in PAPER} - {"story_cloze", "truthful_qa", "wsc"})
    opened = [part.spec.name for part in parts_of("mixture:paper", "open")]
    assert opened == [name for name in choice if name != "hellaswag"]
    rows = list(question_rows("mixture:paper", "choice", folder=copies))
    assert [row["dataset"] for row in rows].count("sciq") == 2
    one_each = list(question_rows("mixture:paper", "choice", folder=copies, mixture_rows=20))
    assert [row["dataset"] for row in one_each] == choice


def test_the_share_of_a_large_set_in_the_mixture(
    copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"premise": "p", "hypothesis": "h", "label": n % 3} for n in range(1500)]
    monkeypatch.setattr("ct_guard.datasets.sets.questions.load_spec", lambda *_: many)
    parts = [part for part in parts_of("mixture:paper", "choice") if part.spec.name == "snli"]
    monkeypatch.setattr("ct_guard.datasets.sets.questions.parts_of", lambda *_: parts * 20)
    assert len(list(question_rows("mixture:paper", "choice"))) == 20 * 1000


def test_mmlu_has_57_subjects() -> None:
    assert len(set(MMLU_SUBJECTS)) == 57
    assert [part.name for part in parts_of("mmlu:test", "open")] == [
        f"mmlu:{subject}:test" for subject in MMLU_SUBJECTS
    ]


def test_the_limit_and_the_environment(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CT_GUARD_DATASETS", str(copies))
    assert len(list(question_rows("mmlu:anatomy:test", "open", limit=1))) == 1


@pytest.mark.parametrize(
    ("name", "rendering", "said"),
    [
        ("sciqq:train", "open", "no question set 'sciqq': there are anli_r1, .*mixture:paper"),
        ("sciq", "open", "give sciq:SPLIT; the labelled splits of sciq are train, validation"),
        ("cb:test", "open", "the labelled splits of cb are train, validation"),
        ("mmlu:astrology:test", "open", "mmlu has no subject 'astrology': abstract_algebra"),
        ("gsm8k:test", "choice", "gsm8k has no choices"),
    ],
)
def test_what_is_not_there_is_answered_by_what_is(name: str, rendering: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        question_rows(name, rendering)


def _broken(folder: Path, text: str) -> Path:
    (folder / "trec").mkdir()
    (folder / "trec/train.jsonl").write_text(text)
    return folder


def test_a_copy_of_another_shape_names_row_and_field(copies: Path, tmp_path: Path) -> None:
    folder = _broken(tmp_path, '{"text": "Who?", "label": 3}\n')
    with pytest.raises(InputError, match="trec:train: row 0 has no field 'coarse_label', it has"):
        list(question_rows("trec:train", "open", folder=folder))


def test_a_set_without_labels_is_refused(copies: Path, tmp_path: Path) -> None:
    folder = _broken(tmp_path, '{"text": "Who?", "coarse_label": -1}\n')
    with pytest.raises(InputError, match="trec:train: no row has a label"):
        list(question_rows("trec:train", "open", folder=folder))


def test_without_network_or_copy_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CtGuardError, match=r"sciq.*cannot be loaded.*`dataset_dir`") as caught:
        list(question_rows("sciq:train", "open", folder=tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"put it at DIR/story_cloze/validation\.csv"):
        list(question_rows("story_cloze:validation", "open", folder=tmp_path))


def test_a_file_with_the_same_rows_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    assert write_questions([{"question": "é?", "gold": "1"}], path) == 1
    before = path.stat()
    assert write_questions([{"question": "é?", "gold": "1"}], path) == 1
    assert path.stat().st_ino == before.st_ino
    write_questions([{"question": "e?", "gold": "1"}], path)
    assert json.loads(path.read_text())["question"] == "e?"
    assert [file.name for file in tmp_path.iterdir()] == ["q.jsonl"]


@pytest.mark.parametrize(("config", "rows"), [("cb", 1), (None, 2)])
def test_a_conversion_to_parquet_is_read_by_configuration_and_split(
    copies: Path, tmp_path: Path, config: str | None, rows: int
) -> None:
    """The layout of the hub's branch refs/convert/parquet: CONFIG/SPLIT/0000.parquet."""
    import datasets

    names = ("cb", "copa") if config else ("default",)
    for name in names:
        for split in ("train", "validation"):
            place = tmp_path / name / split
            place.mkdir(parents=True)
            for part in range(1 if config else 2):
                one = datasets.Dataset.from_list([{"of": name, "split": split}])
                one.to_parquet(place / f"{part:04}.parquet")
    found = load_rows(str(tmp_path), "train", config=config, converted=True)
    assert list(found) == [{"of": names[0], "split": "train"}] * rows
