"""Sets of the true shape: fields, types and splits as on the hub; the text is invented."""

# ruff: noqa: E501  a row of a set reads best as one line

from pathlib import Path
from typing import Any

Rows = dict[str, list[dict[str, Any]]]

COLOURS = ["red {x}", "green", "blue", "grey"]


def _nli(label: int) -> dict[str, Any]:
    return {"premise": "A cat sleeps.", "hypothesis": "An animal rests", "label": label}


def _listed(key: str, question: str = "question", answer: str = "B") -> dict[str, Any]:
    labels = ["A", "B", "C", "D"]
    return {
        "id": key,
        question: f"Which colour has {key}?",
        "choices": {"text": COLOURS, "label": labels},
        "answerKey": answer,
    }


def _mmlu(n: int) -> dict[str, Any]:
    return {
        "question": f"Bone {n}?",
        "subject": "anatomy",
        "choices": ["a", "b", "c", f"d{n}"],
        "answer": 3,
    }


def _mmlu_pro(n: int, category: str) -> dict[str, Any]:
    options = [f"o{i}" for i in range(10)]
    return {
        "question_id": n, "question": f"Chip {n}?", "options": options, "answer": "J",
        "answer_index": 9, "cot_content": "", "category": category, "src": "x",
    }  # fmt: skip


def _sciq(question: str, support: str = "Plants breathe.") -> dict[str, Any]:
    return {
        "question": question, "distractor1": "iron", "distractor2": "salt",
        "distractor3": "gold", "correct_answer": "air", "support": support,
    }  # fmt: skip


