"""One run over several processes, as `accelerate launch` starts them; alone, all of this is free.

Every process holds the base model, reads its share of each batch, and adds up the gradients of the
tuned weights, which are few. The step is that of one process with the whole batch.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ct_guard.errors import UsageError

__all__ = ["Processes", "processes"]

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """How many there are, and which of them this is."""

    count: int = 1
    rank: int = 0
    device: str | None = None
    """The device that belongs to this process; None: whatever the user says."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def mine(self, parts: Sequence[T]) -> Sequence[T]:
        """This process's share."""
        return parts[self.rank :: self.count]

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor, of one device, by its sum over all processes."""
        if self.count == 1:
            return
        from accelerate.utils import reduce  # type: ignore[import-untyped]

        flat = torch.cat([tensor.float().reshape(-1) for tensor in tensors])
        total = reduce(flat, reduction="sum")
        at = 0
        for tensor in tensors:
            tensor.copy_(total[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()

    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every process the first one's tensors."""
        if self.count == 1:
            return
        with torch.no_grad():
            if not self.first:
                for tensor in tensors:
                    tensor.zero_()
            self.add_up(tensors)

    def together(self, mine: Sequence[T]) -> list[T]:
        """What `mine` was a share of: the shares of all processes put back in order."""
        if self.count == 1:
            return list(mine)
        from accelerate.utils import gather_object

        shares: list[list[T]] = gather_object([list(mine)])
        whole: list[T] = []
        for at in range(max(map(len, shares))):
            whole.extend(share[at] for share in shares if at < len(share))
        return whole

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            from accelerate import PartialState  # type: ignore[import-untyped]

            PartialState().wait_for_everyone()


def processes() -> Processes:
    """The processes of this run: those of `accelerate launch`, else this one alone.

    Raises UsageError where several were started that cannot reach each other.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started < 2:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes != started:
        raise UsageError(
            f"{started} processes were started, and {state.num_processes} of them found each other:"
            " each needs a GPU, or none of them (CUDA_VISIBLE_DEVICES='')"
        )
    return Processes(state.num_processes, state.process_index, str(state.device))
