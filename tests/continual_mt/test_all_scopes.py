"""What has to hold for every scope with options, of either side: from training to translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.artifacts.stored.serialization import json_piece, read_json
from continual_mt.errors import CorruptionError, IncompatibleError, InputError
from continual_mt.inference.assembly import assemble
from continual_mt.inference.backends import select_backend
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.interchange.huggingface.export.model_class import choose_family
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import ADAPTER, Architecture
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.low_rank import FACTORS, merged
from continual_mt.model.scopes import Scope, added_shapes, trainable_names, trained_groups
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.pair_task import Task
from tests.continual_mt.training.runs import assert_bit_equal, run, stop_at

MakeModule = Callable[..., Module]
MakeTask = Callable[..., Task]

ARCHITECTURE = Architecture(
    width=16, heads=2, encoder_layers=2, decoder_layers=2, feed_forward=24, maximum_positions=48
)
SCOPES = (
    "xattn:layers=2",
    "xattn:parts=query+norm",
    "xattn:layers=1,parts=key+value",
    "half-lora:rank=4",
    "lora:rank=3",
    "adapter:size=8",
)
PAIRS: dict[SideName, str] = {"source": "pt-en", "target": "es-de"}


@pytest.fixture(scope="module")
def two_layers(make_parent: Callable[[Architecture], Parent]) -> Parent:
    return make_parent(ARCHITECTURE)


@pytest.fixture(scope="module")
def modules(two_layers: Parent, make_module: MakeModule) -> dict[str, Module]:
    made = {f"{PAIRS[side]} {scope}": make_module(PAIRS[side], scope, parent=two_layers) for scope, side in BOTH}
    return made | {pair: make_module(pair, parent=two_layers) for pair in PAIRS.values()}


BOTH: list[tuple[Scope, SideName]] = list(product(SCOPES, PAIRS))


def put_together(parent: Parent, modules: dict[str, Module], pair: str, *parts: str | None) -> PairModel:
    """The model of a pair: the names of the modules of its source side, of what is between, and of its target side."""
    keys = [None if name is None else ModuleKey(name, modules[name].digest) for name in parts]
    return assemble(Recipe("zero-shot", Pair.parse(pair), "base", parent.fingerprint, *keys), parent, modules)


def supervised(parent: Parent, modules: dict[str, Module], name: str) -> PairModel:
    pair = name[:5]
    return put_together(parent, modules, pair, *([name, name, None] if pair == "pt-en" else [None, name, name]))


@pytest.mark.parametrize(("scope", "side"), BOTH)
def test_it_is_stored_and_read(two_layers: Parent, modules: dict[str, Module], scope: Scope, side: SideName) -> None:
    module = modules[f"{PAIRS[side]} {scope}"]
    names = trainable_names(ARCHITECTURE, scope, side)
    pieces = module.pieces()
    read = Module.from_pieces(pieces)
    read.check_fits(two_layers)
    assert (read.scope, read.digest, set(read.tensors)) == (scope, module.digest, set(names))
    assert read.pieces() == pieces
    assert {name for name in pieces if name.endswith(".safetensors")} == {
        f"{group}.safetensors" for group in trained_groups(scope, side)
    }
    assert len({one.digest for one in modules.values()}) == len(modules)


@pytest.mark.parametrize(("scope", "side"), BOTH)
def test_it_is_stored_in_int8(two_layers: Parent, modules: dict[str, Module], scope: Scope, side: SideName) -> None:
    full = modules[f"{PAIRS[side]} {scope}"]
    module = full.stored_in("int8")
    pieces = module.pieces()
    read = Module.from_pieces(pieces)
    read.check_fits(two_layers)
    assert (read.precision, read.digest, read.pieces()) == ("int8", module.digest, pieces)
    assert set(read.tensors) == set(full.tensors)
    for name, tensor in full.tensors.items():
        assert torch.equal(read.tensors[name], module.tensors[name])
        # The largest of a row's values is 127 times its scale, and none changes by more than half of that.
        assert (read.tensors[name] - tensor).abs().max() <= tensor.abs().max() / 250


@pytest.mark.parametrize(("scope", "side"), BOTH)
def test_it_trains_its_tensors_and_no_others(
    two_layers: Parent, make_task: MakeTask, tmp_path: Path, scope: Scope, side: SideName
) -> None:
    """A run that was stopped continues bit for bit."""
    names = trainable_names(ARCHITECTURE, scope, side)
    settings: dict[str, Any] = {"updates": 4, "dropout": 0.1, "validate_every": 2, "learning_rate": 0.01}
    settings["added"] = added_shapes(ARCHITECTURE, scope, side)
    task = make_task(names, parent=two_layers, **settings)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    run(task, tmp_path / "whole")
    for name, tensor in task.model.state_dict().items():
        # The gradient of a key's bias is zero but for rounding.
        if not name.endswith("key.bias"):
            assert torch.equal(tensor, before[name]) == (name not in names), name
    run(make_task(names, parent=two_layers, **settings), tmp_path / "stopped", stop=stop_at(2))
    run(make_task(names, parent=two_layers, **settings), tmp_path / "stopped")
    assert_bit_equal(tmp_path / "stopped", tmp_path / "whole")
    assert set(Checkpoint.load(tmp_path / "whole").trained) == set(names)


@pytest.mark.parametrize(("scope", "side"), [one for one in BOTH if one[0].startswith("xattn")])
def test_what_is_not_stored_is_the_parents(
    two_layers: Parent, modules: dict[str, Module], scope: Scope, side: SideName
) -> None:
    name = f"{PAIRS[side]} {scope}"
    module, model = modules[name], supervised(two_layers, modules, name)
    for full_name, parameter in model.transformer.named_parameters():
        origin = module.tensors.get(full_name, two_layers.tensors[full_name])
        assert parameter.data_ptr() == origin.data_ptr(), full_name


@pytest.mark.parametrize(("scope", "side"), [one for one in BOTH if not one[0].startswith("xattn")])
def test_what_is_added_changes_nothing_at_first(two_layers: Parent, scope: Scope, side: SideName) -> None:
    added = added_shapes(ARCHITECTURE, scope, side)
    start = initial_tensors(ARCHITECTURE, tuple(added), {"source": 1, "target": 1}, 1, added)
    inputs = torch.tensor([[5, 6, 7, 3]]), torch.tensor([4]), torch.tensor([[2, 20, 21]])
    with torch.inference_mode():
        expected, found = (
            Transformer.pointing_at(ARCHITECTURE, {**two_layers.tensors, **more})(*inputs) for more in ({}, start)
        )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("side", PAIRS)
def test_adapters_follow_each_layer(two_layers: Parent, modules: dict[str, Module], side: SideName) -> None:
    """Step by step the decoder computes what it computes for a whole sentence."""
    model = supervised(two_layers, modules, f"{PAIRS[side]} adapter:size=8")
    changed = replace(model, transformer=Transformer.pointing_at(ARCHITECTURE, without_adapters(model)))
    source = [5, 6, 7]
    ((best, *_),) = model.search([source], Search(2, 0.0))
    tokens = torch.tensor([[*source, model.source.tokenizer.end]])
    target = model.target.tokenizer
    outputs = [*best.tokens, target.end][: model.maximum_tokens]
    inputs = torch.tensor([[target.start, *best.tokens]])[:, : len(outputs)]
    with torch.inference_mode():
        logits = [one.transformer(tokens, torch.tensor([4]), inputs)[0].log_softmax(-1) for one in (model, changed)]
    scores = [float(logits[0][place, token]) for place, token in enumerate(outputs)]
    assert best.score in (pytest.approx(sum(scores), abs=1e-3), pytest.approx(sum(scores[:-1]), abs=1e-3))
    assert (logits[0] - logits[1]).abs().max() > 0.01


def without_adapters(model: PairModel) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.transformer.state_dict().items() if ADAPTER not in name}


def test_what_cannot_express_adapters_refuses_them(
    two_layers: Parent, modules: dict[str, Module], tmp_path: Path
) -> None:
    model = supervised(two_layers, modules, "pt-en adapter:size=8")
    message = r"^pt-en: CTranslate2 cannot compute the adapters of pt-en adapter:size=8. Fix: choose the backend torch"
    with pytest.raises(IncompatibleError, match=message):
        select_backend(model, "ctranslate2", tmp_path)
    assert select_backend(model, "auto", tmp_path) is model
    with pytest.raises(IncompatibleError, match=r"^pt-en: has tensors that no class of transformers computes with"):
        choose_family(model)


@pytest.mark.parametrize(("scope", "side"), [one for one in BOTH if "lora" in one[0]])
def test_merged_updates_compute_what_separate_ones_do(
    two_layers: Parent, modules: dict[str, Module], django_catalogs: dict[str, list[str]], scope: Scope, side: SideName
) -> None:
    pair = PAIRS[side]
    module = modules[name := f"{pair} {scope}"]
    model = supervised(two_layers, modules, name)
    text = [django_catalogs[language][:10] for language in pair.split("-")]

    def logits(tensors: Mapping[str, Tensor]) -> Tensor:
        """In float64: the random weights of tests magnify what is rounded."""
        transformer = Transformer.pointing_at(ARCHITECTURE, tensors).computing_in(torch.float64)
        return next(iter(replace(model, transformer=transformer).logits(*text)))

    parents = {full_name: tensor.double() for full_name, tensor in two_layers.tensors.items()}
    own = {full_name: tensor.double() for full_name, tensor in module.tensors.items()}
    separate = logits(parents | own)
    torch.testing.assert_close(logits(parents | merged(own, parents)), separate, atol=1e-9, rtol=1e-9)
    assert (logits(model.transformer.state_dict()) - separate).abs().median() < 1e-5
    without = {full_name: tensor for full_name, tensor in own.items() if not full_name.endswith(FACTORS)}
    assert (logits(parents | without) - separate).abs().max() > 0.1
    # The merged matrices are computed once.
    again = supervised(two_layers, modules, name).transformer.state_dict()
    for full_name, tensor in model.transformer.state_dict().items():
        assert tensor.data_ptr() == again[full_name].data_ptr(), full_name
        shared = full_name in two_layers.tensors and tensor.data_ptr() == two_layers.tensors[full_name].data_ptr()
        layer = full_name.removesuffix(".weight")
        assert shared != (full_name in module.tensors or f"{layer}.lora_a" in module.tensors), full_name


def test_mixed_batches_equal_separate_translation(
    two_layers: Parent, modules: dict[str, Module], django_catalogs: dict[str, list[str]]
) -> None:
    """Models that share some tensors of a group, and not others, are told apart."""
    models = [supervised(two_layers, modules, name) for name in modules]
    requests = [Request(model, django_catalogs[model.pair.source][number]) for number in range(3) for model in models]
    expected = [model.translate([sentence], beam=2)[0] for model, sentence in requests]
    assert translate_mixed(requests, beam=2) == expected
    assert len(set(expected)) > len(expected) // 2


@pytest.mark.parametrize(("scope", "side"), [one for one in BOTH if not one[0].startswith("adapter")])
def test_ctranslate2_computes_the_same(
    two_layers: Parent, modules: dict[str, Module], tmp_path: Path, scope: Scope, side: SideName
) -> None:
    model = supervised(two_layers, modules, f"{PAIRS[side]} {scope}")
    fast = load_or_convert(model, tmp_path, precision="float32")
    sources = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15]]
    for ours, theirs in zip(model.search(sources, Search(beam=1)), fast.search(sources, Search(beam=1)), strict=True):
        assert theirs[0].tokens[: len(ours[0].tokens)] == ours[0].tokens


def test_spellings_that_are_not_stored_are_refused(two_layers: Parent, make_module: MakeModule) -> None:
    """``Module.of`` takes any spelling; what is stored has one."""
    module = make_module("pt-en", "xattn", parent=two_layers)
    same = Module.of(two_layers, module.pair, "xattn:layers=1-2", module.tensors, module.new_side.tokenizer)
    assert (same.scope, same.digest) == ("xattn", module.digest)
    with pytest.raises(InputError, match=r"^scope: unknown scope 'xatn'"):
        Module.of(two_layers, module.pair, "xatn", module.tensors, module.new_side.tokenizer)
    with pytest.raises(InputError, match=r"^scope: xattn:layers=3: the parent has no decoder layer 3"):
        Module.of(two_layers, module.pair, "xattn:layers=3", module.tensors, module.new_side.tokenizer)
    pieces = module.pieces()
    description = read_json(pieces, "module.json")
    for scope in ("xattn:query+key", "xattn:layers=6-4", ["xattn"]):
        with pytest.raises(CorruptionError, match=r"^module\.json: unknown side or scope"):
            Module.from_pieces({**pieces, "module.json": json_piece(description | {"scope": scope})})
    stored = Module.from_pieces({**pieces, "module.json": json_piece(description | {"scope": "xattn:layers=1-2"})})
    with pytest.raises(CorruptionError, match=r"^scope: is xattn:layers=1-2; expected the spelling xattn"):
        stored.check_fits(two_layers)


def test_encoders_and_decoders_of_low_rank_modules_meet(two_layers: Parent, modules: dict[str, Module]) -> None:
    """A source brings its encoder; what reads the encoder's output comes from the target's module."""
    for source, target in (
        ("half-lora:rank=4", "half-lora:rank=4"),
        ("lora:rank=3", "half-lora:rank=4"),
        ("adapter:size=8", "half-lora:rank=4"),
        ("adapter:size=8", "xattn:layers=2"),
    ):
        source, target = f"pt-en {source}", f"es-de {target}"
        tensors = put_together(two_layers, modules, "pt-de", source, target, target).transformer.state_dict()
        for group, name in (("encoder", source), ("decoder", target), ("cross_attention", target)):
            for full_name, tensor in modules[name].weights(group, two_layers.tensors).items():
                assert tensors[full_name].data_ptr() == tensor.data_ptr()
    message = "^pt-de: would need two encoders, that of pt-en half-lora:rank=4 and that of es-de lora:rank=3. Fix: "
    with pytest.raises(IncompatibleError, match=message):
        put_together(two_layers, modules, "pt-de", "pt-en half-lora:rank=4", "es-de lora:rank=3", "es-de lora:rank=3")
    adapters = "pt-en adapter:size=8", "es-de adapter:size=8"
    with pytest.raises(IncompatibleError, match=f"^pt-de: would need two encoders, that of {adapters[0]} and that of"):
        put_together(two_layers, modules, "pt-de", adapters[0], adapters[1], adapters[1])
