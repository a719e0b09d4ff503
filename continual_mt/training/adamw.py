"""The optimizer: AdamW by PyTorch's fused kernel, without the compiler that `torch.optim.AdamW` imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adamw import adamw


@dataclass
class Moments:
    """The state of a parameter: the two moments of its gradient, and the number of steps, a float32 scalar."""

    first: Tensor
    second: Tensor
    step: Tensor


class AdamW:
    """AdamW (Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019) without weight decay.

    ``groups`` are the parameters by their peak learning rate. Gives the bits of ``torch.optim.AdamW(fused=True)``. That
    class imports PyTorch's compiler when it is constructed, which takes seconds in every process that trains.
    """

    def __init__(self, groups: Mapping[float, Sequence[Tensor]], *, betas: tuple[float, float], epsilon: float) -> None:
        self._groups, self._betas, self._epsilon = groups, betas, epsilon
        self.state: dict[Tensor, Moments] = {}
        """The moments of every parameter that has had a gradient."""
        self.highest_rate = 0.0
        """The highest learning rate of the last step."""

    def restore(self, parameter: Tensor, first: Tensor, second: Tensor, steps: int) -> None:
        """Continue from the moments of a checkpoint."""
        step = torch.tensor(float(steps), device=parameter.device)
        self.state[parameter] = Moments(first.to(parameter.device), second.to(parameter.device), step)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update all parameters that have a gradient, with ``factor`` times their peak learning rates."""
        self.highest_rate = max(self._groups) * factor
        for peak, members in self._groups.items():
            updated = [parameter for parameter in members if parameter.grad is not None]
            states = [self._moments(parameter) for parameter in updated]
            adamw(
                updated,
                [parameter.grad for parameter in updated if parameter.grad is not None],
                [state.first for state in states],
                [state.second for state in states],
                [],
                [state.step for state in states],
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=peak * factor,
                weight_decay=0.0,
                eps=self._epsilon,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """Free the gradients."""
        for members in self._groups.values():
            for parameter in members:
                parameter.grad = None

    def _moments(self, parameter: Tensor) -> Moments:
        if parameter not in self.state:
            self.restore(parameter, torch.zeros_like(parameter), torch.zeros_like(parameter), 0)
        return self.state[parameter]
