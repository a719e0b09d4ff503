"""A module in int8 is read and written in the same bytes for ever: those in ``int8-module``."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.stored.int8_rows import through_int8
from continual_mt.artifacts.stored.serialization import parameter_shapes
from continual_mt.languages import Pair
from continual_mt.model.scopes import added_shapes, trainable_names
from tests.continual_mt.artifacts.test_parent import ARCHITECTURE, SIZES, TINY, formula_tensors, make_parent

FOLDER = Path(__file__).parent / "int8-module"
SCOPE = "half-lora:rank=2"
DIGEST = "c77a82704ed26cbaa002e429c53d1405e69dfa6d59a7b0091db9bfaccc405226"


def tensors() -> dict[str, Tensor]:
    """Numbers from an integer formula: equal on every machine and in every version of PyTorch."""
    added = added_shapes(ARCHITECTURE, SCOPE, "target")
    shapes = {**parameter_shapes(ARCHITECTURE, SIZES), **added}
    result = {}
    for number, name in enumerate(sorted({*trainable_names(ARCHITECTURE, SCOPE, "target"), *added})):
        count = int(torch.tensor(shapes[name]).prod())
        result[name] = (((torch.arange(count) * 101 + number * 13) % 509 - 254).float() / 96).view(shapes[name])
    # Rows at the ends of the range: zero, the smallest that are not, the largest.
    result["target.embedding"][:3] *= torch.tensor([0.0, 2.0**-120, 2.0**126]).unsqueeze(1)
    return result


def golden_pieces() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir()} | {"target.model": TINY.model}


def test_it_is_written_in_the_same_bytes() -> None:
    module = Module.of(make_parent(formula_tensors()), Pair("es", "de"), SCOPE, tensors(), TINY, "int8")
    assert module.digest == DIGEST
    assert module.pieces() == golden_pieces()


def test_it_is_read_as_the_same_values() -> None:
    module = Module.from_pieces(golden_pieces())
    module.check_fits(make_parent(formula_tensors()))
    assert (module.digest, module.precision) == (DIGEST, "int8")
    for name, tensor in tensors().items():
        is_matrix = tensor.dim() == 2 and not name.endswith("lora_b")
        expected = through_int8(tensor) if is_matrix else tensor.bfloat16().float()
        assert torch.equal(module.tensors[name], expected), name
    assert module.pieces() == golden_pieces()


def test_its_files_are_those_of_safetensors() -> None:
    """The names, dtypes and shapes that docs/how-to/storage.md describes, for other programs that read them."""
    found = load_file(FOLDER / "target.safetensors")
    described = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()}
    assert described == {
        "target.embedding": (torch.int8, (64, 8)),
        "target.embedding.scale": (torch.bfloat16, (64,)),
        "target.bias": (torch.bfloat16, (64,)),
    }
    values, scales = found["target.embedding"], found["target.embedding.scale"]
    assert torch.equal(values.float() * scales.float().unsqueeze(1), through_int8(tensors()["target.embedding"]))
    assert scales[0] == 0
    assert values.abs().amax(dim=1).tolist() == [0, *[127] * 63]
    names = set(load_file(FOLDER / "decoder.safetensors"))
    assert {name for name in names if name.startswith("decoder.0.attention.query")} == {
        "decoder.0.attention.query.lora_a",
        "decoder.0.attention.query.lora_a.scale",
        "decoder.0.attention.query.lora_b",  # rows of two values, in bfloat16
    }
