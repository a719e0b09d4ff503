"""How an addition starts, from its spec to its record: lexical, shared, a lexicon, text of one language, no updates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.stored.optional_pieces import INITIALISATION, WORD_TRANSLATIONS
from continual_mt.config.spec import AdditionSpec, SequenceSpec
from continual_mt.errors import CorpusError, IncompatibleError
from continual_mt.home import Home
from ray_jobs import Driver, Outcome, add_sequence
from ray_jobs.planning.job_from_record import recall
from registry import ModuleRecord, Registry
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle

Values = dict[str, Any]
AdditionOf = Callable[..., AdditionSpec]
START: Values = {"training": {"updates": 0}, "initialisation": "lexical", "scope": "embeddings"}


@pytest.fixture
def driver(home: Path) -> Iterator[Driver]:
    with Driver(Home(home), in_process=True) as opened:
        yield opened


@pytest.fixture
def untrained(untrained_home: Path, tmp_path: Path) -> Iterator[Driver]:
    """A driver of a home whose parent has no text on record."""
    with Driver(Home(Path(shutil.copytree(untrained_home, tmp_path / "home"))), in_process=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lexicon") / "pt-es.tsv"
    path.write_text("e\ty\nde\tde\ncom\tcon\numa\tuna\n", encoding="utf-8")
    return path


def only_lines(corpus: Values, count: int, folder: Path) -> Values:
    """The first lines of a corpus, in other files."""
    found = {}
    for key, path in corpus.items():
        lines = Path(path).read_text(encoding="utf-8").splitlines()[:count]
        (folder / key).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        found[key] = str(folder / key)
    return found


def test_a_parent_is_registered_with_its_word_translations(trained_home: tuple[Path, Outcome]) -> None:
    home, outcome = trained_home
    with Registry.open(home) as registry:
        parent = registry.parent()
        assert WORD_TRANSLATIONS in parent.pieces
        assert parent.bytes == outcome.record.bytes  # the piece is outside its size, and its fingerprint


def test_a_source_language_before_any_training(
    driver: Driver, addition_spec: AdditionOf, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = driver.add_language(addition_spec("pt-en", START, vocabulary=None))
    module, registry = outcome.record, driver.registry
    assert isinstance(module, ModuleRecord)
    assert (module.full_name, module.initialisation, module.untrained) == ("es-en/pt-en:1", "lexical", True)
    assert {evaluation.title for evaluation in outcome.evaluations} >= {"pt-en supervised"}
    start = registry.start_of(module)
    assert start is not None
    assert start["initialisation"] == "lexical"
    assert start["types"]["lexical"] > start["types"]["noise"]
    assert len(start["frequent"]) == 10
    assert [one.role for one in module.lineage.inputs] == ["initialised-from"]
    messages = capfd.readouterr().err
    assert "from word translations" in messages
    assert "the most frequent, each with the parent's nearest: " in messages
    again = driver.add_language(addition_spec("pt-en", START, vocabulary=None))
    assert (again.name, again.trained_now) == (outcome.name, False)
    _check_bundle(registry, module, tmp_path)


def _check_bundle(registry: Registry, module: ModuleRecord, folder: Path) -> None:
    """Optional pieces are carried by bundles, and checked."""
    export(registry, [module.full_name], folder / "bundle.tar.gz")
    with Registry.open(folder / "other", create=True) as other:
        import_bundle(other, folder / "bundle.tar.gz")
        assert other.parent().pieces == registry.parent().pieces
        found = other.module("pt-en:1")
        assert found.pieces == module.pieces
        assert INITIALISATION in found.pieces
        assert (found.bytes, found.digest) == (module.bytes, module.digest)


def test_lexicon_and_text_of_one_language_are_recorded_and_found_again(
    driver: Driver, addition_spec: AdditionOf, corpora: Path, lexicon: Path, tmp_path: Path
) -> None:
    text = Path(shutil.copy(corpora / "dev.pt", tmp_path / "more.pt"))
    spec = addition_spec("pt-en", START, lexicon=str(lexicon), monolingual=str(text))
    without = driver.resolve(addition_spec("pt-en", START))
    resolved = driver.resolve(spec)
    one = driver.resolve(addition_spec("pt-en", START, lexicon=str(lexicon)))
    assert len({job.digest for job in (without, resolved, one)}) == 3
    module = driver.run(resolved).record
    assert [role for role, _ in module.lineage.corpora][-2:] == ["monolingual", "lexicon"]
    assert recall(driver.registry, module, driver.home.cache).digest == resolved.digest
    text.write_text("Outro texto.\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"the monolingual file more.pt was not found as it was"):
        recall(driver.registry, module, driver.home.cache)


def test_what_cannot_be_had_is_refused_or_chosen_otherwise(
    untrained: Driver, addition_spec: AdditionOf, lexicon: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A parent without text on record."""
    with pytest.raises(
        CorpusError, match=r"its text is not on record. Fix: .* with --init-text; or --init shared .* --lexicon$"
    ):
        untrained.resolve(addition_spec("pt-en", START))
    by_default = untrained.resolve(addition_spec("pt-en", initialisation=None))
    assert by_default.initialisation == "shared"
    from_words = untrained.resolve(addition_spec("pt-en", START, lexicon=str(lexicon)))
    assert (from_words.initialisation, from_words.word_translations) == ("lexical", None)
    assert "The embeddings start from the lexicon alone" in capfd.readouterr().err
    module = untrained.run(from_words).record
    assert isinstance(module, ModuleRecord)
    # The record says that no table was used, also once the parent has one.
    untrained.registry.add_word_translations("es-en", b"a table of another time")
    assert recall(untrained.registry, module, untrained.home.cache).digest == from_words.digest


