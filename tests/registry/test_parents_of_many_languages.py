"""A parent of several source and target languages, from its registration to the pairs of an added language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import update
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages, ParentSide
from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, UnknownNameError
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.architecture import parameter_names
from continual_mt.model.scopes import Scope, trainable_names
from registry import Lineage, Registry, ScoreRecord
from registry.database import schema
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.verify import verify
from registry.recipes import listing
from registry.recipes.embeddings import two_embeddings
from tests.registry.conftest import ARCHITECTURE, random_tensors

LINEAGE = Lineage(corpora=(), spec={}, code_version="0.1.0")
CODES = {"de": "deu_Latn", "en": "eng_Latn", "fr": "fra_Latn"}
LANGUAGES = ParentLanguages(
    tuple(ParentSide(tag, code, code) for tag, code in CODES.items()),
    tuple(ParentSide(tag, CODES[tag], CODES[tag]) for tag in ("en", "fr")),
)
NAMED_BY_BOTH = SentenceForm(("source language", "text", "end"), ("start", "target language", "text", "end"))


def made(tokenizer: Tokenizer, form: SentenceForm = NAMED_BY_BOTH, seed: int = 0) -> Parent:
    table = with_control_pieces(tokenizer, list(CODES.values()))
    sizes = {"source": table.size, "target": table.size}
    tensors = random_tensors(parameter_names(ARCHITECTURE), sizes, seed)
    return Parent(ARCHITECTURE, tensors, table, table, LANGUAGES, form)


def added(parent: Parent, pair: str, tokenizer: Tokenizer, scope: Scope = "xattn", seed: int = 1) -> Module:
    languages = Pair.parse(pair)
    side = parent.languages.new_side(languages)
    table = with_control_pieces(tokenizer, parent.tokens_of_new_sources if side == "source" else ())
    sizes = {end: parent.tokenizer(end).size for end in ENDS} | {side: table.size}
    return Module.of(
        parent, languages, scope, random_tensors(trainable_names(ARCHITECTURE, scope, side), sizes, seed), table
    )


@pytest.fixture(scope="module")
def many(tokenizers: dict[str, Tokenizer]) -> Parent:
    return made(tokenizers["en"])


@pytest.fixture
def filled(many: Parent, tokenizers: dict[str, Tokenizer], tmp_path: Path) -> Iterator[Registry]:
    """The parent with a new source language (Spanish into English) and a new target (Portuguese, from German)."""
    with Registry.open(tmp_path / "home", create=True) as registry:
        registry.register_parent("many", many, lineage=LINEAGE)
        registry.register_module("many", added(many, "es-en", tokenizers["es"]), lineage=LINEAGE)
        registry.register_module("many", added(many, "de-pt", tokenizers["pt"], seed=2), lineage=LINEAGE)
        yield registry


def score_of(recipe: AnyRecipe, value: float) -> ScoreRecord:
    return ScoreRecord.of(
        recipe,
        test="flickr",
        test_digest="7" * 64,
        metric="bleu",
        value=value,
        copy_value=None,
        signature="nrefs:1",
        sentences=1000,
        beam=5,
    )


def pairs_of(registry: Registry, *, pivot: bool = False, **options: str) -> dict[str, str]:
    return {str(entry.pair): entry.kind for entry in registry.pairs(pivot=pivot, **options)}


def test_it_is_stored_bit_by_bit(many: Parent) -> None:
    read = Parent.from_pieces(many.pieces())
    assert (read.languages, read.form, read.fingerprint) == (many.languages, many.form, many.fingerprint)
    assert read.pieces() == many.pieces()


def test_the_fingerprint_covers_languages_and_the_form(many: Parent, tokenizers: dict[str, Tokenizer]) -> None:
    other = made(tokenizers["en"], SentenceForm(("text", "end", "source language"), NAMED_BY_BOTH.decoder_input))
    fewer = Parent(
        ARCHITECTURE,
        many.tensors,
        many.source_tokenizer,
        many.target_tokenizer,
        ParentLanguages(LANGUAGES.sources, LANGUAGES.targets[:1]),
        NAMED_BY_BOTH,
    )
    assert len({many.fingerprint, other.fingerprint, fewer.fingerprint}) == 3


def test_a_new_language_goes_into_every_language_of_the_parent(filled: Registry) -> None:
    own = dict.fromkeys(("de-en", "de-fr", "en-fr", "fr-en"), "original")
    trained = dict.fromkeys(("es-en", "de-pt"), "supervised")
    unseen = dict.fromkeys(("es-fr", "en-pt", "fr-pt", "es-pt"), "zero-shot")
    assert pairs_of(filled) == own | trained | unseen
    assert pairs_of(filled, pivot=True) == own | trained | unseen | {"es-fr": "pivot"}
    assert pairs_of(filled, language="it") == {}
    assert pairs_of(filled, language="deu_Latn") == {"de-en": "original", "de-fr": "original", "de-pt": "supervised"}


def test_each_pair_runs_with_the_tokens_of_its_languages(filled: Registry, many: Parent) -> None:
    def tokens(pair: str) -> tuple[SideTokens, SideTokens]:
        model = filled.assemble(*pair.split("-"), pivot=False)
        return model.source.tokenizer.side_tokens, model.target.tokenizer.side_tokens

    number = {tag: many.source_tokenizer.number(code) or 0 for tag, code in CODES.items()}
    none = SideTokens()
    assert tokens("de-fr") == (SideTokens((number["de"],)), SideTokens((number["fr"],)))
    assert tokens("es-fr") == (none, SideTokens((number["fr"],)))
    assert tokens("fr-pt") == (SideTokens((number["fr"],)), none)
    assert tokens("es-pt") == (none, none)
    assert filled.assemble("deu_Latn", "fra_Latn").recipe == filled.assemble("de", "fr").recipe


def test_a_new_language_brings_the_cross_attention_that_was_trained_with_it(filled: Registry, many: Parent) -> None:
    es, pt = filled.load_module("es-en"), filled.load_module("de-pt")
    name = "cross_attention.0.query.weight"
    for pair, owner in (("es-fr", es.tensors), ("fr-pt", pt.tensors), ("es-pt", pt.tensors), ("de-fr", many.tensors)):
        model = filled.assemble(*pair.split("-"), pivot=False)
        assert isinstance(model, PairModel)
        assert torch.equal(model.transformer.state_dict()[name], owner[name]), pair


def test_recipes_name_the_parents_languages(filled: Registry) -> None:
    digests = {filled.recipe_catalog.recipe(*pair).digest for pair in (("de", "fr"), ("en", "fr"), ("de", "en"))}
    assert len(digests) == 3
    assert str(filled.recipe_catalog.recipe("es", "fr", pivot=False)) == (
        "zero-shot es-fr: source many/es-en:1, xattn many/es-en:1, target many:fr"
    )
    model = filled.assemble("es", "fr", pivot=False)
    assert model.recipe is not None
    again = filled.assemble(model.recipe.digest)
    assert again.recipe == model.recipe
    retention = filled.recipe_catalog.recipe("de", "fr", kind="retention:es-en")
    assert str(retention) == "retention de-fr: source many:de, xattn many/es-en:1, target many:fr"


def test_what_cannot_be_run_is_named(filled: Registry) -> None:
    with pytest.raises(UnknownNameError, match="unknown source language 'it'; expected one of: de, en, es, fr"):
        filled.assemble("it", "fr")
    with pytest.raises(UnknownNameError, match="unknown target language 'es'; expected one of: en, fr, pt"):
        filled.assemble("de", "es")
    with pytest.raises(IncompatibleError, match=r"the parent \{de, en, fr\}-\{en, fr\} has several pairs"):
        _ = filled.parent().pair


def test_of_many_pairs_only_those_with_a_module_or_a_score_are_listed(
    filled: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_LISTED", 3)
    trained = {"es-en": "supervised", "de-pt": "supervised", "es-pt": "zero-shot"}
    assert pairs_of(filled) == trained
    assert pairs_of(filled, language="fr") == {
        "de-fr": "original",
        "en-fr": "original",
        "fr-en": "original",
        "es-fr": "zero-shot",
        "fr-pt": "zero-shot",
    }
    assert filled.assemble("de", "fr").pair == Pair("de", "fr")


def test_pivots_take_the_parents_own_codes(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair that only a pivot was scored on is not listed among those of many that have a score."""
    found = filled.recipe_catalog.recipe("deu_Latn", "fr", kind="pivot:deu_Latn-eng_Latn+en-fra_Latn")
    assert [(leg.kind, str(leg.pair)) for leg in found.legs] == [("original", "de-en"), ("original", "en-fr")]
    with pytest.raises(IncompatibleError, match=r"Pivots of es-fr that can be run: pivot:es-en\+en-fr$"):
        filled.recipe_catalog.recipe("es", "fra_Latn", kind="pivot:es-en+de-fr")
    filled.register_scores([score_of(found, 20.0)])
    monkeypatch.setattr(listing, "MOST_LISTED", 3)
    assert "de-fr" not in pairs_of(filled)


