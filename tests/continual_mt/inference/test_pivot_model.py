"""Pivots of two parents, es-en and en-de: each is compared with its two legs, run one after the other."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.pivot import Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import InputError
from continual_mt.inference.assembly import assemble
from continual_mt.inference.backends import select_backend
from continual_mt.inference.ctranslate2_model import CTranslate2Model
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.pivot_model import PivotModel, one_line
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search, Translation, Translator
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors


@pytest.fixture(scope="module")
def legs(architecture: Architecture, django_tokenizers: dict[str, Tokenizer]) -> tuple[PairModel, PairModel]:
    """Models with large weights, whose token probabilities are far from ties."""
    es_en, en_de = (
        _original(architecture, pair, django_tokenizers, seed) for pair, seed in (("es-en", 4), ("en-de", 5))
    )
    return es_en, en_de


def _original(architecture: Architecture, text: str, tokenizers: dict[str, Tokenizer], seed: int) -> PairModel:
    pair = Pair.parse(text)
    source, target = tokenizers[pair.source], tokenizers[pair.target]
    sizes = {"source": source.size, "target": target.size}
    tensors = initial_tensors(architecture, parameter_names(architecture), sizes, seed=seed)
    scaled = {name: tensor * 6 if tensor.dim() == 2 else tensor for name, tensor in tensors.items()}
    parent = Parent.of_pair(pair, architecture, scaled, source, target)
    return assemble(Recipe("original", pair, text, parent.fingerprint), parent, {})


@pytest.fixture(scope="module")
def pivot(legs: tuple[PairModel, PairModel]) -> PivotModel[PairModel]:
    first, second = legs
    assert first.recipe is not None
    assert second.recipe is not None
    return PivotModel(Pivot(first.recipe, second.recipe), first, second)


@pytest.fixture(scope="module")
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    """Real sentences, blank ones, and one that is too long for the model."""
    return [*django_catalogs["es"][:30], "", " ", "una palabra " * 40]


def test_what_it_is_made_of(pivot: PivotModel[PairModel], legs: tuple[PairModel, PairModel]) -> None:
    first, second = legs
    assert pivot.legs == legs
    assert (pivot.pair, pivot.source, pivot.target) == (Pair("es", "de"), first.source, second.target)


@pytest.mark.parametrize("beam", [1, 3])
def test_the_second_leg_translates_what_the_first_wrote(
    pivot: PivotModel[PairModel], legs: tuple[PairModel, PairModel], sentences: list[str], beam: int
) -> None:
    first, second = legs
    found = pivot.translate(sentences, beam=beam)
    assert found == second.translate(first.translate(sentences, beam=beam), beam=beam)
    assert found[30:32] == ["", ""]
    assert len(set(found)) > 10
    assert pivot.translate([]) == []


def test_a_score_is_the_sum_of_both_scores(pivot: PivotModel[PairModel], sentences: list[str]) -> None:
    search = Search(beam=3)
    into = [best[0] for best in pivot.first.translations(sentences, search)]
    out = [best[0] for best in pivot.second.translations([one.text for one in into], search)]
    found = [best[0] for best in pivot.translations(sentences, search)]
    assert [one.score for one in found] == [a.score + b.score for a, b in zip(into, out, strict=True)]
    assert [one.unknown for one in found] == [a.unknown + b.unknown for a, b in zip(into, out, strict=True)]
    assert math.isnan(pivot.translations(sentences[:1], Search(beam=1, scored=False))[0][0].score)


def test_several_hypotheses_of_the_first_leg(pivot: PivotModel[PairModel], sentences: list[str]) -> None:
    """The best sum wins, wherever it comes from; without scores asked for, the search computes them all the same."""
    chosen = sentences[:12]
    found = pivot.translations(chosen, Search(beam=4, best=3, pivot_best=4))
    changed = 0
    for sentence, best in zip(chosen, found, strict=True):
        middles = pivot.first.translations([sentence], Search(beam=4, best=4))[0]
        candidates = [
            Translation(last.text, middle.score + last.score, middle.unknown + last.unknown)
            for middle in middles
            for last in pivot.second.translations([middle.text], Search(beam=4, best=3))[0]
        ]
        assert best[0].score == pytest.approx(max(one.score for one in candidates), abs=1e-5)
        assert all(first.score >= second.score for first, second in pairwise(best))
        assert len({one.text for one in best}) == len(best) == 3
        changed += best[0].text != pivot.translate([sentence], beam=4)[0]
    assert changed
    unscored = pivot.translations(chosen, Search(beam=4, pivot_best=4, scored=False))
    assert [one[0].text for one in unscored] == [best[0].text for best in found]


def test_options_out_of_range(pivot: PivotModel[PairModel]) -> None:
    with pytest.raises(InputError, match=r"^pivot_best: is 6; expected at most the beam size, 5\. Fix: lower"):
        Search(pivot_best=6)
    with pytest.raises(InputError, match=r"^pivot_best: is 0; expected a whole number of at least 1"):
        Search(pivot_best=0)
    with pytest.raises(InputError, match=r"^sentences: got a string; expected a list of strings"):
        pivot.translate("una palabra")
    with pytest.raises(InputError, match=r"^sentence 2: contains a line break"):
        pivot.translate(["una", "dos\ntres"])


def test_progress_reaches_the_number_of_sentences(pivot: PivotModel[PairModel], sentences: list[str]) -> None:
    done: list[int] = []
    pivot.translate(sentences[:20], beam=2, batch_tokens=60, progress=done.append)
    assert done == sorted(done)
    assert done[0] < 10
    assert done[-1] == 20


def test_back_ends_run_each_leg(pivot: PivotModel[PairModel], sentences: list[str], tmp_path: Path) -> None:
    fast = select_backend(pivot, "ctranslate2", tmp_path)
    assert isinstance(fast, PivotModel)
    assert all(isinstance(leg, CTranslate2Model) for leg in fast.legs)
    first, second = fast.legs
    assert fast.translate(sentences) == second.translate(first.translate(sentences))
    slow = select_backend(pivot, "torch", tmp_path)
    assert isinstance(slow, PivotModel)
    assert slow.legs == pivot.legs


def test_pivots_in_mixed_batches(
    pivot: PivotModel[PairModel], legs: tuple[PairModel, PairModel], sentences: list[str]
) -> None:
    models: list[PairModel | PivotModel[PairModel]] = [pivot, legs[0]]
    requests = [Request(models[i % 2], sentence) for i, sentence in enumerate(sentences)]
    expected = [model.translate([sentence], beam=2)[0] for model, sentence in requests]
    assert translate_mixed(requests, beam=2) == expected


def test_a_line_break_in_between_is_a_space(pivot: PivotModel[PairModel]) -> None:
    """A tokenizer that spells unknown characters in bytes may spell a line break."""
    assert one_line("two\nlines\r\nand\u2028more") == "two lines and more"
    assert one_line("") == ""

    class WritingLines(Translator):
        recipe = pivot.recipe.first
        pair, source, target = pivot.first.pair, pivot.first.source, pivot.first.target

        def translations(self, sentences, search, progress=None):  # type: ignore[no-untyped-def]
            return [[Translation("two\nlines", -1.0)] for _ in sentences]

    broken = PivotModel(pivot.recipe, WritingLines(), pivot.second)
    assert broken.translate(["dos"]) == pivot.second.translate(["two lines"])
