"""The processes that train together: one alone, or a group that torch.distributed connects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


class Workers:
    """Rank and size of the group, and the little that its members tell each other.

    Gradients are summed in one flat buffer rather than in DistributedDataParallel's buckets: those are laid out anew
    after the first step, which changes the order of summation, and a resumed run would not be bit-equal.
    """

    def __init__(self) -> None:
        initialized = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if initialized else 0
        self.size = distributed.get_world_size() if initialized else 1

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its sum over the workers."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def sum(self, value: float, device: torch.device) -> float:
        """The sum of a number over the workers; also a way to agree whether any of them wants something."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return float(total)

    def all_gather(self, tensor: Tensor, device: torch.device) -> list[Tensor]:
        """Every worker's tensor (all of one shape), in the order of ranks."""
        if self.size == 1:
            return [tensor]
        gathered = [torch.empty_like(tensor, device=device) for _ in range(self.size)]
        distributed.all_gather(gathered, tensor.to(device))
        return [member.cpu() for member in gathered]
