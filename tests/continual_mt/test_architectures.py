"""What has to hold for every architecture: each field that came after the first version, alone and together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.data.batching import pad
from continual_mt.inference.assembly import assemble
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture
from continual_mt.model.scopes import PLAIN_SCOPES, Scope, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.pair_task import Task
from tests.continual_mt.training.runs import assert_bit_equal, run, stop_at

MakeModule = Callable[..., Module]
MakeTask = Callable[..., Task]

BASE = Architecture(width=16, heads=2, encoder_layers=2, decoder_layers=2, feed_forward=24, maximum_positions=48)
ARCHITECTURES = {
    "pre-norm": replace(BASE, norm="pre"),
    "final norm": replace(BASE, final_norm=True),
    "learned positions": replace(BASE, positions="learned"),
    "embedding norm": replace(BASE, embedding_norm=True),
    "untied": replace(BASE, tied_output=False),
    # Of the paper, which is also mBART's; and of M2M100 and NLLB.
    "mbart": replace(BASE, norm="pre", final_norm=True, positions="learned", embedding_norm=True, activation="gelu"),
    "m2m100": replace(BASE, norm="pre", final_norm=True, positions="sinusoidal-fairseq", position_offset=2),
}


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def other(request: pytest.FixtureRequest, make_parent: Callable[[Architecture], Parent]) -> Parent:
    return make_parent(ARCHITECTURES[request.param])


@pytest.fixture(scope="module")
def models(other: Parent, make_module: MakeModule) -> dict[str, PairModel]:
    modules = {name: make_module(name[:5], "half" if "+" in name else "xattn", parent=other) for name in MODULES}
    keys = {name: ModuleKey(name, module.digest) for name, module in modules.items()}

    def make(pair: str, *parts: str | None) -> PairModel:
        chosen = [None if name is None else keys[name] for name in parts]
        kind = "original" if chosen == [None] * 3 else "zero-shot"
        return assemble(Recipe(kind, Pair.parse(pair), "base", other.fingerprint, *chosen), other, modules)

    return {
        "es-en": make("es-en", None, None, None),
        "pt-en": make("pt-en", "pt-en", "pt-en", None),
        "es-de": make("es-de", None, "es-de", "es-de"),
        "pt-de": make("pt-de", "pt-en", "es-de", "es-de"),
        "pt-de+": make("pt-de", "pt-en+", "es-de+", "es-de+"),
    }


MODULES = ("pt-en", "es-de", "pt-en+", "es-de+")


def test_it_is_stored_and_read(other: Parent) -> None:
    read = Parent.from_pieces(other.pieces())
    assert (read.architecture, read.fingerprint) == (other.architecture, other.fingerprint)


def test_fingerprints_differ(make_parent: Callable[[Architecture], Parent]) -> None:
    found = {make_parent(architecture).fingerprint for architecture in (BASE, *ARCHITECTURES.values())}
    assert len(found) == 1 + len(ARCHITECTURES)


def test_logits_do_not_depend_on_the_rest_of_the_batch(other: Parent) -> None:
    model = Transformer.pointing_at(other.architecture, other.tensors)
    sources = [[5, 6, 7, 3], [8, 3], [9, 10, 11, 12, 13, 14, 15, 3]]
    inputs = torch.tensor([[2, 20, 21], [2, 22, 23], [2, 24, 25]])
    together = model(*pad(sources, 0), inputs)
    for row, source in enumerate(sources):
        alone = model(torch.tensor([source]), torch.tensor([len(source)]), inputs[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_searching_scores_as_teacher_forcing(models: dict[str, PairModel], beam: int) -> None:
    """Step by step with a cache, the decoder computes what it computes for a whole sentence."""
    model = models["pt-de"]
    sources = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15]]
    target = model.target.tokenizer
    for source, (best, *_) in zip(sources, model.search(sources, Search(beam, 0.0)), strict=True):
        tokens = torch.tensor([[*source, model.source.tokenizer.end]])
        inputs = torch.tensor([[target.start, *best.tokens]])
        with torch.inference_mode():
            logits = model.transformer(tokens, torch.tensor([tokens.shape[1]]), inputs)[0].log_softmax(-1)
        outputs = [*best.tokens, target.end][: model.maximum_tokens]
        scores = [float(logits[place, token]) for place, token in enumerate(outputs)]
        assert best.score in (pytest.approx(sum(scores), abs=1e-3), pytest.approx(sum(scores[:-1]), abs=1e-3))


def test_mixed_batches_equal_separate_translation(
    models: dict[str, PairModel], django_catalogs: dict[str, list[str]]
) -> None:
    requests = [
        Request(model, django_catalogs[model.pair.source][number]) for number in range(4) for model in models.values()
    ]
    expected = [model.translate([sentence], beam=2)[0] for model, sentence in requests]
    assert translate_mixed(requests, beam=2) == expected
    assert len(set(expected)) > len(expected) // 2


def test_ctranslate2_computes_the_same(models: dict[str, PairModel], tmp_path: Path) -> None:
    for name in ("es-en", "pt-de", "pt-de+"):
        model = models[name]
        fast = load_or_convert(model, tmp_path, precision="float32")
        sources = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15]]
        for ours, theirs in zip(
            model.search(sources, Search(beam=1)), fast.search(sources, Search(beam=1)), strict=True
        ):
            assert theirs[0].tokens[: len(ours[0].tokens)] == ours[0].tokens


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("scope", PLAIN_SCOPES)
def test_a_scope_trains_its_parameters_and_no_others(
    other: Parent, make_task: MakeTask, tmp_path: Path, scope: Scope, side: SideName
) -> None:
    """A run that was stopped continues bit for bit."""
    names = trainable_names(other.architecture, scope, side)
    settings = {"updates": 4, "dropout": 0.1, "validate_every": 2, "learning_rate": 0.01}
    task = make_task(names, parent=other, **settings)
    run(task, tmp_path / "whole")
    for name, parameter in task.model.named_parameters():
        # The gradient of a key's bias is zero but for rounding.
        if not name.endswith("key.bias"):
            assert torch.equal(parameter, other.tensors[name]) == (name not in names), name
    run(make_task(names, parent=other, **settings), tmp_path / "stopped", stop=stop_at(2))
    run(make_task(names, parent=other, **settings), tmp_path / "stopped")
    assert_bit_equal(tmp_path / "stopped", tmp_path / "whole")
    assert set(Checkpoint.load(tmp_path / "whole").trained) == set(names)
