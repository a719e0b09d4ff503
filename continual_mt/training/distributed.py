"""Communication between data-parallel workers: a single process, or the group that torch.distributed initialised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


class Workers:
    """The group's rank and size, and the collective operations that training needs.

    With one worker every operation returns its input. Gradients are summed in one flat buffer and not by
    DistributedDataParallel: DDP rebuilds its buckets after the first step, which changes the order of summation, so
    that a resumed run would not be bit-equal.
    """

    def __init__(self) -> None:
        initialized = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if initialized else 0
        self.size = distributed.get_world_size() if initialized else 1

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace each parameter's gradient by its sum over all workers; a missing gradient counts as zero."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def sum(self, value: float, device: torch.device) -> float:
        """Return the sum of ``value`` over all workers; for a flag (0.0 or 1.0), the number of workers that set it."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return float(total)

    def all_gather(self, tensor: Tensor, device: torch.device) -> list[Tensor]:
        """Return every worker's tensor, in order of rank. All tensors must have the same shape."""
        if self.size == 1:
            return [tensor]
        gathered = [torch.empty_like(tensor, device=device) for _ in range(self.size)]
        distributed.all_gather(gathered, tensor.to(device))
        return [member.cpu() for member in gathered]
