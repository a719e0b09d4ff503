"""Scopes with options, another architecture, language tokens: on the device they train and translate as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.assembly import assemble
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import group_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, added_shapes, canonical, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import Task
from tests.cuda.conftest import ARCHITECTURE, PAIRS, losses, settings, trained, untrained

pytestmark = pytest.mark.cuda

CPU = torch.device("cpu")
SCOPES = tuple(
    map(canonical, ("xattn:layers=2,parts=query+value", "half", "half-lora:rank=4", "lora:rank=4", "adapter:size=8"))
)
# The paper's architecture, which is also mBART's.
PAPER = replace(ARCHITECTURE, norm="pre", final_norm=True, positions="learned", embedding_norm=True)
# Of M2M100 and NLLB: two targets, so that their tokens are needed.
LANGUAGES = ParentLanguages(
    (ParentSide("fr", "fr_XX", "<fr>"),), (ParentSide("en", "en_XX", "<en>"), ParentSide("it", "it_XX", "<it>"))
)
FORM = SentenceForm(("source language", "text", "end"), ("start", "target language", "text", "end"))
KINDS = ("plain", "paper", "language tokens")
UPDATES, LONGER = 8, 60
# Rounding grows with every update: a wrong gradient moves the losses by percents.
CURVE = 1e-3

every_addition = pytest.mark.parametrize(
    ("kind", "scope", "side"), [(kind, scope, side) for kind in KINDS for scope in SCOPES for side in PAIRS]
)
Addition = Callable[[Parent, Scope, SideName, torch.device], Task]


@pytest.fixture(scope="session")
def beginners(tokenizers: dict[str, Tokenizer]) -> dict[str, Parent]:
    """Untrained parents of each kind."""
    source, target = tokenizers["fr"], tokenizers["en"]
    # Added at the end of the vocabularies, so that text has the ids that it has without them.
    with_tokens = with_control_pieces(source, ["<fr>"]), with_control_pieces(target, ["<en>", "<it>"])
    return {
        "plain": untrained(ARCHITECTURE, source, target),
        "paper": untrained(PAPER, source, target),
        "language tokens": replace(untrained(ARCHITECTURE, *with_tokens), languages=LANGUAGES, form=FORM),
    }


@pytest.fixture(scope="session")
def trained_parent(
    beginners: dict[str, Parent], device: torch.device, corpora: Callable[[str], TokenizedCorpus]
) -> Callable[[str], Parent]:
    """The parent of a kind, trained once."""
    return cache(lambda kind: trained(beginners[kind], corpora("fr-en"), device))


@pytest.fixture
def addition(tokenizers: dict[str, Tokenizer], corpora: Callable[[str], TokenizedCorpus]) -> Addition:
    """Adding a language to a parent, always from equal weights."""

    def make(parent: Parent, scope: Scope, side: SideName, where: torch.device) -> Task:
        pair = Pair.parse(PAIRS[side])
        new = {side: tokenizers[pair.language(side)]}
        source, target = (one.tokenizer for one in parent.sides(pair, **new))
        sizes, architecture = {"source": source.size, "target": target.size}, parent.architecture
        added = added_shapes(architecture, scope, side)
        start = {name: tensor.clone() for name, tensor in parent.tensors.items()}
        start |= initial_tensors(architecture, (*group_names(architecture, side), *added), sizes, 2, added)
        model = Transformer.pointing_at(architecture, start).to(where)
        names = trainable_names(architecture, scope, side)
        return Task(model, names, corpora(PAIRS[side]), source, target, settings(updates=LONGER), seed=3)

    return make


def test_the_kinds_of_parents(beginners: dict[str, Parent]) -> None:
    assert {"source.positions", "target.norm.weight"} <= set(beginners["paper"].tensors)
    source, target = (side.tokenizer for side in beginners["language tokens"].sides(Pair("fr", "en")))
    assert len(source.before_source) == 1
    assert len(target.before_target) == 2


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_parents_translate_as_on_the_cpu(
    trained_parent: Callable[[str], Parent], device: torch.device, held_out: dict[str, list[str]], kind: str, beam: int
) -> None:
    parent, pair = trained_parent(kind), Pair("fr", "en")

    def translated(where: torch.device) -> list[str]:
        recipe = Recipe("original", pair, "base", parent.fingerprint, several=parent.languages.several)
        return on(where, assemble(recipe, parent, {})).translate(held_out["fr"], beam=beam)

    found = translated(device)
    assert found == translated(CPU)
    assert len(set(found)) > 1


@every_addition
def test_the_losses_are_those_of_the_cpu(
    addition: Addition,
    beginners: dict[str, Parent],
    device: torch.device,
    kind: str,
    scope: Scope,
    side: SideName,
) -> None:
    found, expected = (losses(addition(beginners[kind], scope, side, where), UPDATES) for where in (device, CPU))
    assert found == pytest.approx(expected, rel=CURVE)


@every_addition
def test_additions_translate_as_on_the_cpu(
    addition: Addition,
    trained_parent: Callable[[str], Parent],
    device: torch.device,
    held_out: dict[str, list[str]],
    kind: str,
    scope: Scope,
    side: SideName,
) -> None:
    """The module is trained on the device, and put together again for each of the two."""
    parent = trained_parent(kind)
    task = addition(parent, scope, side, device)
    losses(task, LONGER)
    state = task.model.state_dict()
    tensors = {name: state[name].detach().cpu() for name in task.trainable}
    pair, tokenizer = Pair.parse(PAIRS[side]), task.source if side == "source" else task.target
    module = Module.of(parent, pair, scope, tensors, tokenizer)
    key = ModuleKey("base/new:1", module.digest)
    ends = (key, key, None) if side == "source" else (None, key, key)
    recipe = Recipe("supervised", pair, "base", parent.fingerprint, *ends, several=parent.languages.several)

    def translated(where: torch.device) -> list[str]:
        return on(where, assemble(recipe, parent, {key.name: module})).translate(held_out[pair.source], beam=4)

    found = translated(device)
    assert found == translated(CPU)
    assert len(set(found)) > 1


def on(where: torch.device, model: PairModel) -> PairModel:
    return replace(model, transformer=model.transformer.to(where))
