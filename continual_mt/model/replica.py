"""A module again, around other parameters: pairs of one body differ in nothing but what their models point at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

_Module = TypeVar("_Module", bound=nn.Module)


def replica(module: _Module, tensors: Mapping[str, Tensor], prefix: str = "") -> _Module:
    """``module`` with frozen parameters that *are* the given tensors, by full name; nothing is copied.

    Takes a fifth of the time that it takes to make a module anew: pairs are switched among while somebody waits.
    """
    made = module.__class__.__new__(module.__class__)
    # Its own dictionaries and sets, so that a hook on one is on no other.
    state = {name: value.copy() if isinstance(value, dict | set) else value for name, value in module.__dict__.items()}
    state["_parameters"] = {
        name: nn.Parameter(tensors[f"{prefix}{name}"], requires_grad=False) for name in module._parameters
    }
    state["_modules"] = {
        name: None if child is None else replica(child, tensors, f"{prefix}{name}.")
        for name, child in module._modules.items()
    }
    made.__dict__.update(state)
    return made