def test_a_text_that_changed_is_refused(driver: Driver, addition_spec: AdditionOf, home: Path) -> None:
    """An older parent has no table, and its text is another by now."""
    registry = driver.registry
    parent = registry.parent()
    old = {name: digest for name, digest in parent.pieces.items() if name != WORD_TRANSLATIONS}
    object.__setattr__(parent, "pieces", old)
    train: Any = parent.lineage.spec["train"]
    train["source"], train["target"] = train["target"], train["source"]
    message = r"its text has changed since the parent es-en was trained on it. Fix: put it back as it was; or --init"
    with pytest.raises(CorpusError, match=message):
        driver._with_table(parent, False)


def test_a_small_text(
    driver: Driver,
    addition_spec: AdditionOf,
    parallel: Callable[[str, str], Values],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    train = only_lines(parallel("train", "pt-en"), 99, tmp_path)
    with pytest.raises(CorpusError, match=r"99 sentence pairs are too few .* at least 100. Fix: --init shared starts"):
        driver.resolve(addition_spec("pt-en", START, train=train))
    assert driver.resolve(addition_spec("pt-en", initialisation=None, train=train)).initialisation == "shared"
    assert "(shared), because 99 sentence pairs are fewer than 100" in capfd.readouterr().err
    assert driver.resolve(addition_spec("pt-en", initialisation=None)).initialisation == "lexical"


def test_a_lexicon_that_does_not_fit(driver: Driver, addition_spec: AdditionOf, tmp_path: Path) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("xyzzy\tplugh\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"none of its 1 words occurs in the text of the new language"):
        driver.resolve(addition_spec("pt-en", START, lexicon=str(words)))
    assert driver.registry.modules() == []


def test_languages_that_share_no_piece(
    driver: Driver, addition_spec: AdditionOf, parallel: Callable[[str, str], Values], tmp_path: Path
) -> None:
    train = only_lines(parallel("train", "pt-en"), 120, tmp_path)
    greek = "".join(f"{'αβγδεζ'[number % 6]}{'ηθικλμ'[number % 5]}\n" for number in range(120))
    Path(train["source"]).write_text(greek, encoding="utf-8")
    spec = addition_spec("el-en", START, initialisation="shared", train=train, dev=train, tests=[], vocabulary=None)
    with pytest.raises(IncompatibleError, match=r"^el-en: the vocabularies of el and es have no piece in common"):
        driver.add_language(spec)


def test_halves_are_trained_and_meet(
    driver: Driver, sequence_spec: Callable[..., SequenceSpec], addition_values: Callable[..., Values]
) -> None:
    """Both halves, from word translations, in one sequence; the original pair through each is a retention."""
    halves = {"scope": "half", "initialisation": "lexical", "training": {"updates": 2, "validate_every": 2}}
    additions = [addition_values(pair, halves) for pair in ("pt-en", "es-de")]
    outcomes = add_sequence(driver, sequence_spec("halves", additions=additions))
    registry = driver.registry
    source, target = (outcome.record for outcome in outcomes)
    assert isinstance(source, ModuleRecord)
    assert isinstance(target, ModuleRecord)
    assert set(source.pieces) >= {"source.safetensors", "encoder.safetensors"}
    assert set(target.pieces) >= {"target.safetensors", "cross_attention.safetensors", "decoder.safetensors"}
    recipes: dict[str, Recipe] = {f"{one.kind} {one.pair}": one for one in registry.recipe_catalog.recipes()}
    zero = recipes["zero-shot pt-de"]
    assert (zero.source, zero.cross_attention, zero.target) == (source.key, target.key, target.key)
    retained = [one.cross_attention for one in registry.recipe_catalog.recipes() if one.kind == "retention"]
    assert retained == [target.key, source.key]
    assert registry.assemble("pt", "de").translate(["Um teste."])
    through_itself = registry.recipe_catalog.recipe("pt", "en", xattn="pt-en:1")
    assert through_itself == recipes["supervised pt-en"]
    shown = json.dumps([one.to_json() for one in registry.scores()])
    assert "retention" in shown


@pytest.mark.parametrize(("source", "target"), [("half", "body"), ("half-lora:4", "lora:4"), ("adapter:8", "lora:4")])
def test_a_source_and_a_target_that_both_bring_an_encoder_are_refused(
    driver: Driver,
    sequence_spec: Callable[..., SequenceSpec],
    addition_values: Callable[..., Values],
    source: str,
    target: str,
) -> None:
    additions = [addition_values("pt-en", scope=source), addition_values("de-en", scope=source)]
    additions.append(addition_values("es-de", scope=target))
    with pytest.raises(IncompatibleError, match=r"^pt-de: would need two encoders, that of pt-en"):
        add_sequence(driver, sequence_spec("halves", additions=additions))
    assert driver.registry.modules() == []
