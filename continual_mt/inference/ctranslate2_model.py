"""The CTranslate2 back end (Klein et al., *The OpenNMT Neural Machine Translation Toolkit: 2020 Edition*, AMTA 2020).

A recipe's model is converted once and cached. Translations sometimes differ from those of `PairModel`, the reference:
CTranslate2 has other rules for ending a search, and int8 weights are rounded.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import math
import shutil
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from filelock import FileLock
from torch import Tensor

from continual_mt.errors import IncompatibleError, ProcessError, StorageError
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Hypothesis, Search, TokenTranslator
from continual_mt.languages import SideName
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.embeddings import sinusoidal_positions
from continual_mt.model.layers import NORM_EPSILON
from continual_mt.threads import after_fork

if TYPE_CHECKING:
    import ctranslate2

FORMAT_VERSION = 1
PACKAGE = "ctranslate2"
DIGEST_FILE = "continual-mt.sha256"
Precision = Literal["int8", "float32"]

# CTranslate2 sorts and batches sentences itself; it gets this many per call, so that progress can be reported.
CHUNK_SENTENCES = 2000


def is_available() -> bool:
    """Tell whether the ctranslate2 package is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


class CTranslate2Model(TokenTranslator):
    """The model of a recipe, run by CTranslate2.

    The engine's threads do not exist in a forked process, which therefore opens a new engine with one thread.
    """

    def __init__(self, model: PairModel, folder: Path, precision: Precision, threads: int) -> None:
        self.pair, self.source, self.target, self.recipe = model.pair, model.source, model.target, model.recipe
        self._maximum_tokens = model.maximum_tokens
        self._most_decoded = model.transformer.architecture.maximum_positions - 1  # after the start token
        self._open = partial(_open_engine, folder, precision)
        self._opening = threading.Lock()
        self._engine: ctranslate2.Translator | None = self._open(threads)
        _models.add(self)
        self._source_pieces, self._target_pieces = self.source.tokenizer.pieces, self.target.tokenizer.pieces
        self._target_ids = {piece: number for number, piece in enumerate(self._target_pieces)}

    @property
    def engine(self) -> ctranslate2.Translator:
        with self._opening:
            if self._engine is None:
                try:
                    self._engine = self._open(1)
                except (RuntimeError, ValueError) as error:  # the folder was removed, or CUDA does not survive forks
                    raise ProcessError(
                        f"backend ctranslate2: cannot be opened in a forked process ({error}). Fix: select the back "
                        "end in that process, or choose torch"
                    ) from error
            return self._engine

    def drop_engine(self) -> None:
        """Forget the engine of the process that forked this one, without deleting it: that waits for its threads."""
        self._opening = threading.Lock()
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
            self._engine = None

    @property
    def maximum_tokens(self) -> int:
        return self._maximum_tokens

    def search(
        self, sources: Sequence[list[int]], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Hypothesis]]:
        results: list[list[Hypothesis]] = []
        for first in range(0, len(sources), CHUNK_SENTENCES):
            chosen = sources[first : first + CHUNK_SENTENCES]
            results += self._search(chosen, search)
            if progress:
                progress(len(results))
        return results

    def _search(self, sources: Sequence[list[int]], search: Search) -> list[list[Hypothesis]]:
        framed = [self.source.tokenizer.frame_source(source) for source in sources]
        _, *forced = self.target.tokenizer.before_target
        prefix = [self._target_pieces[token] for token in forced]
        banned = [[self._target_pieces[token]] for token in self.target.tokenizer.side_tokens.banned]
        found = self.engine.translate_batch(
            [[self._source_pieces[token] for token in source] for source in framed],
            target_prefix=[prefix] * len(sources) if prefix else None,
            suppress_sequences=banned or None,
            beam_size=search.beam,
            num_hypotheses=search.best,
            length_penalty=search.length_penalty,
            max_batch_size=max(1, search.batch_tokens // search.beam),
            batch_type="tokens",
            # PairModel limits each hypothesis by its own source's length; CTranslate2 has one limit for all. A
            # hypothesis without an end token is cut at the limit of the longest source.
            max_decoding_length=min(self._most_decoded, 2 * max(map(len, framed)) + 20 + len(prefix)),
            min_decoding_length=0,  # the default, 1, forbids the end token at the first step
            max_input_length=0,  # the default, 1024, would cut sources silently
            return_scores=search.scored,
        )
        return [
            [
                Hypothesis([self._target_ids[piece] for piece in tokens[len(prefix) :]], score)
                for tokens, score in zip(
                    result.hypotheses, result.scores or [math.nan] * len(result.hypotheses), strict=True
                )
            ]
            for result in found
        ]


def is_computable(model: PairModel) -> bool:
    """Tell whether CTranslate2 computes all that the model does: it has no place for adapters."""
    return set(model.transformer.state_dict()) == set(parameter_names(model.transformer.architecture))


def check_computable(model: PairModel) -> None:
    """Raise IncompatibleError for a model that CTranslate2 cannot compute."""
    if not is_computable(model):
        parts = ", ".join(key.name for key in model.recipe.modules) if model.recipe else "a module"
        raise IncompatibleError(
            f"{model.pair}: CTranslate2 cannot compute the adapters of {parts}. Fix: choose the backend torch, or a "
            "module of another scope"
        )


def load_or_convert(
    model: PairModel, cache: Path, *, precision: Precision = "int8", threads: int = 0
) -> CTranslate2Model:
    """Return ``model`` in CTranslate2: loaded from ``cache`` if its recipe was converted before, else converted now.

    With ``threads=0`` CTranslate2 chooses the number of threads. Raises IncompatibleError if ctranslate2 is not
    installed or the model has no recipe, StorageError if the cache cannot be written.
    """
    if not is_available():
        raise IncompatibleError(
            "backend ctranslate2: the package is not installed. Fix: pip install ctranslate2, or choose torch"
        )
    if model.recipe is None:
        raise IncompatibleError(
            "backend ctranslate2: the model has no recipe, whose digest names the converted files. Fix: choose torch"
        )
    folder = cache / PACKAGE / f"{model.recipe.digest}-{precision}-{FORMAT_VERSION}"
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise StorageError(f"{folder}: CTranslate2 reads only paths in UTF-8. Fix: choose the backend torch") from error
    try:
        if not _is_complete(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not _is_complete(folder):  # another process may have converted it in the meantime
                    _convert(model, folder, precision)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return CTranslate2Model(model, folder, precision, threads)


def _open_engine(folder: Path, precision: Precision, threads: int) -> ctranslate2.Translator:
    import ctranslate2

    return ctranslate2.Translator(str(folder), device=engine_device(), compute_type=precision, intra_threads=threads)


def engine_device() -> str:
    """The device that models are opened on: ``cuda`` if CTranslate2 finds a GPU, else ``cpu``."""
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


_models: weakref.WeakSet[CTranslate2Model] = weakref.WeakSet()


def _drop_engines() -> None:
    for model in _models:
        model.drop_engine()


after_fork(_drop_engines)


def _is_complete(folder: Path) -> bool:
    """Tell whether the converted files are intact, by their digest: CTranslate2 does not detect damaged weights."""
    try:
        return (folder / DIGEST_FILE).read_text(encoding="ascii") == _digest(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != DIGEST_FILE:
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _convert(model: PairModel, folder: Path, precision: Precision) -> None:
    partial = folder.with_suffix(".partial")
    _remove(partial)
    partial.mkdir()
    try:
        write_model(model, partial, precision)
        (partial / DIGEST_FILE).write_text(_digest(partial), encoding="ascii")
        _remove(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_model(
    model: PairModel,
    folder: Path,
    precision: Precision,
    source_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
) -> None:
    """Write the converted model, which CTranslate2's ``Translator`` loads, to an existing folder.

    The names are those of the types, by id; None are their pieces. Raises OSError if it cannot be written, and as
    `check_computable` does.
    """
    check_computable(model)
    specification = _build_specification(model)
    source, target = model.source.tokenizer.pieces, model.target.tokenizer.pieces
    _describe_vocabularies(specification, model, source_names or source, target_names or target)
    specification.validate()
    specification.optimize(quantization=precision if precision == "int8" else None)
    specification.save(str(folder))


def _build_specification(model: PairModel) -> Any:
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    transformer = model.transformer
    architecture = transformer.architecture
    activations = {"relu": Activation.RELU, "swish": Activation.SWISH, "gelu": Activation.GELU}
    specification = TransformerSpec.from_config(
        (architecture.encoder_layers, architecture.decoder_layers),
        architecture.heads,
        pre_norm=True,  # only then is there a place for a final norm; `_fill_side` sets what it is
        no_final_norm=not architecture.final_norm,
        activation=activations[architecture.activation],
        layernorm_embedding=architecture.embedding_norm,
    )
    # Copies, because quantisation writes in place and these weights are shared with other pairs.
    tensors = {name: tensor.detach().cpu().float().clone() for name, tensor in transformer.state_dict().items()}
    _fill_side(specification.encoder, tensors, "source", architecture)
    _fill_side(specification.decoder, tensors, "target", architecture)
    for i, layer in enumerate(specification.encoder.layer):
        _fill_layer(layer, tensors, f"encoder.{i}")
    for i, layer in enumerate(specification.decoder.layer):
        _fill_layer(layer, tensors, f"decoder.{i}")
        _fill_attention(layer.attention, tensors, f"cross_attention.{i}", (("query",), ("key", "value")))
    specification.decoder.start_from_zero_embedding = False
    specification.decoder.projection.weight = tensors[
        "target.embedding" if architecture.tied_output else "target.output"
    ]
    specification.decoder.projection.bias = tensors["target.bias"]
    return specification


def _describe_vocabularies(
    specification: Any, model: PairModel, source_names: Sequence[str], target_names: Sequence[str]
) -> None:
    specification.register_source_vocabulary(list(source_names))
    specification.register_target_vocabulary(list(target_names))
    target = model.target.tokenizer
    config = specification.config
    config.bos_token = config.decoder_start_token = target_names[target.start]
    config.eos_token, config.unk_token = target_names[target.end], target_names[target.unknown]
    # _search appends the source side's own end piece, which may differ from the target side's.
    config.add_source_bos = config.add_source_eos = False
    config.layer_norm_epsilon = NORM_EPSILON


def _fill_side(stack: Any, tensors: Mapping[str, Tensor], side: SideName, architecture: Architecture) -> None:
    """Set what belongs to a side, where norms are, and the norm after the last layer."""
    stack.pre_norm = architecture.norm == "pre"
    stack.scale_embeddings = architecture.width**0.5 if architecture.scale_embedding else 1.0
    learned = architecture.positions == "learned"
    stack.position_encodings.encodings = (
        tensors[f"{side}.positions"] if learned else sinusoidal_positions(architecture, torch.device("cpu"))
    )
    table = stack.embeddings[0] if side == "source" else stack.embeddings
    table.weight = tensors[f"{side}.embedding"]
    if architecture.embedding_norm:
        _fill_norm(stack.layernorm_embedding, tensors, f"{side}.norm")
    if architecture.final_norm:
        _fill_norm(stack.layer_norm, tensors, "encoder.norm" if side == "source" else "decoder.norm")


def _fill_layer(layer: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    _fill_attention(layer.self_attention, tensors, f"{name}.attention", (("query", "key", "value"),))
    _fill_linear(layer.ffn.linear_0, tensors, f"{name}.feed_forward", ("inner",))
    _fill_linear(layer.ffn.linear_1, tensors, f"{name}.feed_forward", ("outer",))
    _fill_norm(layer.ffn.layer_norm, tensors, f"{name}.feed_forward.norm")


def _fill_attention(
    attention: Any, tensors: Mapping[str, Tensor], name: str, fused: tuple[tuple[str, ...], ...]
) -> None:
    for linear, parts in zip(attention.linear, (*fused, ("output",)), strict=True):
        _fill_linear(linear, tensors, name, parts)
    _fill_norm(attention.layer_norm, tensors, f"{name}.norm")


def _fill_linear(linear: Any, tensors: Mapping[str, Tensor], name: str, parts: tuple[str, ...]) -> None:
    linear.weight = torch.cat([tensors[f"{name}.{part}.weight"] for part in parts])
    linear.bias = torch.cat([tensors[f"{name}.{part}.bias"] for part in parts])


def _fill_norm(norm: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    norm.gamma, norm.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
