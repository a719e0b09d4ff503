from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import StorageError
from continual_mt.languages import Pair
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.tokenizers import tokenizers
from registry import Registry


@pytest.fixture
def parent(registry: Registry) -> StoredParent:
    return StoredParent(registry.blobs, registry.parent("es-en").pieces)


@pytest.fixture
def job(registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path) -> ResolvedJob:
    return resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path)


def test_only_the_new_side_gets_a_new_tokenizer(
    registry: Registry, parent: StoredParent, job: ResolvedJob, tmp_path: Path
) -> None:
    source, target = tokenizers(job, parent, tmp_path)
    assert source.size == 150
    assert target.model == registry.load_parent().target_tokenizer.model
    assert len(list((tmp_path / "tokenizers").iterdir())) == 1


def test_a_new_target_keeps_the_source(
    registry: Registry, parent: StoredParent, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    source, target = tokenizers(resolve(addition_spec("es-de"), registry.parent("es-en"), tmp_path), parent, tmp_path)
    assert source.model == registry.load_parent().source_tokenizer.model
    assert target.size == 150


def test_a_tokenizer_is_made_once_and_a_damaged_one_again(
    parent: StoredParent, job: ResolvedJob, tmp_path: Path
) -> None:
    made, _ = tokenizers(job, parent, tmp_path)
    (file,) = (tmp_path / "tokenizers").iterdir()
    written = file.stat().st_mtime_ns
    assert tokenizers(job, parent, tmp_path)[0].model == made.model
    assert file.stat().st_mtime_ns == written
    file.write_bytes(b"damaged")
    assert tokenizers(job, parent, tmp_path)[0].model == made.model
    assert file.read_bytes() == made.model


def test_a_parents_sides_have_their_own_sizes_and_the_seed_counts(
    parent_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    source, target = tokenizers(resolve(parent_spec(), None, tmp_path), None, tmp_path)
    assert (source.size, target.size) == (160, 170)
    tokenizers(resolve(parent_spec(seed=2), None, tmp_path), None, tmp_path)
    assert len(list((tmp_path / "tokenizers").iterdir())) == 4


def test_languages_of_one_end_share_a_vocabulary_and_have_a_token_each(
    joint_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    job = resolve(joint_spec(), None, tmp_path)
    source, target = tokenizers(job, None, tmp_path)
    assert source.pieces[160:] == ["<language en>", "<language es>"]
    assert target.pieces[170:] == ["<language en>", "<language es>", "<language pt>"]
    characters = set("".join(source.pieces))
    assert {"ñ", "w"} <= characters  # one only Spanish has, and one only English
    assert "ã" in set("".join(target.pieces))
    once = resolve(joint_spec(sampling_temperature=1), None, tmp_path)
    assert tokenizers(once, None, tmp_path)[1].model != target.model
    assert len(list((tmp_path / "tokenizers").iterdir())) == 4
    sides = job.sides(Pair("es", "pt"), source, target)
    assert [[table.pieces[number] for number in table.side_tokens.before] for table in sides] == [
        ["<language es>"],
        ["<language pt>"],
    ]


def test_languages_have_their_own_vocabulary_of_the_text_on_their_end(
    own_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    job = resolve(own_spec(), None, tmp_path)
    source, target = tokenizers(job, None, tmp_path)
    assert isinstance(source, dict)
    assert isinstance(target, dict)
    assert {tag: table.size for tag, table in source.items()} == {"en": 140, "es": 140}
    assert {tag: table.size for tag, table in target.items()} == {"en": 150, "es": 150, "pt": 150}
    letters = {tag: set("".join(table.pieces)) for tag, table in (source | target).items()}
    assert ["ñ" in letters[tag] for tag in ("en", "es", "pt")] == [False, True, False]
    assert ["ã" in letters[tag] for tag in ("en", "es", "pt")] == [False, False, True]
    assert len(list((tmp_path / "tokenizers").iterdir())) == 5
    assert job.sides(Pair("es", "pt"), source, target) == (source["es"], target["pt"])


def test_a_cache_that_cannot_be_written_to_is_named(parent: StoredParent, job: ResolvedJob, tmp_path: Path) -> None:
    (tmp_path / "tokenizers").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=str(tmp_path / "tokenizers")):
        tokenizers(job, parent, tmp_path)
