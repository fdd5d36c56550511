"""Decision models over an estimator: typed questions about a state, answered with probabilities
over their labels. Needs no LangChain.

    from ct_guard import load_estimator
    from ct_guard.decisions import as_answer, deciding, decisions_of, judge, parse_questions

    estimator = load_estimator("mini")
    questions = parse_questions({"sum": {"type": "choice", "instructions": "What is 7 plus 5?",
                                         "criteria": {"12": None, "13": None}}})
    judged = judge(deciding(estimator), "", questions, decisions_of(estimator))
    answers = {name: as_answer(questions[name], one) for name, one in judged.items()}
"""

from .calibration import (
    ANY,
    DecisionCalibration,
    DecisionCalibrator,
    decisions_file,
    decisions_of,
    load_decisions,
)
from .fitting import fit_decisions
from .judging import Enquiry, Judgement, Scorer, as_answer, deciding, judge
from .questions import (
    NO,
    YES,
    Choice,
    Noul,
    NoulCriteria,
    Question,
    Score,
    labels_of,
    parse_questions,
    question_key,
)
from .rows import DecisionLog, GradedDecision, as_scores, read_decisions, row_of

__all__ = [
    "ANY",
    "NO",
    "YES",
    "Choice",
    "DecisionCalibration",
    "DecisionCalibrator",
    "DecisionLog",
    "Enquiry",
    "GradedDecision",
    "Judgement",
    "Noul",
    "NoulCriteria",
    "Question",
    "Score",
    "Scorer",
    "as_answer",
    "as_scores",
    "deciding",
    "decisions_file",
    "decisions_of",
    "fit_decisions",
    "judge",
    "labels_of",
    "load_decisions",
    "parse_questions",
    "question_key",
    "read_decisions",
    "row_of",
]
