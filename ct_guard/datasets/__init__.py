"""Questions with gold answers: who answers them, who grades the answers, who checks the grader."""

from .answering import Answering, AskedAnswers, GivenAnswers, Prompt, read_prompt
from .audit import Audit, Rate, Stratum, draw, grader_rates, measure
from .graded import Graded, read_graded
from .graders import GRADERS, Grade, Grader, Judge
from .manifest import (
    Counts,
    DataManifest,
    data_manifest_path,
    load_data_manifest,
    sha256_of,
)
from .questions import GOLD, Question, question_of

__all__ = [
    "GOLD",
    "GRADERS",
    "Answering",
    "AskedAnswers",
    "Audit",
    "Counts",
    "DataManifest",
    "GivenAnswers",
    "Grade",
    "Graded",
    "Grader",
    "Judge",
    "Prompt",
    "Question",
    "Rate",
    "Stratum",
    "data_manifest_path",
    "draw",
    "grader_rates",
    "load_data_manifest",
    "measure",
    "question_of",
    "read_graded",
    "read_prompt",
    "sha256_of",
]
