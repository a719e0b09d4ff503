from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from continual_mt.errors import CorruptionError, InputError
from continual_mt.interchange.huggingface.checkpoint import read_configuration, read_weights
from continual_mt.interchange.huggingface.weights import convert, from_hugging_face
from tests.continual_mt.interchange.huggingface.models import FAMILIES, mbart


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "mbart"
    mbart().save_pretrained(path)
    return path


@pytest.mark.parametrize("shard", ["1GB", "10KB"])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_saved_model_is_read(tmp_path: Path, family: str, shard: str) -> None:
    """Shared tables and positions of a formula are not in the file."""
    theirs = FAMILIES[family]()
    theirs.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "10KB")
    architecture, tensors = convert(read_configuration(tmp_path), read_weights(tmp_path))
    expected_architecture, expected = from_hugging_face(theirs)
    assert architecture == expected_architecture
    assert set(tensors) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name


def test_a_shared_table_is_read_once(folder: Path) -> None:
    _, tensors = convert(read_configuration(folder), read_weights(folder))
    assert tensors["source.embedding"] is tensors["target.embedding"]


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    mbart().half().save_pretrained(tmp_path)
    _, tensors = convert(read_configuration(tmp_path), read_weights(tmp_path))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_a_folder_without_a_model_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"no config.json; expected a folder of a model of Hugging Face"):
        read_configuration(tmp_path)
    with pytest.raises(InputError, match=r"no model.safetensors$"):
        read_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(
        InputError, match=r"its weights are only in pytorch_model.bin, a pickle, .* Fix: --convert reads"
    ):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"model_type": "unheard of"}', "{}", '{"model_type": ' * 50_000),
        '{"model_type": "marian", "d_model": "wide"}',
        '{"model_type": "marian", "dtype": "none"}',
        '{"model_type": ["marian"]}',
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CorruptionError, match=r"config.json: cannot be read \(.+\)$"):
        read_configuration(tmp_path)


def test_damaged_weights_are_refused(tmp_path: Path, folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-10])
    with pytest.raises(CorruptionError, match=r"model.safetensors: cannot be read \("):
        read_weights(tmp_path)


def test_a_malformed_index_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    for content in ("", "[]", "{}", '{"weight_map": []}', '{"weight_map": ' * 100_000):
        index.write_text(content)
        with pytest.raises(CorruptionError, match=r"index.json: malformed; expected a weight_map of tensors to files"):
            read_weights(tmp_path)
    index.write_text('{"weight_map": {}}')
    with pytest.raises(CorruptionError, match=r"index.json: its weight_map is empty; expected tensors and their files"):
        read_weights(tmp_path)
    shard = "model-00001-of-00001.safetensors"
    for name in (f"../{shard}", f"/{shard}", "", "..", "\ud800", "other.safetensors", f"{shard}\n", None, 3, [shard]):
        index.write_text(json.dumps({"weight_map": {"a": shard, "b": name}}))
        expected = re.escape(
            f"index.json: {name!r} is not the name of a file of weights; expected names such as model-0"
        )
        with pytest.raises(CorruptionError, match=expected):
            read_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(CorruptionError, match=f"{shard}: cannot be read"):
        read_weights(tmp_path)
