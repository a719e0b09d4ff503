from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import django
import pytest

from continual_mt.data.corpora.catalog_cleaning import fold, is_clean
from continual_mt.data.corpora.catalog_entries import LANGUAGES
from continual_mt.data.corpora.catalog_splits import SPLITS, Split
from continual_mt.data.corpora.catalogs import DEFAULT_PLAN, CatalogCorpus, CatalogPlan, Catalogs, open_catalogs
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.pypi_wheels import Wheel
from continual_mt.errors import CorpusError, CorruptionError, DownloadError, LanguageError
from continual_mt.languages import Pair

PAIRS = [Pair(source, target) for source, target in permutations(LANGUAGES, 2)]


def place_wheel(cache: Path, name: str, licence: str, files: dict[str, bytes]) -> Wheel:
    """Write a wheel to the cache, as if it had been downloaded."""
    path = cache / "wheels" / f"{name}-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return Wheel(name, "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), licence)


def make_plan(cache: Path) -> CatalogPlan:
    root = Path(django.__file__).parent.parent
    gettext = {
        str(path.relative_to(root)): path.read_bytes()
        for language in ("es", "de", "pt", "pt_BR")
        for path in sorted((root / "django").rglob(f"locale/{language}/LC_MESSAGES/*.po"))
    }
    texts = {
        "en": ("The light was turned on", "The light was turned off"),
        "es": ("La luz se ha encendido", "La luz se ha apagado"),
        "pt": ("A luz foi ligada agora", "A luz foi desligada agora"),
        "de": ("Das Licht wurde eingeschaltet", "Das Licht wurde ausgeschaltet"),
    }
    translations = {
        f"homeassistant/components/light/translations/{language}.json": json.dumps({"on": on, "off": off}).encode()
        for language, (on, off) in texts.items()
    }
    wheels = (
        place_wheel(cache, "lights", "Apache-2.0", translations),
        place_wheel(cache, "pages", "BSD-3-Clause", gettext),
    )
    return CatalogPlan(wheels, dev=15, test=30)


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Catalogs:
    cache = tmp_path_factory.mktemp("cache")
    return open_catalogs(cache, plan=make_plan(cache))


def test_splits_have_the_planned_sizes(catalogs: Catalogs) -> None:
    rows = {split: list(catalogs.read_multiparallel(split)) for split in SPLITS}
    assert (len(rows["dev"]), len(rows["test"])) == (15, 30)
    assert len(rows["train"]) > 200
    lights = [row for split in SPLITS for row in rows[split] if row["en"].startswith("The light was")]
    assert len(lights) == 2
    assert all(set(row) == set(LANGUAGES) for row in lights)


def test_every_text_is_clean_and_differs_from_the_english(catalogs: Catalogs) -> None:
    for split in SPLITS:
        for row in catalogs.read_multiparallel(split):
            assert all(is_clean(text) for text in row.values())
            assert all(fold(text) != fold(row["en"]) for language, text in row.items() if language != "en")


def open_corpus(catalogs: Catalogs, pair: Pair, split: Split) -> CatalogCorpus:
    return CatalogCorpus(pair, split, catalogs.cache, catalogs.plan)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_train_and_test_sentences_of_a_pair_are_disjoint(catalogs: Catalogs, pair: Pair) -> None:
    held_out = [*open_corpus(catalogs, pair, "dev").read(), *open_corpus(catalogs, pair, "test").read()]
    assert len(held_out) == 45
    assert all(len(text.split()) >= 3 for row in held_out for text in (row.source, row.target))
    train = list(open_corpus(catalogs, pair, "train").read())
    assert not {fold(row.source) for row in held_out} & {fold(row.source) for row in train}
    assert not {fold(row.target) for row in held_out} & {fold(row.target) for row in train}


def test_train_and_test_sentences_of_different_pairs_are_disjoint(catalogs: Catalogs) -> None:
    tested = {fold(row.source) for row in open_corpus(catalogs, Pair("es", "de"), "test").read()}
    for pair in PAIRS:
        if pair.source == "es":
            assert not tested & {fold(row.source) for row in open_corpus(catalogs, pair, "train").read()}


