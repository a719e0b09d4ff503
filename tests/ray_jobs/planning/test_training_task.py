from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.stored.serialization import parameter_shapes
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair
from continual_mt.model.architecture import group_of, parameter_names
from ray_jobs.planning.resolve import ReplayedPair, ResolvedJob, resolve
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.planning.training_text import SeparateTexts
from registry import Lineage, Registry
from registry.blobs import open_blobs

MakeTask = Callable[[ResolvedJob], TrainingTask]


@pytest.mark.parametrize(
    ("pair", "scope", "copied", "fresh"),
    [
        ("pt-en", "xattn", {"cross_attention"}, {"source"}),
        ("es-de", "xattn", {"cross_attention"}, {"target"}),
        ("pt-en", "xattn-random", set(), {"source", "cross_attention"}),
        ("es-de", "embeddings", set(), {"target"}),
        ("pt-en", "body", {"encoder", "decoder", "cross_attention"}, {"source"}),
    ],
)
def test_a_child_starts_from_its_parent(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    make_task: MakeTask,
    tmp_path: Path,
    pair: str,
    scope: str,
    copied: set[str],
    fresh: set[str],
) -> None:
    made = make_task(resolve(addition_spec(pair, scope=scope), registry.parent("es-en"), tmp_path))
    starting, parent = made.starting_tensors(), registry.load_parent().tensors
    assert list(starting) == list(parameter_names(made.architecture))
    for name, tensor in starting.items():
        group = name.partition(".")[0]
        same = tensor.shape == parent[name].shape and torch.equal(tensor, parent[name])
        # What starts equal by design is zero or one everywhere: biases and norms.
        assert same == (group not in fresh) or torch.unique(tensor).numel() == 1, name
    shapes = parameter_shapes(made.architecture, {"source": made.source.size, "target": made.target.size})
    assert {name: tensor.shape for name, tensor in starting.items()} == {
        name: torch.Size(shape) for name, shape in shapes.items()
    }
    assert set(map(group_of, made.trained)) == copied | fresh


def test_training_never_writes_to_the_parents_own_tensors(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    made = make_task(resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path))
    before = made.starting_tensors()
    for name in made.trained:
        before[name].fill_(7)
    after = made.starting_tensors()
    assert not any(torch.all(after[name] == 7) for name in made.trained)


