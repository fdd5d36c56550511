"""What calibration tuning minimises, on label logits [B, 2] = (no, yes)."""

from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["label_loss", "pair_loss"]


def label_loss(logits: torch.Tensor, correct: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the two labels (Kapoor et al. 2024, eq. 2): a proper score of P(correct)."""
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
