"""The input of all contestants of the training benchmark: the same token ids and the same initial weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, trainable_names
from continual_mt.training.trainer import computation_dtype

ARCHITECTURE = Architecture()
SIDES: tuple[SideName, ...] = ("source", "target")
SEED = 1


@dataclass(frozen=True)
class Workload:
    """A folder with tokenizers, token ids and weights. A batch has up to ``batch_tokens`` tokens on either side."""

    folder: str
    pair: str
    train: tuple[str, str]
    dev: tuple[str, str]
    batch_tokens: int
    vocabulary: int
    threads: int

    def prepare(self) -> None:
        """Train the tokenizers and tokenize the text, so that no contestant's time includes it."""
        for side in SIDES:

            def sentences(side: SideName = side) -> Iterator[str]:
                return (getattr(pair, side) for pair in self.text("train").read())

            tokenizer = train_tokenizer(sentences, self.vocabulary, origin=f"the {side} text")
            self._model(side).write_bytes(tokenizer.model)
        self.corpus()
        (Path(self.folder) / "workload.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Workload:
        values = json.loads((folder / "workload.json").read_text())
        return cls(**values | {role: tuple(values[role]) for role in ("train", "dev")})

    def text(self, role: str) -> TextFiles:
        source, target = map(Path, self.train if role == "train" else self.dev)
        return TextFiles(Pair.parse(self.pair), source, target)

    def _model(self, side: str) -> Path:
        return Path(self.folder) / f"{side}.model"

    def tokenizer(self, side: SideName) -> Tokenizer:
        return Tokenizer(self._model(side).read_bytes())

    def corpus(self) -> TokenizedCorpus:
        text = self.text("train")
        cache = Path(self.folder) / "cache"
        return tokenize_corpus(text, inspect(text).digest, self.tokenizer("source"), self.tokenizer("target"), cache)

    def first_weights(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights, which all contestants that can load them start from."""
        path = Path(self.folder) / f"first-{seed}.safetensors"
        if not path.exists():
            sizes: dict[str, int] = {side: self.tokenizer(side).size for side in SIDES}
            save_file(initial_tensors(ARCHITECTURE, parameter_names(ARCHITECTURE), sizes, seed), path)
        return load_file(path)

    def settings(self, updates: int) -> TrainingSettings:
        """Return the settings of a run of ``updates`` with a proportional warm-up and without early stopping."""
        return TrainingSettings(
            updates=updates,
            batch_tokens=self.batch_tokens,
            accumulate=1,
            warmup=max(1, updates * 2 // 5),
            validate_every=updates,
            patience=0,
        )


def bfloat16() -> bool:
    """Tell whether other contestants should use bfloat16: only where the machine supports it, else it is slower."""
    return computation_dtype(torch.device("cuda" if torch.cuda.is_available() else "cpu"), "auto") == torch.bfloat16


def trained_names(scope: Scope, side: SideName) -> tuple[str, ...]:
    return trainable_names(ARCHITECTURE, scope, side)
