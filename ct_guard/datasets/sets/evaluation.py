"""The sets that the paper evaluates on, and never trains on."""

from .paper import NEXT
from .spec import Fields, Item, SetSpec

__all__ = ["EVALUATION", "MMLU_SUBJECTS"]

MMLU_SUBJECTS = tuple(
    """abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology
    college_chemistry college_computer_science college_mathematics college_medicine college_physics
    computer_security conceptual_physics econometrics electrical_engineering elementary_mathematics
    formal_logic global_facts high_school_biology high_school_chemistry
    high_school_computer_science high_school_european_history high_school_geography
    high_school_government_and_politics high_school_macroeconomics high_school_mathematics
    high_school_microeconomics high_school_physics high_school_psychology high_school_statistics
    high_school_us_history high_school_world_history human_aging human_sexuality international_law
    jurisprudence logical_fallacies machine_learning management marketing medical_genetics
    miscellaneous moral_disputes moral_scenarios nutrition philosophy prehistory
    professional_accounting professional_law professional_medicine professional_psychology
    public_relations security_studies sociology us_foreign_policy virology
    world_religions""".split()  # noqa: SIM905  57 quoted lines would hide that it is a list
)
MMLU_PRO_SUBJECTS = (
    "biology", "business", "chemistry", "computer_science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip
OPEN_INTRO = "The following are questions (with answers) about {subject}.\n"
CHOICE_INTRO = "The following are multiple-choice questions (with answers) about {subject}.\n"


def _gsm8k(row: Fields, seed: int) -> Item | None:
    answer = str(row["answer"])
    gold = answer.rpartition("####")[2].strip()
    return Item({"question": str(row["question"])}, answer=answer, gold=gold)


def _mmlu(row: Fields, seed: int) -> Item | None:
    return _indexed(row, "choices", "answer")


def _mmlu_pro(row: Fields, seed: int) -> Item | None:
    return _indexed(row, "options", "answer_index")


def _indexed(row: Fields, choices: str, answer: str) -> Item:
    return Item({"question": str(row["question"])}, tuple(row[choices]), int(row[answer]))


EVALUATION: tuple[SetSpec, ...] = (
    SetSpec(
        "gsm8k",
        "openai/gsm8k",
        _gsm8k,
        open="Question: {question}",
        choice=None,
        splits={"train": "train", "test": "test"},
        config="main",
        shots={"test": 8},
        open_intro="The following are math questions (with answers).\n",
        outro=NEXT,
    ),
    SetSpec(
        "mmlu",
        "cais/mmlu",
        _mmlu,
        open="Question: {question}",
        choice="Question:\n{question}",
        splits={"validation": "validation", "test": "test"},
        shots_from="dev",
        shots={"validation": 5, "test": 5},
        open_intro=OPEN_INTRO,
        choice_intro=CHOICE_INTRO,
        outro=NEXT,
        subjects=MMLU_SUBJECTS,
    ),
    SetSpec(
        "mmlu_pro",
        "TIGER-Lab/MMLU-Pro",
        _mmlu_pro,
        open="Question: {question}",
        choice="Question:\n{question}",
        splits={"test": "test"},
        shots_from="validation",
        shots={"test": 5},
        open_intro=OPEN_INTRO,
        choice_intro=CHOICE_INTRO,
        outro=NEXT,
        subjects=MMLU_PRO_SUBJECTS,
        subject_field="category",
    ),
)
