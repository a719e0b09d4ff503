"""Selecting the back end that runs a model: PyTorch (the reference) or CTranslate2 (faster)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from continual_mt.errors import InputError, StorageError
from continual_mt.inference import ctranslate2_model
from continual_mt.inference.pivot_model import PivotModel
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Translator

Backend = Literal["auto", "torch", "ctranslate2"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def select_backend(model: PairModel | PivotModel[PairModel], backend: str, cache: Path) -> Translator:
    """Return ``model`` in the given back end: ``torch``, ``ctranslate2`` or ``auto``.

    ``auto`` is CTranslate2 if it is installed and computes the model, the model has a recipe, and ``cache``, the folder
    for converted models, is writable or has the model already; otherwise PyTorch. It is chosen for each leg of a pivot.
    Raises InputError for an unknown back end, and as `load_or_convert` does.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend: unknown value {backend!r}; expected one of {', '.join(BACKENDS)}")
    if isinstance(model, PivotModel):
        first, second = (select_backend(leg, backend, cache) for leg in model.legs)
        return PivotModel(model.recipe, first, second)
    usable = ctranslate2_model.is_available() and model.recipe is not None and ctranslate2_model.is_computable(model)
    if backend == "torch" or (backend == "auto" and not usable):
        return model
    try:
        return ctranslate2_model.load_or_convert(model, cache, threads=torch.get_num_threads())
    except StorageError:
        if backend == "auto":  # the cache cannot be written, as in a read-only home
            return model
        raise
