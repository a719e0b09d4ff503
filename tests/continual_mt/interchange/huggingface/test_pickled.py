from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from continual_mt.errors import CorruptionError, InputError, ProcessError, StorageError
from continual_mt.interchange.huggingface.checkpoint import read_configuration, read_weights
from continual_mt.interchange.huggingface.pickled import convert_here, convert_pickled
from continual_mt.interchange.huggingface.weights import convert, from_hugging_face
from tests.continual_mt.interchange.huggingface.models import FAMILIES, marian, mbart


def save(model: PreTrainedModel, folder: Path, shards: int = 1, **options: bool) -> None:
    """Save a model as versions of transformers before 5 did."""
    model.config.save_pretrained(folder)
    tensors = list(model.state_dict().items())
    for number in range(shards):
        name = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        torch.save(OrderedDict(tensors[number::shards]), folder / name, **options)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_weights_are_those_of_the_model(tmp_path: Path, out: Path, family: str, shards: int) -> None:
    theirs = FAMILIES[family]()
    save(theirs, tmp_path, shards)
    convert_here(tmp_path, out)
    architecture, tensors = convert(read_configuration(tmp_path), read_weights(out))
    expected_architecture, expected = from_hugging_face(theirs)
    assert architecture == expected_architecture
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name
    # A table with several names is stored once.
    assert len([path for path in out.iterdir() if path.suffix == ".safetensors"]) == shards
    if shards == 1:
        distinct = {tensor.data_ptr() for tensor in theirs.state_dict().values()}
        assert len(read_weights(out)) == len(distinct)


def test_half_precision_and_the_earlier_format(tmp_path: Path, out: Path) -> None:
    theirs = mbart().half()
    save(theirs, tmp_path, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "pytorch_model.bin")
    convert_here(tmp_path, out)
    assert read_weights(out)["model.shared.weight"].dtype == torch.float16


def test_parts_of_one_tensor(tmp_path: Path, out: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"row": whole[1], "columns": whole.T, "again": whole.T}, tmp_path / "pytorch_model.bin")
    convert_here(tmp_path, out)
    found = read_weights(out)
    assert found["row"].tolist() == [4, 5, 6, 7]
    assert torch.equal(found["columns"], whole.T)
    assert torch.equal(found["again"], whole.T)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    ("as_torch", "problem"),
    [
        (True, r"reading it would run code \(posix.system\); nothing was run. Expected a pickle of tensors only"),
        (False, r"cannot be read \(UnpicklingError\); nothing was run"),
    ],
)
def test_a_file_that_would_run_code_runs_nothing(tmp_path: Path, out: Path, as_torch: bool, problem: str) -> None:
    witness, file = tmp_path / "was-run", tmp_path / "pytorch_model.bin"
    content = {"model.shared.weight": Malicious(witness)}
    if as_torch:
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    with pytest.raises(CorruptionError, match=problem):
        convert_pickled(tmp_path, out)
    assert not witness.exists()
    assert list(out.iterdir()) == []
    torch.load(file, weights_only=False) if as_torch else pickle.loads(file.read_bytes())  # noqa: S301
    assert witness.exists()  # the file does run code where it is allowed to


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 not a zip archive", b"\x80\x02}q\x00."])
def test_a_damaged_file(tmp_path: Path, out: Path, content: bytes) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CorruptionError, match=r"pytorch_model.bin: .*xpected a pickle of tensors only"):
        convert_here(tmp_path, out)


def test_a_truncated_file(tmp_path: Path, out: Path) -> None:
    save(marian(), tmp_path)
    content = (tmp_path / "pytorch_model.bin").read_bytes()
    (tmp_path / "pytorch_model.bin").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptionError, match=r"pytorch_model.bin: cannot be read \("):
        convert_here(tmp_path, out)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"step": 3}])
def test_a_pickle_of_other_things(tmp_path: Path, out: Path, content: object) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CorruptionError, match="has other things than tensors"):
        convert_here(tmp_path, out)


def test_another_process_converts(tmp_path: Path, out: Path) -> None:
    save(theirs := marian(), tmp_path)
    convert_pickled(tmp_path, out)
    assert torch.equal(read_weights(out)["final_logits_bias"], theirs.final_logits_bias)


def test_places(tmp_path: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"no pytorch_model\.bin"):
        convert_pickled(tmp_path, out)
    save(marian(), tmp_path)
    with pytest.raises(StorageError, match=r"model\.safetensors: cannot be written"):
        convert_pickled(tmp_path, tmp_path / "missing")
    with pytest.raises(ProcessError, match="the process that reads its weights ended with code 1"):
        convert_pickled(tmp_path / "missing", out)
