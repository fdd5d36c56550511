"""Evidence: named numbers about answers, made into one logit.

An estimator's layer reads the evidence that it was fitted on: whether other answers to the question
agree, what the answering model states, its log-probabilities, who answered, how, any column. No
language model is needed.
"""

from .answers import Answers, Sample, answers_of
from .fit import Fitted, Found, fit_evidence, read_logits
from .kinds import KINDS, OF_BASE, Evidence, kinds_named, wanted_columns
from .reading import read_column
from .rows import (
    Use,
    Weighed,
    answers_in,
    evidence_file,
    load_evidence,
    weighed,
    weighed_apart,
    with_samples,
)
from .same_question import spelled_alike
from .stated import split_stated

__all__ = [
    "KINDS",
    "OF_BASE",
    "Answers",
    "Evidence",
    "Fitted",
    "Found",
    "Sample",
    "Use",
    "Weighed",
    "answers_in",
    "answers_of",
    "evidence_file",
    "fit_evidence",
    "kinds_named",
    "load_evidence",
    "read_column",
    "read_logits",
    "spelled_alike",
    "split_stated",
    "wanted_columns",
    "weighed",
    "weighed_apart",
    "with_samples",
]
