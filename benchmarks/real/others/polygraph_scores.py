"""`PYTHON polygraph_scores.py ROWS SCORES`, by the interpreter of an environment that has
lm-polygraph.

Every estimator of lm-polygraph 0.7 that needs neither a downloaded model nor a language model to
ask. All those over several texts judge the question, not the answer: every answer to it has the
same score, which is computed once. Its semantic sets need a model that tells entailment; here texts
entail each other when they are equal.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lm_polygraph.estimators import (  # type: ignore[import-not-found]
    DegMat,
    Eccentricity,
    EigValLaplacian,
    KernelLanguageEntropy,
    LabelProb,
    LexicalSimilarity,
    NumSemSets,
    Perplexity,
)

JACCARD = {"similarity_score": "Jaccard_score"}
OF_TEXTS: dict[str, Callable[[], Any]] = {
    "LexicalSimilarity rouge1": lambda: LexicalSimilarity("rouge1"),
    "LexicalSimilarity rouge2": lambda: LexicalSimilarity("rouge2"),
    "LexicalSimilarity rougeL": lambda: LexicalSimilarity("rougeL"),
    "LexicalSimilarity BLEU": lambda: LexicalSimilarity("BLEU"),
    "DegMat Jaccard": lambda: DegMat(**JACCARD),
    "Eccentricity Jaccard": lambda: Eccentricity(**JACCARD),
    "EigValLaplacian Jaccard": lambda: EigValLaplacian(**JACCARD),
    "NumSemSets": NumSemSets,
    "LabelProb": LabelProb,
    "KernelLanguageEntropy": KernelLanguageEntropy,
}


def stats_of(texts: list[str]) -> dict[str, Any]:
    """What these estimators read of the answers to one question."""
    plain = [text.strip().lower() for text in texts]
    known = list(dict.fromkeys(plain))
    classes = [known.index(text) for text in plain]
    equal = np.equal.outer(classes, classes).astype(float)
    members = [[at for at, one in enumerate(classes) if one == c] for c in range(len(known))]
    return {
        "sample_texts": [texts],
        "semantic_matrix_entail": equal[None],
        "semantic_matrix_contra": 1.0 - equal[None],
        "semantic_classes_entail": {
            "sample_to_class": {0: dict(enumerate(classes))}, "class_to_sample": {0: members},
        },
    }  # fmt: skip


def main(source: str, target: str) -> None:
    rows = json.loads(Path(source).read_text())
    found: dict[str, Any] = {}
    questions = {row["question"]: [row["answer"], *row["others"]] for row in rows if row["others"]}
    for name, make in OF_TEXTS.items() if questions else ():
        estimator, begun = make(), time.perf_counter()
        try:
            by_question = {
                question: -float(estimator(stats_of(texts))[0])
                for question, texts in questions.items()
            }
        except Exception as error:  # of one estimator: the others still count
            found[name] = {"error": f"{type(error).__name__}: {error}"}
            continue
        scores = [by_question.get(row["question"]) for row in rows]
        found[name] = {"scores": scores, "seconds": time.perf_counter() - begun}
    given = [at for at, row in enumerate(rows) if row["logprobs"]]
    if given:
        begun = time.perf_counter()
        read = -Perplexity()({"greedy_log_likelihoods": [rows[at]["logprobs"] for at in given]})
        some: list[float | None] = [None] * len(rows)
        for at, score in zip(given, read.tolist(), strict=True):
            some[at] = score
        found["Perplexity"] = {"scores": some, "seconds": time.perf_counter() - begun}
    Path(target).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
