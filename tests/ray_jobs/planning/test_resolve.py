from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.data.corpora.corpus import inspect
from continual_mt.errors import CorpusError, IncompatibleError, MisuseError, SpecError
from continual_mt.languages import Pair
from continual_mt.model.architecture import group_of
from ray_jobs.planning.notes import notes_on_text
from ray_jobs.planning.resolve import (
    ReplayedPair,
    ResolvedJob,
    earlier_job,
    original_text,
    resolve,
    sequence_digest,
)
from registry import CorpusRecord, Lineage, ParentRecord, Registry

Values = dict[str, Any]


@pytest.fixture
def digest(registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path) -> Callable[..., str]:
    """The digest of the addition pt-en with some changes."""
    parent = registry.parent("es-en")
    return lambda *changes, **more: resolve(addition_spec("pt-en", *changes, **more), parent, tmp_path).digest


def copied(corpus: Values, folder: Path, extra: str = "") -> Values:
    """The same corpus under other names, perhaps with a line more."""
    folder.mkdir()
    for name, path in corpus.items():
        (folder / name).write_text(Path(path).read_text(encoding="utf-8") + extra, encoding="utf-8")
    return {name: str(folder / name) for name in corpus}


def test_the_digest_leaves_out_where_and_with_what_a_job_runs(
    digest: Callable[..., str], parallel: Callable[[str, str], Values], tmp_path: Path
) -> None:
    elsewhere = copied(parallel("train", "pt-en"), tmp_path / "elsewhere")
    same = [
        digest(),
        digest(resources={"workers": 2, "cpus": 7, "storage": "/somewhere", "wait_minutes": 3, "max_failures": 0}),
        digest(train=elsewhere),
        digest(tests=[], beam=4),
    ]
    assert len(set(same)) == 1
    assert len(same[0]) == 64


def test_a_path_and_a_url_of_the_same_text_are_the_same_job(
    digest: Callable[..., str], parallel: Callable[[str, str], Values], bucket: str, tmp_path: Path
) -> None:
    def at_urls(role: str) -> Values:
        places = {key: f"s3://{bucket}/{role}.{key}.gz" for key in ("source", "target")}
        for key, path in parallel(role, "pt-en").items():
            with fsspec.open(places[key], "wb") as file:
                file.write(gzip.compress(Path(path).read_bytes()))
        return places

    (words := tmp_path / "words.pt").write_text("casa e rua\n", encoding="utf-8")
    with fsspec.open(f"s3://{bucket}/words.pt", "wb") as file:
        file.write(words.read_bytes())
    elsewhere = {"train": at_urls("train"), "dev": at_urls("dev"), "tests": [{"pair": "pt-en", **at_urls("test")}]}
    local = digest(monolingual=str(words))
    assert digest(**elsewhere, monolingual=f"s3://{bucket}/words.pt") == local
    with pytest.raises(CorpusError, match=rf"s3://{bucket}/gone\.pt: no such file"):
        digest(**elsewhere, monolingual=f"s3://{bucket}/gone.pt")