def test_a_pinned_module_brings_its_language(filled: Registry, many: Parent, tokenizers: dict[str, Tokenizer]) -> None:
    filled.register_module("many", added(many, "es-fr", tokenizers["es"], seed=3), lineage=LINEAGE)
    catalog = filled.recipe_catalog
    assert catalog.recipe("es", "fr").kind == "supervised"
    assert "source many/es-fr:1" in str(catalog.recipe("es", "pt"))  # the newest
    assert "source many/es-en:1" in str(catalog.recipe("es", "pt", modules=["es-en:1"]))


def test_bundles_carry_it(filled: Registry, tmp_path: Path) -> None:
    export(filled, ["many"], tmp_path / "bundle")
    with Registry.open(tmp_path / "other", create=True) as other:
        import_bundle(other, tmp_path / "bundle")
        assert other.parent().languages == filled.parent().languages
        assert pairs_of(other) == pairs_of(filled)
        assert verify(other, set_aside=False).problems == ()


def test_it_is_found_by_each_of_its_languages(filled: Registry) -> None:
    def names(text: str) -> list[str]:
        found = filled.annotations.search(text).found
        return [getattr(one.record, "name", None) or one.record.full_name for one in found]  # type: ignore[union-attr]

    assert names("kind=parent language=fr") == ["many"]
    assert names("kind=parent pair=de-fr source=en") == ["many"]
    assert names("kind=parent target=de") == []
    assert names("kind=parent target!=de") == ["many"]
    assert names("kind=parent bleu>0") == []


