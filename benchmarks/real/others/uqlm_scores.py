"""`PYTHON uqlm_scores.py ROWS SCORES`, by the interpreter of an environment that has UQLM.

Every scorer of UQLM 0.6.7 that needs neither a downloaded model nor a language model to ask. Its
semantic sets need one that tells entailment; here texts entail each other when they are equal.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from uqlm.black_box import MatchScorer  # type: ignore[import-not-found]
from uqlm.nli.cluster import SemanticClusterer  # type: ignore[import-not-found]
from uqlm.nli.entropy_utils import (  # type: ignore[import-not-found]
    compute_cluster_probabilities,
    compute_response_probabilities,
    compute_semantic_entropy,
    normalize_entropy,
)
from uqlm.white_box import SingleLogprobsScorer  # type: ignore[import-not-found]

Scores = list[float | None]


class EqualTexts:
    """In the place of UQLM's NLI model."""

    def get_nli_results_batch(self, pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
        same = [one.strip().lower() == other.strip().lower() for one, other in pairs]
        return [
            {
                "noncontradiction_score": float(equal),
                "entailment_score": float(equal),
                "entailment": equal,
            }
            for equal in same
        ]


def exact_match(rows: list[dict[str, Any]]) -> Scores:
    answers, others = [row["answer"] for row in rows], [row["others"] for row in rows]
    return list(map(float, MatchScorer().evaluate(answers, others)))


def semantic_negentropy(rows: list[dict[str, Any]]) -> Scores:
    """Discrete: all texts count alike."""
    found: Scores = []
    for row in rows:
        texts = [row["answer"], *row["others"]]
        _, even = compute_response_probabilities(logprobs_results=None, num_responses=len(texts))
        _, sets, _, _ = SemanticClusterer(nli=EqualTexts()).cluster_responses(texts)
        shares = compute_cluster_probabilities(response_probabilities=even, cluster_indices=sets)
        [entropy] = normalize_entropy([compute_semantic_entropy(shares)], len(row["others"]))
        found.append(1.0 - float(entropy))
    return found


def sequence_probability(rows: list[dict[str, Any]]) -> Scores:
    """Of the row's log-probabilities, normalised for length."""
    given = [[{"logprob": one} for one in row["logprobs"] or ()] for row in rows]
    scored = SingleLogprobsScorer(scorers=["sequence_probability"]).evaluate(given)
    return [None if math.isnan(score) else float(score) for score in scored["sequence_probability"]]


BY_OTHERS = (exact_match, semantic_negentropy)


def main(source: str, target: str) -> None:
    rows = json.loads(Path(source).read_text())
    scorers = [*(BY_OTHERS if any(row["others"] for row in rows) else ())]
    if any(row["logprobs"] for row in rows):
        scorers.append(sequence_probability)
    found = {}
    for scorer in scorers:
        begun = time.perf_counter()
        scores = scorer(rows)
        found[scorer.__name__] = {"scores": scores, "seconds": time.perf_counter() - begun}
    Path(target).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