def test_whatever_decides_the_result_changes_the_digest(
    digest: Callable[..., str], parallel: Callable[[str, str], Values], tmp_path: Path
) -> None:
    train, dev = parallel("train", "pt-en"), parallel("dev", "pt-en")
    others = [
        digest(),
        digest(train=copied(train, tmp_path / "train", "mais uma linha\n")),
        digest(dev=copied(dev, tmp_path / "dev", "mais uma linha\n")),
        digest(train=dev, dev=train),
        digest(seed=2),
        digest({"training": {"dropout": 0.2}}),
        digest({"training": {"learning_rates": {"source": 0.001}}}),
        digest(scope="body"),
        digest({"training": {"development_tokenization": "char"}}),
        digest(vocabulary=151),
        digest(vocabulary=None),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("target", "recorded"),
    [("de", None), ("zh", None), ("th", None), ("cmn_Hans", "zh"), ("bo", "char"), ("zh_Latn", "13a")],
)
def test_a_tokenization_that_earlier_versions_did_not_use_is_recorded(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    parallel: Callable[[str, str], Values],
    tmp_path: Path,
    target: str,
    recorded: str | None,
) -> None:
    """Without the key, digests and records are those of earlier versions and mean what they meant then."""
    files = {"train": parallel("train", "es-de"), "dev": parallel("dev", "es-de"), "tests": []}
    job = resolve(addition_spec(f"es-{target}", **files), registry.parent("es-en"), tmp_path)
    assert job.spec.training.development_tokenization == recorded
    assert job.spec.training.model_dump().get("development_tokenization", "absent") == (recorded or "absent")
    given = addition_spec(f"es-{target}", {"training": {"development_tokenization": "char"}}, **files)
    assert resolve(given, registry.parent("es-en"), tmp_path).spec.training.development_tokenization == "char"


def test_the_job_of_an_earlier_version_has_no_keys_that_came_later(
    parent_spec: Callable[..., ParentSpec], parallel: Callable[[str, str], Values], tmp_path: Path
) -> None:
    files = {"train": parallel("train", "es-de"), "dev": parallel("dev", "es-de"), "tests": []}
    spec, plain = (parent_spec(pair=pair, **files) for pair in ("es-cmn", "es-de"))
    job, same = resolve(spec, None, tmp_path), resolve(plain, None, tmp_path)
    assert earlier_job(spec, job).digest != job.digest
    assert earlier_job(spec, job).spec.training == spec.training
    assert (same.spec.tokenizer, earlier_job(plain, same).spec.tokenizer) == ("nfc-bytes", "identity")
    asked = parent_spec(pair="es-de", tokenizer="nfc-bytes", **files)
    assert earlier_job(asked, resolve(asked, None, tmp_path)).digest == same.digest


def test_a_tokenization_whose_package_is_missing_is_refused(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)  # makes the package look uninstalled
    spec = addition_spec("pt-en", {"training": {"development_tokenization": "ja-mecab"}})
    with pytest.raises(
        MisuseError, match=r"BLEU with ja-mecab: the packages MeCab and ipadic are not installed\. Fix:"
    ):
        resolve(spec, registry.parent("es-en"), tmp_path)


