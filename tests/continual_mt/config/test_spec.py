from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.config.corpus_spec import CorpusSpec, TestSpec
from continual_mt.config.hyperparameters import RATES_OF_A_START, RATES_OF_ADDED_TENSORS, TrainingSettings
from continual_mt.config.loading import read_spec, validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec, check_shared, merge
from continual_mt.data.corpora.catalogs import CatalogCorpus
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.corpora.tsv import TabSeparated
from continual_mt.errors import SpecError
from continual_mt.languages import Pair

TestSpec.__test__ = False  # type: ignore[attr-defined]  # its name looks like a test's


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the specs below name."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.de", "train.en", "dev.de", "dev.en", "test.tsv"):
        (data / name).write_text("eins\n", encoding="utf-8")
    return tmp_path


ADDITION = """
parent: small
pair: de-en
train: {source: data/train.de, target: data/train.en, licence: CC0}
dev: {source: data/dev.de, target: data/dev.en}
tests:
  - {pair: de-en, tsv: data/test.tsv, name: news}
  - {pair: es-en, catalogs: test}
scope: body
vocabulary: 4000
training: {updates: 100, learning_rates: {encoder: 1e-4}}
resources: {workers: 2, cpus: 1}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(kind: type[AdditionSpec | ParentSpec | SequenceSpec], folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        read_spec(kind, write(folder, text))  # type: ignore[type-var]
    assert raised.value.origin == str(folder / "spec.yaml")
    assert all(problem in str(raised.value) for problem in raised.value.problems)
    return list(raised.value.problems)


def test_an_addition(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Paths are relative to the spec's folder, not to the working folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    spec = read_spec(AdditionSpec, write(folder, ADDITION))
    data = folder / "data"
    assert (spec.parent, spec.pair, spec.scope, spec.vocabulary, spec.seed) == ("small", "de-en", "body", 4000, 1)
    assert (spec.train.source, spec.train.target) == (data / "train.de", data / "train.en")
    assert spec.tests[0].tsv == data / "test.tsv"
    assert (spec.training.updates, spec.training.learning_rates) == (100, {**RATES_OF_A_START, "encoder": 1e-4})
    assert spec.training.batch_tokens == 2048
    assert (spec.resources.workers, spec.resources.max_failures) == (2, 3)
    pair = Pair("de", "en")
    assert spec.train.open(pair, folder) == TextFiles(pair, data / "train.de", data / "train.en", licence="CC0")
    assert spec.tests[0].open(pair, folder) == TabSeparated(pair, data / "test.tsv", 0, 1, licence=None)
    assert spec.tests[1].open(Pair("es", "en"), folder) == CatalogCorpus(Pair("es", "en"), "test", folder)


def test_a_relative_spec_has_absolute_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, ADDITION)
    monkeypatch.chdir(folder)
    assert read_spec(AdditionSpec, Path("spec.yaml")).train.source == folder / "data" / "train.de"


def test_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    spec = read_spec(AdditionSpec, write(folder, ADDITION.replace("data/train.de", "~/data/train.de")))
    assert spec.train.source == folder / "data" / "train.de"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "training: {updates: 0}\ninitialisation: random",
            "initialisation: random with training.updates 0 would be noise; expected lexical or shared",
        ),
        (
            "initialisation: lexical\nscope: scratch",
            "initialisation: lexical: the scope scratch starts everything from noise; expected random",
        ),
        (
            "initialisation: shared\nlexicon: data/train.de",
            "lexicon: is used by initialisation lexical only, not by shared",
        ),
        (
            "scope: scratch\ninit_language: en",
            "init_language: is used by initialisation lexical only, not by the scope",
        ),
        ("init_language: English", "init_language: 'English' is not a language tag"),
        (
            "init_text: {tsv: data/test.tsv}\ninit_language: en",
            "init_language: the pair of init_text names the language already; expected one of the two keys",
        ),
        ("monolingual: data/none", "monolingual: file does not exist: "),
        ("monolingual: data", "monolingual: is a folder; expected a file: "),
        (
            "training: {updates: 0}\nscope: xattn-random",
            "initialisation: the scope xattn-random with training.updates 0",
        ),
        ("training: {updates: 0}\nscope: scratch", "initialisation: random with training.updates 0 would be noise"),
    ],
)
def test_a_start_that_cannot_be_is_refused(folder: Path, lines: str, problem: str) -> None:
    keys = {line.partition(":")[0] for line in lines.splitlines()}
    kept = [line for line in ADDITION.splitlines() if line.partition(":")[0] not in keys]
    (found,) = problems(AdditionSpec, folder, "\n".join([*kept, lines]))
    assert found.startswith(problem)


def test_a_parent_has_to_be_trained(folder: Path) -> None:
    text = "name: p\npair: de-en\ntrain: {tsv: data/test.tsv}\ndev: {tsv: data/test.tsv}\ntraining: {updates: 0}\n"
    assert problems(ParentSpec, folder, text) == ["training: updates: a parent has to be trained; expected at least 1"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, RATES_OF_A_START),
        ({"initialisation": "lexical"}, RATES_OF_A_START),
        ({"scope": "half-lora"}, {**RATES_OF_A_START, **RATES_OF_ADDED_TENSORS}),
        ({"scope": "adapter:size=8"}, {**RATES_OF_A_START, **RATES_OF_ADDED_TENSORS}),
        ({"scope": "xattn:parts=query"}, RATES_OF_A_START),
        ({"initialisation": "random"}, {}),
        ({"scope": "scratch"}, {}),
        ({"training": {"learning_rate": 0.001}}, {}),
        ({"training": {"learning_rates": {"source": 0.01}}}, {**RATES_OF_A_START, "source": 0.01}),
        ({"training": TrainingSettings(updates=7)}, RATES_OF_A_START),
        ({"training": TrainingSettings(learning_rate=0.001)}, {}),
        ({"training": {"updates": 7}}, RATES_OF_A_START),
        ({"training": {"updates": 0}, "scope": "half"}, RATES_OF_A_START),
    ],
)
def test_rates_of_an_addition_that_starts_from_its_parent(keys: dict[str, Any], expected: dict[str, float]) -> None:
    """They are written into the spec, so that a record without them keeps its meaning."""
    values = {"pair": "de-en", "train": {"tsv": "a.tsv"}, "dev": {"tsv": "a.tsv"}, **keys}
    spec = validate(AdditionSpec, values, origin="the test", base=None)
    assert spec.training.learning_rates == expected
    assert validate(AdditionSpec, spec.model_dump(mode="json"), origin="a copy", base=None) == spec


def test_without_updates_only_embeddings_are_stored() -> None:
    values = {"pair": "de-en", "train": {"tsv": "a.tsv"}, "dev": {"tsv": "a.tsv"}}
    scopes = [
        validate(AdditionSpec, values | {"training": {"updates": count}}, origin="the test", base=None).scope
        for count in (0, 1)
    ]
    assert scopes == ["embeddings", "half"]


def test_json_is_read_too(folder: Path) -> None:
    text = '{"name": "p", "pair": "es-en", "train": {"catalogs": "train"}, "dev": {"catalogs": "dev"}}'
    spec = read_spec(ParentSpec, write(folder, text))
    assert (spec.architecture.width, spec.vocabulary.source, spec.train.catalogs) == (256, None, "train")


def test_every_problem_is_listed_at_once(folder: Path) -> None:
    text = """
