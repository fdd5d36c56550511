"""What a base model reads of answers, figures by the names of the methods that go by them alone."""

from collections.abc import Sequence

from ct_guard.backends import ScoreBatch

from .base import Floats, Method, TextMethod
from .hybrid import HybridMethod
from .likelihood import log_likelihoods, logit_of_log
from .probe import ProbeMethod
from .query import margins

__all__ = ["readable", "readings"]


def readable(method: Method | TextMethod) -> tuple[str, ...]:
    """Names of what `readings` gives of a method; a method that judges text has none."""
    if isinstance(method, TextMethod):
        return ()
    names = {
        "query": "labels" in method.wants,
        "likelihood": "answer_logprobs" in method.wants,
        "perplexity": "answer_logprobs" in method.wants,
        "probe": isinstance(method, ProbeMethod),
        "question_prior": isinstance(method, HybridMethod) and method.prior is not None,
    }
    return tuple(name for name, there in names.items() if there)


def readings(method: Method, batch: ScoreBatch, questions: Sequence[str]) -> dict[str, Floats]:
    """Logits [B] by name, of what the method wants of its base and, in a hybrid that carries one,
    of the question prior. `questions` as in `Method.logits`."""
    found: dict[str, Floats] = {}
    if "labels" in method.wants:
        found["query"] = margins(batch)
    if "answer_logprobs" in method.wants:
        total, mean, _ = log_likelihoods(batch)
        found["likelihood"], found["perplexity"] = logit_of_log(total), logit_of_log(mean)
    if isinstance(method, ProbeMethod):
        found["probe"] = method.logits(batch, questions)
    if isinstance(method, HybridMethod) and method.prior is not None:
        found["question_prior"] = method.prior.logits(questions)
    return found