def test_rows_that_are_left_out_are_named(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    parallel: Callable[[str, str], Values],
    tmp_path: Path,
) -> None:
    files = parallel("train", "pt-en")
    sentences = [Path(files[end]).read_text(encoding="utf-8").splitlines() for end in ("source", "target")]
    rows = ["\t".join(pair) for pair in zip(*sentences, strict=True)][:150]
    rows[6] = "Abrir\to arquivo\tOpen the file"
    (tmp_path / "rows.tsv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    spec = addition_spec("pt-en").model_copy(update={"train": CorpusSpec(tsv=tmp_path / "rows.tsv"), "tests": ()})
    job = resolve(spec, registry.parent("es-en"), tmp_path)
    assert (job.train.record.sentences, job.train.record.skipped) == (149, 1)
    assert notes_on_text(job) == [
        "rows.tsv: 1 of 150 rows are left out, since they have another number of columns than most (line 7)"
    ]


def test_names_are_no_part_of_the_work(
    registry: Registry,
    parent_spec: Callable[..., ParentSpec],
    addition_spec: Callable[..., AdditionSpec],
    tmp_path: Path,
) -> None:
    one, other = (resolve(parent_spec(name=name), None, tmp_path) for name in ("one", "other"))
    assert one.digest == other.digest
    assert (one.experiment, other.experiment) == ("one", "other")
    record = registry.parent("es-en")
    named, unnamed = (resolve(addition_spec("pt-en", parent=name), record, tmp_path) for name in ("es-en", None))
    assert named.digest == unnamed.digest
    assert named.experiment == unnamed.experiment == "es-en"


def test_every_problem_is_reported_at_once(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    (tmp_path / "short.fr").write_text("une ligne\n")
    (tmp_path / "long.de").write_text("eine Zeile\nnoch eine\n")
    (tmp_path / "latin.fr").write_bytes("prêt\n".encode("latin-1"))
    short, long, latin = (str(tmp_path / name) for name in ("short.fr", "long.de", "latin.fr"))
    spec = addition_spec(
        "fr-de",
        train={"source": short, "target": long},
        dev={"source": latin, "target": short},
        tests=[{"pair": "fr-de", "source": long, "target": short}],
    )
    with pytest.raises(SpecError, match="the spec of fr-de: 4 problems") as caught:
        resolve(spec, registry.parent("es-en"), tmp_path)
    pair, train, dev, test = caught.value.problems
    assert "fr-de" in pair
    assert "es-en" in pair
    assert "short.fr" in train
    assert "latin.fr, line 1" in dev
    assert "short.fr" in test


def test_one_problem_is_raised_as_it_is(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    parent = registry.parent("es-en")
    with pytest.raises(IncompatibleError, match="fr-de"):
        resolve(addition_spec("fr-de"), parent, tmp_path)
    empty = {side: str(tmp_path / side) for side in ("source", "target")}
    for path in empty.values():
        Path(path).write_text("\n\n")
    with pytest.raises(CorpusError, match="it has no sentence pair"):
        resolve(addition_spec("pt-en", train=empty), parent, tmp_path)


@pytest.mark.parametrize(
    ("pair", "scope", "trained", "fresh"),
    [
        ("pt-en", "xattn", {"source", "cross_attention"}, {"source"}),
        ("es-de", "xattn", {"target", "cross_attention"}, {"target"}),
        ("es-de", "xattn-random", {"target", "cross_attention"}, {"target", "cross_attention"}),
        ("pt-en", "embeddings", {"source"}, {"source"}),
    ],
)
def test_what_trains_and_what_starts_from_noise(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    tmp_path: Path,
    pair: str,
    scope: str,
    trained: set[str],
    fresh: set[str],
) -> None:
    job = resolve(addition_spec(pair, scope=scope), registry.parent("es-en"), tmp_path)
    assert [set(map(group_of, names)) for names in job.names()] == [trained, fresh]
    assert job.title == f"{pair} {scope}"


@pytest.mark.parametrize("spelling", ["xattn:parts=norm+query,layers=1", "xattn:layers=1,parts=query+norm"])
def test_equal_scopes_are_one_job(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path, spelling: str
) -> None:
    """All layers are left out, as the parent has one."""
    job = resolve(addition_spec("pt-en", scope=spelling), registry.parent("es-en"), tmp_path)
    assert job.title == "pt-en xattn:parts=query+norm"
    expected = resolve(addition_spec("pt-en", scope="xattn:query+norm"), registry.parent("es-en"), tmp_path)
    plain = resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path)
    assert job.digest == expected.digest != plain.digest
    everything = resolve(addition_spec("pt-en", scope="xattn:layers=1"), registry.parent("es-en"), tmp_path)
    assert everything.digest == plain.digest


def test_a_scope_that_does_not_fit_the_parent_is_refused(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    message = "^scope: xattn:layers=2-3: the parent has no decoder layer 2; expected layers from 1 to 1"
    with pytest.raises(IncompatibleError, match=message):
        resolve(addition_spec("pt-en", scope="xattn:layers=2-3"), registry.parent("es-en"), tmp_path)


def test_the_parent_and_the_scope_scratch_start_from_noise_alone(
    registry: Registry,
    parent_spec: Callable[..., ParentSpec],
    addition_spec: Callable[..., AdditionSpec],
    tmp_path: Path,
) -> None:
    parent = resolve(parent_spec(), None, tmp_path)
    scratch = resolve(addition_spec("pt-en", scope="scratch"), registry.parent("es-en"), tmp_path)
    for job in (parent, scratch):
        trained, fresh = job.names()
        assert trained == fresh
    assert parent.title == "parent es-en"
    assert parent.architecture.width == scratch.architecture.width == 32


def test_a_sequence_is_its_name_and_its_additions_in_order(
    registry: Registry, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    def sequence(*pairs: str, name: str = "both") -> str:
        values = {"name": name, "parent": "es-en", "additions": [addition_values(pair) for pair in pairs]}
        spec = validate(SequenceSpec, values, origin="the test", base=tmp_path)
        jobs: list[ResolvedJob] = [resolve(one, registry.parent("es-en"), tmp_path) for one in spec.additions]
        return sequence_digest(spec, jobs)

    digests = [sequence("pt-en", "es-de"), sequence("es-de", "pt-en"), sequence("pt-en"), sequence("pt-en", name="x")]
    assert len(set(digests)) == 4
    assert sequence("pt-en", "es-de") == digests[0]


@pytest.fixture
def trained_on(registry: Registry, parallel: Callable[[str, str], Values], tmp_path: Path) -> tuple[ParentRecord, Path]:
    """The parent as if it had been trained on a copy of its corpus, and the folder of that."""
    files = copied(parallel("train", "es-en"), tmp_path / "copy")
    spec = CorpusSpec(source=Path(files["source"]), target=Path(files["target"]), licence="CC0")
    summary = inspect(spec.open(Pair("es", "en"), tmp_path))
    record = CorpusRecord(summary.digest, Pair("es", "en"), "source + target", summary.sentences, 0, "CC0")
    values: Any = {"train": spec.model_dump(mode="json")}
    lineage = Lineage(corpora=(("train", record),), spec=values, code_version="0.1.0")
    return replace(registry.parent("es-en"), lineage=lineage), tmp_path / "copy"


def test_the_text_of_a_parent_is_found_again(
    trained_on: tuple[ParentRecord, Path], registry: Registry, tmp_path: Path
) -> None:
    parent, _ = trained_on
    found = original_text(parent, tmp_path)
    assert found is not None
    assert (found.record.digest, found.record.licence) == (parent.lineage.corpora[0][1].digest, "CC0")
    assert original_text(registry.parent("es-en"), tmp_path) is None, "its lineage names no corpus"


def test_the_text_of_a_parent_that_is_gone_or_another_cannot_be_replayed(
    trained_on: tuple[ParentRecord, Path], tmp_path: Path
) -> None:
    parent, folder = trained_on
    for name in ("source", "target"):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("una más\n")
    way_out = "Fix: put it back as it was, or leave out replay"
    changed = rf"^source \+ target: its text has changed since the parent es-en was trained on it. {way_out}$"
    with pytest.raises(CorpusError, match=changed):
        original_text(parent, tmp_path)
    (folder / "source").unlink()
    with pytest.raises(CorpusError, match=rf"it cannot be read \(.*copy/source: no such file\). {way_out}$"):
        original_text(parent, tmp_path)
    lost = replace(parent, lineage=replace(parent.lineage, spec={}))
    with pytest.raises(
        CorpusError, match=r"^source \+ target: the parent es-en was trained on it, and it cannot be read \("
    ):
        original_text(lost, tmp_path)


def test_what_is_replayed_is_a_part_of_the_work(
    trained_on: tuple[ParentRecord, Path],
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    addition_values: Callable[..., Values],
    tmp_path: Path,
) -> None:
    parent, _ = trained_on
    plain = resolve(addition_spec("pt-en"), parent, tmp_path)
    other = resolve(addition_spec("es-de"), parent, tmp_path)
    original = original_text(parent, tmp_path)
    assert original is not None
    pairs = ReplayedPair(original, None), ReplayedPair(other.train, None)
    replaying = replace(plain, replay=0.5, replayed=pairs[:1])
    changed = [
        plain,
        replaying,
        replace(replaying, replay=0.25),
        replace(replaying, replayed=pairs),
        replace(replaying, replayed=pairs[::-1]),
    ]
    assert len({job.digest for job in changed}) == len(changed)
    assert replace(plain, replay=0.5).digest == plain.digest, "with nothing to replay it is the same work"

    values = {"name": "x", "parent": "es-en", "mode": "shared", "additions": [addition_values("pt-en")]}
    specs = [
        validate(SequenceSpec, values | {"replay": share}, origin="the test", base=tmp_path) for share in (0, 0.5, 0.25)
    ]
    digests = [sequence_digest(spec, [plain], original) for spec in specs]
    digests.append(sequence_digest(specs[1], [plain], None))
    assert len(set(digests)) == 4
    assert digests[0] == sequence_digest(specs[0], [plain])


def test_the_digest_of_several_pairs_is_over_all_of_them(
    joint_spec: Callable[..., ParentSpec], joint_values: Callable[..., Values], tmp_path: Path
) -> None:
    """Not over their order, nor over the names of their files."""
    first, second, third = joint_values()["pairs"]

    def resolved(*pairs: Values, **more: Any) -> ResolvedJob:
        return resolve(joint_spec(pairs=list(pairs), **more), None, tmp_path)

    job, turned = resolved(first, second, third), resolved(third, first, second)
    assert job.digest == turned.digest
    assert (job.label, job.title, str(job.languages)) == ("joint", "parent joint", "{en, es}-{en, es, pt}")
    most = job.pairs[0].sentences
    assert [(str(one.pair), one.sentences) for one in job.pairs] == [("en-es", most), ("es-en", most), ("es-pt", 40)]
    assert [one.drawn for one in job.pairs] == [most, most, round(40 * (most / 40) ** 0.8)]
    others = [
        resolved(first, second),
        resolved(first, second, third | {"dev": third["train"]}),
        resolved(first, second, third | {"train": third["dev"]}),
        resolved(first, second, third | {"pair": "es-gl"}),
        resolved(first, second, third, development_pairs=["es-pt"]),
        resolved(first, second, third, sampling_temperature=1),
    ]
    assert len({job.digest, *(other.digest for other in others)}) == 7
    assert [one.drawn for one in others[-1].pairs] == [most, most, 40]


def test_every_problem_of_several_pairs_is_reported(
    joint_spec: Callable[..., ParentSpec], joint_values: Callable[..., Values], tmp_path: Path
) -> None:
    (empty := tmp_path / "empty").write_text("\n\n", encoding="utf-8")
    pairs = joint_values()["pairs"]
    pairs[0]["train"] = {"source": str(empty), "target": pairs[0]["train"]["target"]}
    pairs[2]["dev"] = {"source": str(empty), "target": str(empty := tmp_path / "blank")}
    empty.write_text("\n\n", encoding="utf-8")
    with pytest.raises(SpecError, match="the spec of joint: 2 problems") as raised:
        resolve(joint_spec(pairs=pairs), None, tmp_path)
    assert "blank: it has no sentence pair" in str(raised.value)


def test_each_pair_has_the_tokenization_of_its_target(
    joint_spec: Callable[..., ParentSpec], joint_values: Callable[..., Values], tmp_path: Path
) -> None:
    pairs = joint_values()["pairs"]
    pairs[0]["pair"] = "es-zh"
    job = resolve(joint_spec(pairs=pairs), None, tmp_path)
    assert {str(one.pair): job.tokenization(one.pair) for one in job.pairs} == {
        "en-es": "13a",
        "es-pt": "13a",
        "es-zh": "zh",
    }
    assert isinstance(job.spec, ParentSpec)  # it is on record, whatever later versions choose
    assert {one.pair: one.development_tokenization for one in job.spec.pairs}["es-zh"] == "zh"
    given = resolve(joint_spec({"training": {"development_tokenization": "char"}}, pairs=pairs), None, tmp_path)
    assert {given.tokenization(one.pair) for one in given.pairs} == {"char"}
    assert given.digest != job.digest
