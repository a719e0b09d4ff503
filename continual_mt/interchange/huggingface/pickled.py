"""Weights in ``pytorch_model.bin`` as safetensors.

Such a file is a pickle, which can run code. A separate process reads it with PyTorch's ``weights_only``, which allows
tensors only and runs nothing: ``python -m continual_mt.interchange.huggingface.pickled FOLDER OUT``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.errors import CorruptionError, InputError, ProcessError, StorageError
from continual_mt.interchange.huggingface.checkpoint import INDEX, WEIGHTS
from continual_mt.interchange.huggingface.download import weight_files

if TYPE_CHECKING:
    from torch import Tensor

_SHARED, _HEAD = "model.shared.weight", "lm_head.weight"
_TABLES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_GLOBAL = re.compile(r"GLOBAL (\S+)")


def convert_pickled(folder: Path, out: Path) -> None:
    """Write the weights of ``folder`` to ``out`` in safetensors: one file for each of the folder's.

    Raises InputError if the folder has no such weights, CorruptionError for a file that is not a pickle of tensors,
    StorageError if ``out`` cannot be written, and ProcessError if the process is killed, as for lack of memory.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        return
    error, _, problem = done.stdout.strip().partition(" ")
    if kind := _ERRORS.get(error):
        raise kind(problem)
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise ProcessError(f"{folder}: the process that reads its weights ended with code {done.returncode} ({last})")


_ERRORS = {kind.__name__: kind for kind in (CorruptionError, InputError, StorageError)}


def convert_here(folder: Path, out: Path) -> None:
    """As ``convert_pickled``, in this process."""
    names = [name for name in weight_files([path.name for path in folder.iterdir()]) if name.endswith(".bin")]
    if not names:
        raise InputError(f"{folder}: no pytorch_model.bin")
    places: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        tensors = _without_copies(_read(folder / name))
        file = WEIGHTS if len(names) == 1 else f"model-{number:05}-of-{len(names):05}.safetensors"
        _write(tensors, out / file)
        places |= dict.fromkeys(tensors, file)
    if len(names) > 1:
        (out / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")


def _read(file: Path) -> dict[str, Tensor]:
    import torch

    try:
        # Files of the earlier format, which is no zip archive, cannot be mapped into memory.
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # a damaged pickle raises anything
        # PyTorch's own message recommends to read the file without weights_only.
        name = _GLOBAL.search(str(error))
        problem = f"reading it would run code ({name[1]})" if name else f"cannot be read ({type(error).__name__})"
        raise CorruptionError(f"{file}: {problem}; nothing was run. Expected a pickle of tensors only") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise CorruptionError(f"{file}: has other things than tensors; expected a pickle of tensors only")
    return {str(name): tensor for name, tensor in found.items()}


def _without_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out names of one table whose other name is read in their place; safetensors stores no memory twice."""
    kept: dict[str, Tensor] = {}
    owners: dict[object, str] = {}
    for name in sorted(tensors, key=lambda name: (name != _SHARED, name not in _TABLES, name)):
        tensor = tensors[name]
        owner = owners.setdefault((tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()), name)
        is_read = (owner == _SHARED and name in (*_TABLES, _HEAD)) or (owner == _TABLES[1] and name == _HEAD)
        if owner == name or not is_read:
            kept[name] = tensor if owner == name else tensor.clone()
    return kept


def _write(tensors: Mapping[str, Tensor], file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: _alone(tensor) for name, tensor in tensors.items()}, file, {"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{file}: cannot be written ({error})") from error


def _alone(tensor: Tensor) -> Tensor:
    """The tensor, copied if it is only a part of its memory."""
    is_whole = tensor.untyped_storage().nbytes() == tensor.nbytes and tensor.is_contiguous()
    return tensor if is_whole else tensor.clone().contiguous()


def main() -> int:
    try:
        convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
    except (CorruptionError, InputError, StorageError) as error:
        print(type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
