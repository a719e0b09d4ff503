from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.export.model_class import choose_family
from continual_mt.model.architecture import Architecture
from tests.continual_mt.interchange.conftest import BASE, MakeModel


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "pre"}, "an architecture with norm pre, final_norm false and embedding_norm false"),
        ({"final_norm": True}, "an architecture with norm post, final_norm true and embedding_norm false"),
        (
            {"positions": "learned"},
            "an architecture with norm post, no norms of embeddings, and positions learned from number 0",
        ),
        ({"position_offset": 2}, "positions sinusoidal from number 2"),
    ],
)
def test_an_architecture_that_no_class_computes_is_refused(
    changes: dict[str, Any], message: str, make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]
) -> None:
    architecture: Architecture = replace(BASE, **changes)
    model = make_model(architecture, django_tokenizers["es"], django_tokenizers["de"])
    with pytest.raises(
        IncompatibleError, match=rf"^es-de: transformers has no class that computes .*{message}\. Fix: --format"
    ):
        choose_family(model)


def test_tensors_of_another_kind_are_refused(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    model.transformer.register_parameter("adapter", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(
        IncompatibleError, match=r"^es-de: has tensors that no class of transformers .* with, such as adapter$"
    ):
        choose_family(model)
