"""Pairs assembled after languages were added on the device: the original is bit-equal, mixed batches translate all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.inference.assembly import assemble
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.transformer import Transformer
from tests.cuda.conftest import PAIRS, MakeTask, losses

pytestmark = pytest.mark.cuda

CPU = torch.device("cpu")
UPDATES = 60
ORIGINAL = Pair("fr", "en")
Models = dict[str, PairModel]


@pytest.fixture
def modules(parent: Parent, make_task: MakeTask, device: torch.device) -> dict[str, Module]:
    """de-en and fr-es, trained on the device; their tensors are on the CPU."""
    found = {}
    for side, pair in PAIRS.items():
        task = make_task("xattn", side, device)
        losses(task, UPDATES)
        state = task.model.state_dict()
        tensors = {name: state[name].detach().cpu() for name in task.trainable}
        new = task.source if side == "source" else task.target
        found[pair] = Module.of(parent, Pair.parse(pair), "xattn", tensors, new)
    return found


@pytest.fixture
def models(parent: Parent, modules: dict[str, Module]) -> Callable[[torch.device], Models]:
    """Each kind of recipe on a device; ``retention`` is the original pair through the cross-attention of de-en."""
    german, spanish = (ModuleKey(f"base/{pair}:1", modules[pair].digest) for pair in PAIRS.values())
    named = {german.name: modules["de-en"], spanish.name: modules["fr-es"]}
    fingerprint = parent.fingerprint
    recipes = {
        "fr-en": Recipe("original", ORIGINAL, "base", fingerprint),
        "de-en": Recipe("supervised", Pair("de", "en"), "base", fingerprint, german, german),
        "fr-es": Recipe("supervised", Pair("fr", "es"), "base", fingerprint, None, spanish, spanish),
        "de-es": Recipe("zero-shot", Pair("de", "es"), "base", fingerprint, german, spanish, spanish),
        "retention": Recipe("retention", ORIGINAL, "base", fingerprint, None, german),
    }
    return lambda where: moved({name: assemble(recipe, parent, named) for name, recipe in recipes.items()}, where)


def moved(models: Models, where: torch.device) -> Models:
    """The models on a device, where they share the weights that they have in common."""
    there: dict[int, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        return there.setdefault(tensor.data_ptr(), tensor.to(where))

    return {
        name: replace(
            model,
            transformer=Transformer.pointing_at(
                model.transformer.architecture, {key: move(one) for key, one in model.transformer.state_dict().items()}
            ),
        )
        for name, model in models.items()
    }


def test_the_original_pair_is_bit_equal_after_additions(
    parent: Parent, device: torch.device, held_out: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    text = held_out["fr"], held_out["en"]
    recipe = Recipe("original", ORIGINAL, "base", parent.fingerprint)
    before = moved({"": assemble(recipe, parent, {})}, device)[""].logits_digest(*text)
    models = request.getfixturevalue("models")(device)  # the languages are added now
    assert models["fr-en"].logits_digest(*text) == before
    assert models["retention"].logits_digest(*text) != before


@pytest.mark.parametrize("beam", [1, 4])
def test_mixed_batches_give_the_text_of_the_cpu(
    models: Callable[[torch.device], Models], device: torch.device, held_out: dict[str, list[str]], beam: int
) -> None:
    def translated(where: torch.device) -> list[str]:
        there = models(where)
        asked = [
            Request(there[pair], held_out[pair[:2]][number])
            for number in range(len(held_out["fr"]))
            for pair in ("fr-en", "de-en", "fr-es", "de-es")
        ]
        return translate_mixed(asked, beam=beam)

    found = translated(device)
    assert found == translated(CPU)
    alone = models(device)
    for place, pair in enumerate(("fr-en", "de-en", "fr-es", "de-es")):
        assert found[place::4] == alone[pair].translate(held_out[pair[:2]], beam=beam)
    assert len(set(found)) > len(found) / 4
