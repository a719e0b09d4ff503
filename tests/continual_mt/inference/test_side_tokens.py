"""Sides of other projects: a language's tokens around sources and before targets, and tokens that are banned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import SideTokens
from continual_mt.inference.assembly import assemble
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search

SOURCES = [SideTokens(before=(20,)), SideTokens(before=(21,)), SideTokens(after=(22,))]
TARGETS = [SideTokens(before=(23,)), SideTokens(before=(24,)), SideTokens(start=25, banned=(30, 31))]


@pytest.fixture(scope="module")
def models(parent: Parent) -> list[PairModel]:
    """One model with several source and target languages."""
    model = assemble(Recipe("original", parent.pair, "base", parent.fingerprint), parent, {})

    def side(of: LanguageSide, tokens: SideTokens) -> LanguageSide:
        return replace(of, tokenizer=of.tokenizer.with_side_tokens(tokens))

    return [
        replace(model, source=side(model.source, source), target=side(model.target, target))
        for source in SOURCES
        for target in TARGETS
    ]


def test_each_language_gives_another_score(models: list[PairModel]) -> None:
    found = [model.search([[5, 6, 7]], Search(beam=1))[0][0].score for model in models]
    assert len(set(found)) == len(models)


@pytest.mark.parametrize("beam", [1, 3])
def test_mixed_batches_equal_separate_translation(
    models: list[PairModel], django_catalogs: dict[str, list[str]], beam: int
) -> None:
    sentences = [*django_catalogs["es"][:5], "una palabra " * 40]
    requests = [Request(model, sentence) for sentence in sentences for model in models]
    expected = [model.translate([sentence], beam=beam)[0] for model, sentence in requests]
    assert translate_mixed(requests, beam=beam) == expected


def test_ctranslate2_computes_the_same(models: list[PairModel], tmp_path: Path) -> None:
    sources = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15]]
    for number, model in enumerate(models):
        fast = load_or_convert(model, tmp_path / str(number), precision="float32")
        for ours, theirs in zip(
            model.search(sources, Search(beam=1)), fast.search(sources, Search(beam=1)), strict=True
        ):
            assert theirs[0].tokens[: len(ours[0].tokens)] == ours[0].tokens


@pytest.mark.parametrize("beam", [1, 3])
def test_banned_tokens_are_never_chosen(models: list[PairModel], tmp_path: Path, beam: int) -> None:
    model = models[0]
    (chosen,) = model.search([[5, 6, 7]], Search(beam=beam))
    banned = tuple(set(chosen[0].tokens))
    target = model.target.tokenizer.with_side_tokens(replace(TARGETS[0], banned=banned))
    other = replace(model, target=replace(model.target, tokenizer=target))
    for found in (other, load_or_convert(other, tmp_path, precision="float32")):
        (hypotheses,) = found.search([[5, 6, 7]], Search(beam=beam))
        assert not set(hypotheses[0].tokens) & set(banned)
        assert hypotheses[0].tokens


def test_a_long_source_leaves_room_for_the_tokens(models: list[PairModel]) -> None:
    positions = models[0].transformer.architecture.maximum_positions
    assert models[0].maximum_tokens == positions - 2
    (found,) = models[0].search([[5] * models[0].maximum_tokens], Search(beam=1))
    assert len(found[0].tokens) <= models[0].maximum_tokens