name: "no name!"
pair: de_en
train: {source: data/train.de, target: data/absent.en}
dev: {source: data/dev.de, tsv: data/test.tsv}
tests: [{pair: de-xx, catalogs: test}, {catalogs: everything, pair: de-en}]
training: {updates: -1, speed: high, accumulate: 3}
resources: {workers: 0}
architecture: {width: 100, heads: 3}
seed: -1
colour: red
"""
    found = problems(ParentSpec, folder, text)
    assert {problem.partition(": ")[0] for problem in found} == {
        "name",
        "pair",
        "train.target",
        "dev",
        "tests 1.pair",
        "tests 2.catalogs",
        "training.updates",
        "training.speed",
        "resources.workers",
        "architecture",
        "seed",
        "colour",
    }
    assert f"train.target: file does not exist: {folder}/data/absent.en" in found
    assert "dev: expected exactly one of: source and target, tsv, catalogs" in found
    assert any(re.match("training.speed: unknown key; expected one of: updates, batch_tokens, ", one) for one in found)
    assert any(re.match("colour: unknown key; expected one of: pair, train, dev, tests, ", one) for one in found)
    assert "architecture: width: 100 does not fit 3 heads; expected a multiple of 6" in found
    assert "pair: 'de_en' is not a pair; expected SOURCE-TARGET, for example de-en or pt_BR-en" in found


def test_missing_files_and_shared_updates_are_listed_with_the_rest(folder: Path) -> None:
    text = """