def test_an_earlier_pair_has_its_own_sides(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    """The parent's own pair its two, another one its module's new side and the parent's."""
    record = registry.parent("es-en")
    pair, first = make_task(resolve(spec := addition_spec("pt-en"), record, tmp_path)), registry.load_parent()
    module = Module.of(
        first,
        Pair("pt", "en"),
        "xattn",
        {name: tensor for name, tensor in pair.starting_tensors().items() if name in pair.trained},
        pair.source,
    )
    lineage = Lineage(corpora=(), spec={}, code_version="0.1.0")
    registered = registry.register_module("es-en", module, lineage=lineage)
    train = resolve(spec, record, tmp_path).train
    replayed = (ReplayedPair(train, None), ReplayedPair(train, registered))
    made = make_task(replace(resolve(addition_spec("es-de"), record, tmp_path), replay=0.5, replayed=replayed))
    assert made.replay == 0.5
    assert made.parent is not None
    for earlier, source, table in (
        (made.replayed[0], first.source_tokenizer, first.tensors["source.embedding"]),
        (made.replayed[1], module.new_side.tokenizer, module.tensors["source.embedding"]),
    ):
        assert (earlier.pair, earlier.train, earlier.train_digest) == (
            train.corpus.pair,
            train.spec,
            train.summary.digest,
        )
        found, target, sides = earlier.sides(made.parent)
        assert (found.digest, target.digest) == (source.digest, first.target_tokenizer.digest)
        assert set(sides) == {"source.embedding", "target.embedding", "target.bias"}
        assert torch.equal(sides["source.embedding"], table)
        assert torch.equal(sides["target.embedding"], first.tensors["target.embedding"])


def test_a_parent_is_loaded_from_s3_by_another_process(
    registry: Registry, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent has no keys in it: they are in the environment of whoever loads."""
    pieces = registry.load_parent().pieces()
    stored = StoredParent(open_blobs(f"s3://{bucket}/blobs", tmp_path / "cache"), registry.parent().pieces)
    assert {name: stored.blobs.put(content) for name, content in pieces.items()} == stored.pieces
    sent = pickle.dumps(stored)
    assert b"secret" not in sent
    load = "import pickle, sys; print(pickle.load(sys.stdin.buffer).load().fingerprint)"
    printed = subprocess.run([sys.executable, "-c", load], input=sent, capture_output=True, check=True).stdout
    assert printed.decode().strip() == registry.parent().fingerprint
    assert {path.name for path in (tmp_path / "cache").rglob("?" * 64)} == set(stored.pieces.values())


def test_the_development_text_travels_with_the_task(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    """The first pairs that have text on both sides, as many as are used; none for an addition that is not trained."""
    (source := tmp_path / "dev.pt").write_text("um\n\n dois\ntrês \n   \nquatro\ncinco\n", encoding="utf-8")
    (target := tmp_path / "dev.en").write_text("one\nno\ntwo\nthree\nempty\nfour\nfive\n", encoding="utf-8")
    dev = {"source": str(source), "target": str(target)}
    record = registry.parent("es-en")
    spec = addition_spec("pt-en", {"training": {"development_sentences": 4}}, dev=dev)
    made = make_task(resolve(spec, record, tmp_path))
    (text,) = made.development
    assert text.sentences == (("um", "one"), (" dois", "two"), ("três ", "three"), ("quatro", "four"))
    assert (text.pair, text.source, text.target) == (Pair("pt", "en"), made.source, made.target)
    assert pickle.loads(pickle.dumps(made)).development == made.development  # noqa: S301
    job = resolve(spec, record, tmp_path)
    untrained = spec.model_copy(update={"training": spec.training.model_copy(update={"updates": 0})})
    assert make_task(replace(job, spec=untrained)).development == ()
    source.unlink()
    with pytest.raises(CorpusError, match=r"dev\.pt: no such file"):
        make_task(job)


def test_a_task_keeps_what_it_reads_where_the_machine_can(
    registry: Registry, bucket: str, addition_spec: Callable[..., AdditionSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    made = make_task(resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path))
    assert made.parent is not None
    remote = StoredParent(open_blobs(f"s3://{bucket}/blobs", tmp_path / "home" / "blobs"), made.parent.pieces)
    moved = replace(made, parent=remote).keeping_in(lambda folder: tmp_path / "here" / folder.name)
    assert moved.cache == tmp_path / "here" / tmp_path.name
    assert moved.parent is not None
    assert moved.parent.blobs == open_blobs(f"s3://{bucket}/blobs", tmp_path / "here" / "blobs")
    assert moved.text == made.text


def test_the_seed_decides_the_noise(
    parent_spec: Callable[..., ParentSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    same, again, other = (
        make_task(resolve(parent_spec(seed=seed), None, tmp_path)).starting_tensors()["source.embedding"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(same, again)
    assert not torch.equal(same[: len(other)], other[: len(same)])


def test_no_two_languages_start_alike(
    registry: Registry,
    parent_spec: Callable[..., ParentSpec],
    addition_spec: Callable[..., AdditionSpec],
    make_task: MakeTask,
    tmp_path: Path,
) -> None:
    """With one seed for all, rows of the same number would begin, and stay, close to each other."""
    tasks = [make_task(resolve(parent_spec(), None, tmp_path))]
    tasks += [
        make_task(resolve(addition_spec(pair), registry.parent("es-en"), tmp_path)) for pair in ("pt-en", "de-en")
    ]
    tables = [made.starting_tensors()["source.embedding"] for made in tasks]
    for first, second in itertools.combinations(tables, 2):
        rows = min(len(first), len(second))
        assert torch.cosine_similarity(first[:rows], second[:rows]).abs().mean() < 0.3


def test_the_texts_of_languages_with_their_own_vocabularies_stay_apart(
    own_spec: Callable[..., ParentSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    job = resolve(own_spec(), None, tmp_path)
    made = pickle.loads(pickle.dumps(make_task(job)))  # noqa: S301
    assert isinstance(made, TrainingTask)
    assert isinstance(made.text, SeparateTexts)
    assert [text.title for text in made.texts()] == ["en-es", "es-en", "es-pt"]
    assert made.text.title == "en-es, es-en, es-pt"
    assert made.text.drawn == tuple((one.drawn, one.sentences) for one in job.pairs)
    assert len({text.tokenize(tmp_path).key for text in made.texts()}) == 3
    assert all(text.source.before_source == () for text in made.development)
    tensors = made.starting_tensors()
    assert set(tensors) == set(made.trained)
    assert {name for name in tensors if name.endswith(".embedding")} == {
        *("source.en.embedding", "source.es.embedding"),
        *("target.en.embedding", "target.es.embedding", "target.pt.embedding"),
    }
    # Rows of the same number do not start equal in two tables, as their words have nothing in common.
    for end in ("source", "target"):
        first, second = (tensors[f"{end}.{tag}.embedding"] for tag in ("en", "es"))
        assert torch.cosine_similarity(first, second).abs().mean() < 0.3


def test_the_text_of_several_pairs_is_one_and_names_its_languages(
    joint_spec: Callable[..., ParentSpec], make_task: MakeTask, tmp_path: Path
) -> None:
    job = resolve(joint_spec(), None, tmp_path)
    made = pickle.loads(pickle.dumps(make_task(job)))  # noqa: S301
    assert isinstance(made, TrainingTask)
    corpus = made.text.tokenize(tmp_path)
    assert corpus.key == made.text.key
    assert made.text.title == "en-es, es-en, es-pt"
    named = [
        (made.source.pieces[corpus.source(number)[0]], made.target.pieces[corpus.target(number)[0]])
        for number in range(len(corpus))
    ]
    assert list(dict.fromkeys(named)) == [
        ("<language en>", "<language es>"),
        ("<language es>", "<language en>"),
        ("<language es>", "<language pt>"),
    ]
    drawn = sum(one.drawn for one in job.pairs)
    assert len(corpus) <= drawn
    assert len(corpus) + 4 * (corpus.skipped.empty + corpus.skipped.too_long) >= drawn  # es-pt is repeated four times
    assert [(str(text.pair), len(text.sentences)) for text in made.development] == [
        ("en-es", 4),
        ("es-en", 4),
        ("es-pt", 4),
    ]
    chosen = make_task(resolve(joint_spec(development_pairs=["es-pt"]), None, tmp_path))
    assert chosen.development == made.development[2:]
    assert chosen.text == made.text
    for text in made.development:
        tables = ((text.source, text.pair.source), (text.target, text.pair.target))
        assert [[f"<language {tag}>"] for _, tag in tables] == [
            [table.pieces[number] for number in table.side_tokens.before] for table, _ in tables
        ]
