"""Evidence: named numbers about answers, made into one logit.

An estimator's layer reads the evidence that it was fitted on: whether other answers to the question
agree, what the answering model states, its log-probabilities, who answered, any column. No language
model is needed.
"""

from .answers import Answers, Sample, answers_of
from .fit import (
    Fitted,
    Found,
    features_of,
    fit_evidence,
    missing_evidence,
    read_logits,
)
from .kinds import KINDS, Evidence, kinds_named, wanted_columns
from .layer import logits_of
from .stated import split_stated

__all__ = [
    "KINDS",
    "Answers",
    "Evidence",
    "Fitted",
    "Found",
    "Sample",
    "answers_of",
    "features_of",
    "fit_evidence",
    "kinds_named",
    "logits_of",
    "missing_evidence",
    "read_logits",
    "split_stated",
    "wanted_columns",
]