pair: de-en
train: {tsv: absent.tsv}
training: {accumulate: 3}
resources: {workers: 2}
"""
    assert problems(AdditionSpec, folder, text) == [
        f"train.tsv: file does not exist: {folder}/absent.tsv",
        "dev: missing",
        "resources: training.accumulate (3) must be a multiple of resources.workers (2), "
        "so that updates do not depend on the number of workers",
    ]


def test_a_storage_url_with_a_secret_is_rejected_and_not_shown(folder: Path) -> None:
    text = ADDITION.replace("cpus: 1", "storage: 's3://me:hush@bucket/jobs'")
    (problem,) = problems(AdditionSpec, folder, text)
    assert problem.startswith("resources.storage: the URL holds a password or secret key")
    assert "hush" not in problem


def test_texts_at_urls(folder: Path) -> None:
    corpus = "{source: s3://bucket/train.de.gz, target: file:///data/train.en}"
    text = f"pair: de-en\ntrain: {corpus}\ndev: {{tsv: 'memory://dev.tsv'}}\nlexicon: https://example.org/de-en.txt\n"
    (folder / "data" / "local.en").write_text("one\n")
    spec = read_spec(AdditionSpec, write(folder, text.replace("/data/train.en", str(folder / "data" / "local.en"))))
    assert (spec.train.source, spec.train.target) == ("s3://bucket/train.de.gz", folder / "data" / "local.en")
    assert (spec.dev.tsv, spec.lexicon) == ("memory://dev.tsv", "https://example.org/de-en.txt")
    values = spec.model_dump(mode="json")
    assert values["train"]["source"] == "s3://bucket/train.de.gz"
    assert validate(AdditionSpec, values, origin="the registry", base=None) == spec
    found = spec.train.open(Pair("de", "en"), folder)
    assert found.name == "train.de.gz + local.en"


def test_problems_of_urls_are_told_with_all_others(folder: Path) -> None:
    text = """
pair: de-en
train: {source: 's3://me:hush@bucket/train.de', target: 'https://example.org/train.en?key=hush'}
dev: {tsv: 'nonsense://dev.tsv'}
lexicon: 's3:bucket/words.tsv'
monolingual: absent.de
"""
    found = problems(AdditionSpec, folder, text)
    assert [problem.partition(": ")[0] for problem in found] == [
        *("train.source", "train.target", "dev.tsv", "lexicon", "monolingual")
    ]
    assert found[0].startswith("train.source: the URL holds a password or secret key, which would be stored")
    assert found[1].startswith("train.target: the URL has a user or a query (the part after '?')")
    assert found[2].startswith("dev.tsv: nonsense:// is not supported: nonsense://dev.tsv; expected a path, or a URL")
    assert found[3].startswith(
        "lexicon: malformed URL: s3:bucket/words.tsv; expected PROTOCOL://…, or an absolute path"
    )
    assert "hush" not in str(found)


@pytest.mark.parametrize(
    ("corpus", "problem"),
    [
        ("{}", "expected exactly one of: source and target, tsv, catalogs"),
        ("{catalogs: train, tsv: data/test.tsv}", "expected exactly one of"),
        ("{source: data/train.de}", "expected both source and target"),
        ("{source: data/train.de, target: data/train.de}", "source and target are the same file"),
        ("{tsv: data/test.tsv, source_column: 1}", "source_column and target_column must differ"),
    ],
)
def test_a_corpus_is_of_one_kind(folder: Path, corpus: str, problem: str) -> None:
    text = f"pair: de-en\ntrain: {corpus}\ndev: {{catalogs: dev}}\n"
    found = problems(AdditionSpec, folder, text)
    assert len(found) == 1
    assert found[0].startswith(f"train: {problem}")


def test_a_spec_from_the_registry_may_name_deleted_files() -> None:
    assert TestSpec(pair="de-en", tsv=Path("/gone.tsv")).tsv == Path("/gone.tsv")
    assert CorpusSpec(tsv=Path("gone.tsv")).tsv == Path.cwd() / "gone.tsv"


SEQUENCE = """
name: both
parent: small
dev: {catalogs: dev}
train: {catalogs: train}
training: {updates: 100, accumulate: 4}
resources: {workers: 2}
seed: 7
additions:
  - pair: pt-en
  - pair: es-de
    seed: 8
    training: {updates: 50}
    dev: {source: data/dev.de, target: data/dev.en}
