"""Which back end runs a model: the reference in PyTorch, or the fast one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from continual_mt.errors import InputError, StorageError
from continual_mt.inference import ctranslate2_model
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Translator

Backend = Literal["auto", "torch", "ctranslate2"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def select_backend(model: PairModel, backend: str, cache: Path) -> Translator:
    """``model`` as this back end runs it; ``auto`` is CTranslate2 where it is installed, else PyTorch.

    ``cache`` keeps converted models. Raises InputError for a back end that there is not, and what converting raises.
    """
    if backend not in BACKENDS:
        raise InputError(f"there is no back end {backend!r}; choose one of {', '.join(BACKENDS)}")
    usable = ctranslate2_model.is_available() and model.recipe is not None
    if backend == "torch" or (backend == "auto" and not usable):
        return model
    try:
        return ctranslate2_model.load_or_convert(model, cache, threads=torch.get_num_threads())
    except StorageError:
        if backend == "auto":  # a home that may only be read
            return model
        raise