def test_all_pairs_of_a_split_have_the_same_rows(catalogs: Catalogs) -> None:
    rows = list(catalogs.read_multiparallel("test"))
    for pair in PAIRS:
        found = [(item.line, item.source, item.target) for item in open_corpus(catalogs, pair, "test").read()]
        assert found == [(line, row[pair.source], row[pair.target]) for line, row in enumerate(rows, start=1)]


def test_name_licence_and_summary(catalogs: Catalogs) -> None:
    corpus = open_corpus(catalogs, Pair("pt", "en"), "train")
    assert corpus.name == "catalogs/pt-en/train"
    assert corpus.licence == "lights 1.0: Apache-2.0; pages 1.0: BSD-3-Clause"
    summary = inspect(corpus)
    assert summary.sentences > 150
    assert summary.empty == 0


def test_only_european_portuguese_is_read(catalogs: Catalogs) -> None:
    words = {word for row in catalogs.read_multiparallel("train") for word in row.get("pt", "").casefold().split()}
    assert "utilizador" in words
    assert "usuário" not in words


def test_equal_wheels_give_equal_bytes(catalogs: Catalogs, tmp_path: Path) -> None:
    again = open_catalogs(tmp_path, plan=make_plan(tmp_path))
    assert again.folder.name == catalogs.folder.name
    for split in SPLITS:
        assert (again.folder / f"{split}.tsv").read_bytes() == (catalogs.folder / f"{split}.tsv").read_bytes()


def test_the_cache_works_without_wheels_and_is_repaired_if_damaged(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    steps: list[str] = []
    catalogs = open_catalogs(tmp_path, steps.append, plan)
    assert steps[0] == "reading the catalogs"
    assert steps[-1].endswith("segments for training, 15 for development, 30 for testing")
    train = catalogs.folder / "train.tsv"
    content = train.read_bytes()
    for damaged in (content[:-1], content.replace(b"a", b"b", 1)):
        train.write_bytes(damaged)
        open_catalogs(tmp_path, plan=plan)
        assert train.read_bytes() == content
    (catalogs.folder / "digests.json").unlink()
    open_catalogs(tmp_path, plan=plan)
    for wheel in plan.wheels:
        (tmp_path / "wheels" / wheel.filename).unlink()
    steps.clear()
    open_catalogs(tmp_path, steps.append, plan)
    assert steps == []


def test_the_digest_depends_on_wheels_and_split_sizes() -> None:
    digests = {
        DEFAULT_PLAN.digest,
        replace(DEFAULT_PLAN, dev=299).digest,
        replace(DEFAULT_PLAN, wheels=DEFAULT_PLAN.wheels[1:]).digest,
    }
    assert len(digests) == 3
    assert (DEFAULT_PLAN.dev, DEFAULT_PLAN.test) == (300, 700)


def test_a_wheel_with_another_digest_is_rejected(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    wheel = tmp_path / "wheels" / plan.wheels[0].filename
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(CorruptionError, match=r"lights-1\.0-py3-none-any\.whl: SHA-256 is"):
        open_catalogs(tmp_path, plan=plan)
    assert not list((tmp_path / "catalogs").glob("*/*"))


def test_an_unreachable_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(variable, value)
    corpus = CatalogCorpus(Pair("es", "en"), "train", tmp_path)
    with pytest.raises(
        DownloadError, match=r"Fix: put homeassistant-2026\.2\.3-py3-none-any\.whl \(SHA-256 .*\) into .*wheels and"
    ):
        inspect(corpus)


def test_other_languages_and_splits_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(
        LanguageError, match=r"fr-en: the catalogs do not have fr; expected en, es, pt, de\. Fix: use your own"
    ):
        CatalogCorpus(Pair("fr", "en"), "train", tmp_path)
    with pytest.raises(LanguageError, match="do not have pt_BR"):
        CatalogCorpus(Pair("pt_BR", "en"), "train", tmp_path)
    with pytest.raises(CorpusError, match="catalogs: unknown split 'valid'; expected train, dev, test"):
        CatalogCorpus(Pair("pt", "en"), "valid", tmp_path)  # type: ignore[arg-type]