"""


def test_additions_inherit_defaults(folder: Path) -> None:
    first, second = read_spec(SequenceSpec, write(folder, SEQUENCE)).additions
    assert (first.pair, first.parent, first.seed, first.training.updates) == ("pt-en", "small", 7, 100)
    assert (second.pair, second.parent, second.seed, second.training.updates) == ("es-de", "small", 8, 50)
    assert first.training.accumulate == second.training.accumulate == 4
    assert first.resources.workers == second.resources.workers == 2
    assert (first.dev.catalogs, second.train.catalogs) == ("dev", "train")
    assert (second.dev.catalogs, second.dev.source) == (None, folder / "data" / "dev.de")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("  - pair: pt-en", "  - pair: es-de"), ["additions: es-de is listed more than once"]),
        (("    seed: 8", "    parent: large"), ["additions: expected the sequence's parent, small, in every addition"]),
        (
            ("  - pair: pt-en", "  - pt-en"),
            ["additions 1: expected a mapping with the keys pair, train, dev, tests, training, tokenizer, "],
        ),
        (
            ("seed: 7", "sed: 7"),
            ["additions 1, 2.sed: unknown key (did you mean seed?); expected one of: pair, train, dev, "],
        ),
        (("parent: small", ""), ["parent: missing"]),
        (("    seed: 8", "    seed: -8"), ["additions 2.seed: Input should be greater than or equal to 0"]),
        (("workers: 2", "workers: 3"), ["additions 1, 2.resources: training"]),
    ],
)
def test_problems_of_a_sequence(folder: Path, change: tuple[str, str], expected: list[str]) -> None:
    found = problems(SequenceSpec, folder, SEQUENCE.replace(*change))
    assert len(found) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"training": {"update": 20}},
            "training.update: unknown key (did you mean updates?); expected one of: updates, ",
        ),
        ({"training": 20}, "training: expected a mapping with the keys updates, batch_tokens, "),
        (
            {"architecture": {"widht": 8}},
            "architecture.widht: unknown key (did you mean width?); expected one of: family, ",
        ),
        ({"vocabulary": 600}, "vocabulary: expected a mapping with the keys source, target"),
        (
            {"tests": [{"pear": "de-en"}]},
            "tests 1.pear: unknown key (did you mean pair?); expected one of: source, ",
        ),
        ({"modle": {}}, "modle: unknown key; expected one of: pair, train, dev, "),
        (
            {"training": {"learning_rates": {"crossattention": 1}}},
            "training.learning_rates.crossattention: Input should be 'source', 'encoder'",
        ),
    ],
)
def test_an_unknown_key_is_reported_with_the_valid_ones(values: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(ParentSpec, values, origin="the test", base=None)
    assert any(problem.startswith(expected) for problem in caught.value.problems), caught.value.problems


def test_replay(folder: Path) -> None:
    assert read_spec(SequenceSpec, write(folder, SEQUENCE)).replay == 0
    shared = f"mode: shared\n{SEQUENCE}"
    assert read_spec(SequenceSpec, write(folder, f"replay: 0.25\n{shared}")).replay == 0.25
    assert read_spec(SequenceSpec, write(folder, f"replay: 0\n{SEQUENCE}")).replay == 0
    assert problems(SequenceSpec, folder, f"replay: 0.25\n{SEQUENCE}") == [
        "replay: only the mode shared replays. Fix: set mode: shared, or remove replay"
    ]
    for share, problem in (("1", "less than 1"), ("-0.1", "greater than or equal to 0"), (".nan", "less than 1")):
        (found,) = problems(SequenceSpec, folder, f"replay: {share}\n{shared}")
        assert found.startswith(f"replay: Input should be {problem}")
    assert problems(SequenceSpec, folder, f"replay: 0.25\nmode: both\n{SEQUENCE}") == [
        "mode: Input should be 'separate' or 'shared', not 'both'"
    ]


def test_which_scopes_share_a_cross_attention() -> None:
    for scopes in (["xattn", "xattn"], ["body"]):
        check_shared(scopes)
    check_shared(["xattn:layers=1-6", "xattn"], any_layers=True)
    expected = "scope {}: the mode shared trains one cross-attention for all languages; expected xattn in all additions"
    for any_layers, scopes in (
        (False, ["xattn", "xattn:layers=1-3"]),
        (True, ["xattn:layers=1,parts=query"]),
        (True, ["body", "xattn:layers=1"]),
        (True, ["half"]),
    ):
        with pytest.raises(ValueError, match=expected.format(", ".join(scopes))):
            check_shared(scopes, any_layers=any_layers)


def test_a_sequence_without_additions(folder: Path) -> None:
    text = "name: none\nparent: small\nadditions: []\n"
    assert problems(SequenceSpec, folder, text) == ["additions: empty; expected at least one addition"]
    assert problems(SequenceSpec, folder, text.replace("[]", "3")) == [
        "additions: Input should be a valid tuple, not 3"
    ]
    assert problems(SequenceSpec, folder, "name: none\n") == ["parent: missing", "additions: missing"]


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_merge_lays_one_mapping_on_another(under: dict[str, object], over: dict[str, object]) -> None:
    merged = merge(under, over)
    assert set(merged) == set(under) | set(over)
    for key, value in merged.items():
        below, above = under.get(key), over.get(key)
        if key not in over:
            assert value == below
        elif isinstance(below, dict) and isinstance(above, dict):
            assert value == merge(below, above)
        else:
            assert value == above
    assert merge(merged, over) == merged


PAIRS = """
name: joint
pairs:
  - {pair: de-en, train: {source: data/train.de, target: data/train.en}, dev: {tsv: data/test.tsv}}
  - {pair: EN-de, train: {source: data/train.en, target: data/train.de}, dev: {tsv: data/test.tsv}}