def test_it_is_found_by_the_score_of_any_of_its_pairs(filled: Registry) -> None:
    for number, (source, target) in enumerate((("de", "en"), ("de", "fr"), ("en", "fr"))):
        recipe = filled.recipe_catalog.recipe(source, target)
        filled.register_scores([score_of(recipe, 10.0 * (number + 1))])
    found = {limit: len(filled.annotations.search(f"kind=parent bleu>{limit}").found) for limit in (5, 15, 25, 35)}
    assert found == {5: 1, 15: 1, 25: 1, 35: 0}
    assert filled.annotations.search("kind=parent bleu<15").total == 1


def test_the_parents_own_codes_are_accepted_by_comparisons_and_alignments(filled: Registry) -> None:
    catalog = filled.recipe_catalog
    assert catalog.recipe("es", "en", kind="es-en:1") == catalog.recipe("es", "en")
    first, second = two_embeddings(catalog, filled.parent(), ("deu_Latn", "es"))
    assert (first.language, second.language, first.module) == ("de", "es", None)
    with pytest.raises(IncompatibleError, match="de and fr share the table of the parent many; expected two tables"):
        two_embeddings(catalog, filled.parent(), ("de", "fr"), "source")


def test_modules_are_named_by_the_parents_own_codes(filled: Registry) -> None:
    catalog, annotations = filled.recipe_catalog, filled.annotations
    for name in ("es-eng_Latn", "es-eng_Latn:1", "many/es-eng_Latn:1"):
        assert filled.module(name).full_name == "many/es-en:1"
        assert filled.catalog.find(name) == filled.module("es-en")
    assert annotations.set_alias("es-eng_Latn@champion", "es-eng_Latn:1").full_name == "many/es-en@champion"
    assert filled.module("es-eng_Latn@champion") == filled.module("es-en@champion")
    assert [move.to_version for move in annotations.alias_history("es-eng_Latn@champion")] == [1]
    named = {"modules": ["es-eng_Latn:1"], "xattn": "deu_Latn-pt:1"}
    assert (
        filled.assemble("es", "eng_Latn", **named).recipe
        == filled.assemble(  # type: ignore[arg-type]
            "es", "en", modules=["es-en:1"], xattn="de-pt:1"
        ).recipe
    )
    assert catalog.recipe("de", "en", kind="retention:es-eng_Latn") == catalog.recipe(
        "de", "en", kind="retention:es-en"
    )
    assert catalog.recipe("es", "eng_Latn", kind="es-eng_Latn:1") == catalog.recipe("es", "en")
    with pytest.raises(
        UnknownNameError, match=r"^'eng_Latn-en:1' is the name of no module: en-en: a language is never"
    ):
        filled.module("eng_Latn-en:1")
    with pytest.raises(UnknownNameError, match=r"^unknown module 'fra_Latn-pt"):
        filled.module("fra_Latn-pt")
    annotations.remove_alias("es-eng_Latn@champion")
    assert annotations.delete("es-eng_Latn:1") == annotations.restore("es-eng_Latn:1") == "many/es-en:1"


