"""How a row of each training set is read: its choices, and which of them is right."""

from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

import numpy as np

from .spec import Fields, Item

__all__ = [
    "boolq",
    "commonsense_qa",
    "copa",
    "cosmos_qa",
    "distinct",
    "hellaswag",
    "item",
    "labelled",
    "letter",
    "listed",
    "math_qa",
    "piqa",
    "sciq",
    "siqa",
    "story_cloze",
    "trec",
    "truthful_qa",
    "winogrande",
    "wsc",
]

TREC = (
    "Abbreviation",
    "Entity",
    "Description and abstract concept",
    "Human being",
    "Location",
    "Numeric value",
)


def letter(key: str) -> int:
    """Index of "A", "b" or "3"; -1 for anything else."""
    key = str(key).lower()
    if len(key) == 1 and key in ascii_lowercase:
        return ascii_lowercase.index(key)
    return int(key) - 1 if key.isdigit() else -1


def item(values: dict[str, Any], choices: list[str], right: int, **more: Any) -> Item | None:
    if not 0 <= right < len(choices):
        return None
    return Item({name: str(value) for name, value in values.items()}, tuple(choices), right, **more)


def distinct(item: Item | None) -> Item | None:
    return item if item is not None and len(set(item.choices)) == len(item.choices) else None


def labelled(*choices: str, label: str = "label") -> Callable[[Fields, int], Item | None]:
    """A reader of rows whose label counts through choices that are always the same."""
    return lambda row, _: item(dict(row), list(choices), int(row[label]))


def listed(question: str = "question") -> Callable[[Fields, int], Item | None]:
    return lambda row, _: item(
        {"question": row[question]}, list(row["choices"]["text"]), letter(row["answerKey"])
    )


def commonsense_qa(row: Fields, seed: int) -> Item | None:
    return distinct(listed()(row, seed))


def copa(row: Fields, seed: int) -> Item | None:
    label = int(row["label"])
    return item(dict(row), [row["choice1"], row["choice2"]], label, answer=str(label + 1))


def cosmos_qa(row: Fields, seed: int) -> Item | None:
    return item(dict(row), [row[f"answer{n}"] for n in range(4)], int(row["label"]))


def hellaswag(row: Fields, seed: int) -> Item | None:
    paragraph = " ".join([row["ctx"], row["ctx_a"], row["ctx_b"]])
    right = int(row["label"]) if row["label"] != "" else -1
    return item({"context": paragraph}, list(row["endings"]), right)


def math_qa(row: Fields, seed: int) -> Item | None:
    options = [option.split(")")[-1].strip() for option in row["options"].split(",")]
    return distinct(item({"problem": row["Problem"]}, options, letter(row["correct"])))


def piqa(row: Fields, seed: int) -> Item | None:
    return item(dict(row), [row["sol1"], row["sol2"]], int(row["label"]))


def sciq(row: Fields, seed: int) -> Item | None:
    options = [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]]
    order = np.random.default_rng(seed).permutation(4).tolist()
    support = row["support"]
    values = {
        "question": row["question"],
        "passage": f"{support}\n" if support else "",
        "support": f"Support:\n{support}\n" if support else "",
    }
    return distinct(item(values, [options[at] for at in order], order.index(3)))


def siqa(row: Fields, seed: int) -> Item | None:
    options = [row["answerA"], row["answerB"], row["answerC"]]
    return distinct(item(dict(row), options, letter(row["label"])))


def story_cloze(row: Fields, seed: int) -> Item | None:
    def value(name: str, in_csv: str) -> Any:
        return row[name] if name in row else row[in_csv]

    story = " ".join(value(f"input_sentence_{n}", f"InputSentence{n}") for n in range(1, 5))
    endings = [value(f"sentence_quiz{n}", f"RandomFifthSentenceQuiz{n}") for n in (1, 2)]
    right = int(value("answer_right_ending", "AnswerRightEnding")) - 1
    return item({"story": story}, endings, right)


def truthful_qa(row: Fields, seed: int) -> Item | None:
    targets = row["mc1_targets"]
    right = list(targets["labels"]).index(1) if 1 in targets["labels"] else -1
    return item(dict(row), list(targets["choices"]), right)


def winogrande(row: Fields, seed: int) -> Item | None:
    if row["answer"] not in ("1", "2"):
        return None
    sentence, options = row["sentence"], [row["option1"], row["option2"]]
    before, _, after = sentence.partition("_")
    values = {
        "sentence": sentence,
        "first": f"{before}{options[0]}{after}",
        "second": f"{before}{options[1]}{after}",
    }
    return item(values, options, int(row["answer"]) - 1, answer=row["answer"])


def wsc(row: Fields, seed: int) -> Item | None:
    return item(dict(row), list(row["options"]), int(row["label"]))


def boolq(row: Fields, seed: int) -> Item | None:
    return item(dict(row), ["False", "True"], int(bool(row["answer"])))


def trec(row: Fields, seed: int) -> Item | None:
    return item({"question": row["text"]}, list(TREC), int(row["coarse_label"]))
