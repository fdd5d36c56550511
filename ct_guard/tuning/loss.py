"""What calibration tuning minimises, on label logits [B, 2] = (no, yes) and token logits [T, V]."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from .config import Divergence, LabelLoss

__all__ = ["divergence", "label_loss", "pair_loss"]


def label_loss(
    logits: torch.Tensor, correct: torch.Tensor, kind: LabelLoss = "cross_entropy"
) -> torch.Tensor:
    """A proper score of P(correct), mean over rows: cross-entropy of the two labels in nats (Kapoor
    et al. 2024, eq. 2), or the Brier score (P(correct) - correct)^2."""
    if kind == "brier":
        p = logits.float().softmax(-1)[:, 1]
        return (p - correct.float()).square().mean()
    return functional.cross_entropy(logits.float(), correct.long())


def pair_loss(logits: torch.Tensor, correct: torch.Tensor, question: Sequence[int]) -> torch.Tensor:
    """Mean of softplus(z_wrong - z_right) over all pairs of a right and a wrong answer to one
    question (Bradley-Terry); zero without such pairs. Makes the query look at the answer."""
    margin = (logits[:, 1] - logits[:, 0]).float()
    group = torch.tensor(question, device=margin.device)
    pairs = (group[:, None] == group[None, :]) & correct[:, None] & ~correct[None, :]
    if not bool(pairs.any()):
        return margin.new_zeros(())
    return functional.softplus(margin[None, :] - margin[:, None])[pairs].mean()


def divergence(kind: Divergence, tuned: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """How far the tuned model's next-token distribution is from the base model's: mean over tokens,
    in nats, of logits [T, V].

    `forward` is KL(base || tuned), `reverse` is KL(tuned || base), `jsd` the Jensen-Shannon
    divergence of the two, at most ln 2.
    """
    p, q = base.float().log_softmax(-1), tuned.float().log_softmax(-1)
    if kind == "forward":
        return _kl(p, q)
    if kind == "reverse":
        return _kl(q, p)
    middle = torch.logaddexp(p, q) - torch.log(torch.tensor(2.0, device=p.device))
    return 0.5 * (_kl(p, middle) + _kl(q, middle))


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) of log-probabilities [T, V], mean over T."""
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)
