from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from continual_mt.training.adamw import AdamW

BETAS, EPSILON = (0.9, 0.98), 1e-6
FACTORS = (0.25, 0.5, 1.0, 0.75)


def parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(*shape, generator=generator).requires_grad_() for shape in ((5, 7), (9,), (3, 2))]


def set_gradients(chosen: list[Tensor], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in chosen:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("restored", [False, True])
def test_updates_are_bit_equal_to_those_of_pytorchs_class(restored: bool) -> None:
    ours, theirs = parameters(), parameters()
    groups = {0.01: ours[:2], 0.002: ours[2:]}
    optimizer = AdamW(groups, betas=BETAS, epsilon=EPSILON)
    rates = [{"params": theirs[:2], "lr": 0.01}, {"params": theirs[2:], "lr": 0.002}]
    reference = torch.optim.AdamW(rates, betas=BETAS, eps=EPSILON, weight_decay=0.0, fused=True)
    for step, factor in enumerate(FACTORS):
        if restored and step == 2:
            states = optimizer.state
            optimizer = AdamW(groups, betas=BETAS, epsilon=EPSILON)
            for parameter, state in states.items():
                optimizer.restore(parameter, state.first.clone(), state.second.clone(), step)
        set_gradients(ours, step)
        set_gradients(theirs, step)
        for group, peak in zip(reference.param_groups, (0.01, 0.002), strict=True):
            group["lr"] = peak * factor
        optimizer.step(factor)
        assert optimizer.highest_rate == max(group["lr"] for group in reference.param_groups)
        reference.step()
        optimizer.zero_grad()
        assert all(parameter.grad is None for parameter in ours)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        state = reference.state[other]
        assert torch.equal(optimizer.state[one].first, state["exp_avg"])
        assert torch.equal(optimizer.state[one].second, state["exp_avg_sq"])


def test_a_parameter_without_gradient_stays_as_it_is() -> None:
    moved, still = parameters()[:2]
    before = still.detach().clone()
    optimizer = AdamW({0.01: [moved, still]}, betas=BETAS, epsilon=EPSILON)
    set_gradients([moved], 1)
    optimizer.step(1.0)
    assert torch.equal(still, before)
    assert list(optimizer.state) == [moved]


def test_a_step_does_not_import_the_compiler() -> None:
    program = f"""
import sys, torch
from continual_mt.training.adamw import AdamW
parameter = torch.ones(3, requires_grad=True)
parameter.grad = torch.ones(3)
AdamW({{0.01: [parameter]}}, betas={BETAS}, epsilon={EPSILON}).step(1.0)
assert parameter.max() < 1
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