"""


def test_a_parent_of_several_pairs(folder: Path) -> None:
    """The order of the pairs decides nothing. A spec of one pair is written as before there were others."""
    spec = read_spec(ParentSpec, write(folder, PAIRS))
    assert [one.pair for one in spec.pairs] == ["de-en", "en-de"]
    assert [one.train.source for one in spec.trained_pairs] == [folder / "data/train.de", folder / "data/train.en"]
    assert (spec.pair, spec.sampling_temperature) == (None, 5)
    turned = spec.model_copy(update={"pairs": spec.pairs[::-1]})
    assert turned.trained_pairs == spec.trained_pairs
    written = spec.model_dump(mode="json")
    assert not {"pair", "train", "dev"} & set(written)
    assert validate(ParentSpec, written, origin="a record", base=None) == spec
    one = read_spec(ParentSpec, write(folder, "name: one\n" + "".join(ADDITION.splitlines(keepends=True)[2:5])))
    assert not {"pairs", "sampling_temperature", "vocabularies"} & set(one.model_dump())
    assert [(pair.pair, pair.train, pair.dev) for pair in one.trained_pairs] == [(one.pair, one.train, one.dev)]


def test_languages_may_have_their_own_vocabularies(folder: Path) -> None:
    """Only then the key is written: a spec without it means what it meant before."""
    own = read_spec(ParentSpec, write(folder, f"{PAIRS}vocabularies: own\n"))
    assert own.model_dump(mode="json")["vocabularies"] == "own"
    assert validate(ParentSpec, own.model_dump(mode="json"), origin="a record", base=None) == own
    shared = read_spec(ParentSpec, write(folder, f"{PAIRS}vocabularies: shared\n"))
    assert shared == read_spec(ParentSpec, write(folder, PAIRS))
    assert "vocabularies" not in shared.model_dump(mode="json")
    one = "name: one\n" + "".join(ADDITION.splitlines(keepends=True)[2:5])
    assert problems(ParentSpec, folder, f"{one}vocabularies: own\n") == [
        "vocabularies: own is used only with pairs: the languages of one pair share nothing. Fix: remove it"
    ]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("vocabularies: both", ["vocabularies: Input should be 'shared' or 'own', not 'both'"]),
        ("pair: de-en\ndev: {catalogs: dev}", ["pairs: expected no pair, dev beside it"]),
        (
            "development_pairs: [de-fr, EN-de]",
            ["development_pairs: de-fr is not listed in pairs; expected some of de-en, en-de"],
        ),
        ("sampling_temperature: 0.9", ["sampling_temperature: Input should be greater than or equal to 1, not 0.9"]),
        (
            "sampling_temperature: .inf\nseed: -1",
            [
                "seed: Input should be greater than or equal to 0, not -1",
                "sampling_temperature: Input should be a finite number, not inf",
            ],
        ),
    ],
)
def test_what_does_not_go_with_pairs(folder: Path, more: str, found: list[str]) -> None:
    assert problems(ParentSpec, folder, f"{PAIRS}{more}\n") == found


def test_pairs_that_choose_the_checkpoint_are_written_in_one_way(folder: Path) -> None:
    """A choice of all is no choice, and a spec without one is written as before there was the key."""
    spec = read_spec(ParentSpec, write(folder, f"{PAIRS}development_pairs: [en-DE, en-de]\n"))
    assert spec.development_pairs == ("en-de",)
    assert spec.model_dump(mode="json")["development_pairs"] == ["en-de"]
    everything = read_spec(ParentSpec, write(folder, f"{PAIRS}development_pairs: [en-de, de-en]\n"))
    assert everything == read_spec(ParentSpec, write(folder, PAIRS))
    assert "development_pairs" not in everything.model_dump()
    one = "name: none\npair: de-en\ntrain: {tsv: data/test.tsv}\ndev: {tsv: data/test.tsv}\n"
    assert problems(ParentSpec, folder, f"{one}development_pairs: [de-en]\n") == [
        "development_pairs: is used only with pairs. Fix: remove it"
    ]


def test_pairs_are_several_and_each_is_listed_once(folder: Path) -> None:
    lines = PAIRS.splitlines(keepends=True)
    assert problems(ParentSpec, folder, "".join(lines[:4])) == [
        "pairs: one pair; expected several. Fix: write pair, train and dev"
    ]
    assert problems(ParentSpec, folder, PAIRS + lines[3] + "  - {pair: de-en, dev: 3, trian: 1}\n") == [
        "pairs 4.train: missing",
        "pairs 4.dev: expected a mapping with the keys source, target, tsv, source_column, target_column, ragged, "
        "catalogs, licence",
        "pairs 4.trian: unknown key (did you mean train?); expected one of: pair, train, dev, development_tokenization",
    ]
    assert problems(ParentSpec, folder, PAIRS + lines[3]) == ["pairs: de-en is listed more than once"]
    assert problems(ParentSpec, folder, "name: none\npairs: []\nsampling_temperature: 2\n") == [
        "pair: missing",
        "train: missing",
        "dev: missing",
        "sampling_temperature: is used only with pairs. Fix: remove it",
    ]
    assert problems(ParentSpec, folder, "name: none\npair: de-en\ntrain: null\ndev: null\n") == [
        "pairs: neither pairs nor train, dev; expected pair, train and dev, or pairs"
    ]