def test_changed_languages_on_record_are_found(filled: Registry) -> None:
    def change(session: Session) -> None:
        side = schema.ParentSide.__table__
        session.execute(update(side).where(side.c.tag == "fr").values(code="changed", token=None))

    filled.database.write(change)
    (problem,) = verify(filled, set_aside=False, fingerprints=True).problems
    assert "code='changed', token=None" in problem.explanation


def test_a_kind_that_a_pair_does_not_have_is_named(filled: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"^de-fr has no zero-shot recipe; it runs as original$"):
        filled.recipe_catalog.recipe("de", "fr", kind="zero-shot")


def test_a_denoising_parent_has_languages_and_no_pairs(
    many: Parent, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    languages = ParentLanguages(LANGUAGES.sources, LANGUAGES.targets, denoising=True)
    parent = replace(many, languages=languages)
    with Registry.open(tmp_path, create=True) as registry:
        registry.register_parent("restores", parent, lineage=LINEAGE)
        registry.register_module("restores", added(parent, "es-en", tokenizers["es"]), lineage=LINEAGE)
        assert pairs_of(registry) == {"es-en": "supervised", "es-fr": "zero-shot"}
        assert registry.annotations.search("kind=parent pair=de-fr").total == 0
        with pytest.raises(UnknownNameError, match="it restores text and does not translate"):
            registry.assemble("de", "fr")
        with pytest.raises(IncompatibleError, match="de-fr is of two languages that the parent has already; expected"):
            languages.new_side(Pair("de", "fr"))


def test_sentences_that_start_with_a_language_need_one(many: Parent) -> None:
    nameless = ParentLanguages(LANGUAGES.sources, (ParentSide("en", "eng_Latn"),))
    form = SentenceForm(("text", "end", "source language"), ("target language", "text", "end"))
    with pytest.raises(CorruptionError, match="start with the token of the target language; one has none"):
        replace(many, languages=nameless, form=form)
    with pytest.raises(CorruptionError, match="a start or banned id is outside the target's vocabulary"):
        replace(many, form=replace(NAMED_BY_BOTH, banned=(10**6,)))


def test_a_new_source_names_its_target_where_the_parents_sources_do(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    parent = made(tokenizers["en"], SentenceForm(("target language", "text", "end")))
    module = added(parent, "es-en", tokenizers["es"])
    with Registry.open(tmp_path, create=True) as registry:
        registry.register_parent("romance", parent, lineage=LINEAGE)
        registry.register_module("romance", module, lineage=LINEAGE)
        table = registry.assemble("es", "fr", pivot=False).source.tokenizer
        assert [table.pieces[number] for number in table.side_tokens.before] == ["fra_Latn"]
    sizes = {"source": tokenizers["es"].size, "target": parent.target_tokenizer.size}
    tensors = random_tensors(trainable_names(ARCHITECTURE, "xattn", "source"), sizes, 1)
    with pytest.raises(CorruptionError, match=r"source.model: has no piece 'eng_Latn', which names a target language"):
        Module.of(parent, Pair("es", "en"), "xattn", tensors, tokenizers["es"])