LOOKALIKES: dict[str, Rows] = {
    **{
        f"anli_r{n}": {
            f"train_r{n}": [{"uid": "1", **_nli(-1), "reason": ""}, {"uid": "2", **_nli(1), "reason": ""}],
            f"dev_r{n}": [{"uid": "3", **_nli(2), "reason": ""}],
            f"test_r{n}": [{"uid": "4", **_nli(0), "reason": ""}],
        }
        for n in (1, 2, 3)
    },
    "arc": {"train": [_listed("sky", answer="3"), _listed("sea")], "test": [_listed("moss")]},
    "arc_challenge": {"train": [_listed("rust", answer="A")]},
    "boolq": {"train": [{"question": "is ice cold", "answer": True, "passage": "Ice is frozen."}]},
    "cb": {"train": [{**_nli(2), "idx": 0}], "validation": [{**_nli(0), "idx": 0}]},
    "commonsense_qa": {
        "train": [
            {**_listed("twin"), "choices": {"text": ["a", "a"], "label": ["A", "B"]}, "question_concept": "c"},
            {**_listed("grass"), "question_concept": "c"},
        ]
    },
    "copa": {
        "train": [
            {"premise": "It rained.", "choice1": "I got wet.", "choice2": "I sang.",
             "question": "effect", "idx": 0, "label": 1},
        ]
    },
    "cosmos_qa": {
        "train": [
            {"id": "1", "context": "He ran home.", "question": "Why ?", "answer0": "Rain", "answer1": "Fun",
             "answer2": "Fear", "answer3": "None", "label": 2},
        ]
    },
    "hellaswag": {
        "train": [
            {"ind": 1, "activity_label": "x", "ctx_a": "A man bakes.", "ctx_b": "he", "ctx": "A man bakes. he",
             "endings": ["eats.", "flies.", "sinks.", "melts."], "source_id": "s", "split": "train",
             "split_type": "indomain", "label": "0"},
        ]
    },
    "math_qa": {
        "train": [
            {"Problem": "2 + 3 ?", "Rationale": "sum", "options": "a ) 4 , b ) 5 , c ) 6 , d ) 7 , e ) none",
             "correct": "b", "annotated_formula": "", "linear_formula": "", "category": "general"},
        ]
    },
    "multirc": {
        "train": [
            {"paragraph": "Tom ate.", "question": "Who ate?", "answer": "Tom",
             "idx": {"paragraph": 0, "question": 0, "answer": 0}, "label": 1},
        ]
    },
    "obqa": {"train": [_listed("clay", "question_stem", "D")]},
    "piqa": {"train": [{"goal": "Open a jar", "sol1": "Twist it.", "sol2": "Sing to it.", "label": 0}]},
    "sciq": {"train": [_sciq("What do plants take?"), {**_sciq("Twins?"), "distractor1": "air"},
                       _sciq("And fish?", "")]},
    "siqa": {
        "train": [
            {"context": "Ann fell.", "question": "What next?", "answerA": "stand up", "answerB": "fly",
             "answerC": "sink", "label": "1"},
        ]
    },
    "snli": {"train": [_nli(-1), _nli(2)], "test": [_nli(1)]},
    "story_cloze": {
        "validation": [
            {"InputStoryid": "1", "InputSentence1": "Al woke.", "InputSentence2": "He ate.",
             "InputSentence3": "He left.", "InputSentence4": "It rained.",
             "RandomFifthSentenceQuiz1": "He got wet.", "RandomFifthSentenceQuiz2": "He flew.",
             "AnswerRightEnding": 1},
        ]
    },
    "trec": {"train": [{"text": "Who wrote it ?", "coarse_label": 3, "fine_label": 4}]},
    "truthful_qa": {
        "validation": [
            {"question": "Do pigs fly?", "mc1_targets": {"choices": ["No", "Yes"], "labels": [1, 0]},
             "mc2_targets": {"choices": ["No", "Yes"], "labels": [1, 0]}},
        ]
    },
    "winogrande": {
        "train": [
            {"sentence": "The cup hit the vase and _ broke.", "option1": "the cup", "option2": "the vase",
             "answer": "2"},
            {"sentence": "_ left.", "option1": "Al", "option2": "Bo", "answer": ""},
        ]
    },
    "wsc": {
        "test": [
            {"text": "Al saw Bo when he left.", "pronoun": "he", "pronoun_loc": 15, "quote": "he left",
             "quote_loc": 15, "options": ["Al", "Bo"], "label": 0, "source": "x"},
        ]
    },
    "gsm8k": {
        "train": [{"question": f"{n} apples and 2?", "answer": f"Add.\n#### {n + 2}"} for n in range(9)],
        "test": [{"question": "7 and 5?", "answer": "7+5=<<7+5=12>>12\n#### 12"}],
    },
    "mmlu_pro": {
        "validation": [_mmlu_pro(n, "computer science") for n in range(5)] + [_mmlu_pro(9, "law")],
        "test": [_mmlu_pro(n, category) for n, category in enumerate(["law", "computer science"])],
    },
}  # fmt: skip
MMLU: Rows = {
    "dev": [_mmlu(n) for n in range(5)],
    "validation": [_mmlu(7)],
    "test": [_mmlu(8), _mmlu(9)],
}
FIRST = {
    name: f"{name}:{split}"
    for name, split in {
        **dict.fromkeys(LOOKALIKES, "train"),
        "story_cloze": "validation", "truthful_qa": "validation", "wsc": "test", "gsm8k": "test",
        "mmlu_pro": "computer_science:test", "mmlu": "anatomy:test",
    }.items()
}  # fmt: skip
"""A part of every set."""


def write_lookalikes(folder: Path) -> None:
    """Each set in the way in which a user may have it: Parquet by split, or as `datasets` saves."""
    from datasets import Dataset, DatasetDict

    for name, rows in (*LOOKALIKES.items(), ("mmlu/anatomy", MMLU)):
        splits = {split: Dataset.from_list(several) for split, several in rows.items()}
        (folder / name).mkdir(parents=True)
        if name in ("arc", "mmlu_pro"):
            DatasetDict(splits).save_to_disk(str(folder / name))
            continue
        for split, data in splits.items():
            data.to_parquet(folder / name / f"{split}.parquet")
