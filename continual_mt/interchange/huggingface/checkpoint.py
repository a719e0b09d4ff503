"""Folders in the format of Hugging Face's transformers: a configuration, and weights in safetensors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.errors import CorruptionError, IncompatibleError, InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

_SHARD = re.compile(r"model-[0-9]+-of-[0-9]+\.safetensors")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

PICKLED_ONLY = (
    "its weights are only in pytorch_model.bin, a pickle, which may run code when it is read. "
    "Fix: --convert reads it without running code, in a separate process"
)


def read_configuration(folder: Path) -> PreTrainedConfig:
    """Return the configuration of a model folder, with its family's defaults.

    Raises InputError if it has no config.json, and CorruptionError or IncompatibleError if transformers cannot read it.
    """
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise IncompatibleError(f"{folder}: transformers is not installed. Fix: install continual-mt[hf]") from error
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; expected a folder of a model of Hugging Face's transformers")
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds, as each setting is checked by its own code
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise CorruptionError(f"{folder / 'config.json'}: cannot be read ({reason})") from error
    return config


def read_weights(folder: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a model folder, of one file or of several, mapped into memory and not yet read.

    Raises InputError if it has none in safetensors, and CorruptionError if a file is damaged or missing.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, Tensor] = {}
    for file in _files(folder):
        try:
            with safe_open(file, "pt") as opened:
                found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CorruptionError(f"{file}: cannot be read ({error})") from error
    return found


def _files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if index.is_file():
        try:
            names = list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptionError(f"{index}: malformed; expected a weight_map of tensors to files") from error
        if not names:
            raise CorruptionError(f"{index}: its weight_map is empty; expected tensors and their files")
        # Any other name could be that of a file outside of the folder.
        if wrong := [name for name in names if not (isinstance(name, str) and _SHARD.fullmatch(name))]:
            raise CorruptionError(
                f"{index}: {wrong[0]!r:.80} is not the name of a file of weights; expected names such as "
                "model-00001-of-00002.safetensors"
            )
        return [folder / name for name in sorted(set(names))]
    has_pickled = any(folder.glob("pytorch_model*.bin"))
    raise InputError(f"{folder}: no {WEIGHTS}" + (f"; {PICKLED_ONLY}" if has_pickled else ""))
