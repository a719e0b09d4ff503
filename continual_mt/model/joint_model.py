"""The models of several pairs that share one body, with a side for each language of each end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, group_of
from continual_mt.model.embeddings import Source, Target
from continual_mt.model.language_sides import of_pair, with_language
from continual_mt.model.transformer import Transformer


class JointModel:
    """Its parameters have the names that ``language_sides.stored_names`` lists, and share memory with ``tensors``.

    A parameter is one object in all models, so that gradients of all pairs are summed in it. The sides are not kept in
    an ``nn.ModuleDict``, which cannot hold a language whose tag is the name of one of its methods, such as ``to``.
    """

    def __init__(self, architecture: Architecture, tensors: Mapping[str, Tensor], pairs: Iterable[Pair]) -> None:
        self.architecture = architecture
        self._models = {
            pair: Transformer.pointing_at(architecture, of_pair(tensors, pair)) for pair in dict.fromkeys(pairs)
        }
        first = next(iter(self._models.values()))
        sources: dict[str, Source] = {}
        targets: dict[str, Target] = {}
        for pair, model in self._models.items():
            model.encoder, model.decoder, model.cross_attention = first.encoder, first.decoder, first.cross_attention
            model.source = sources.setdefault(pair.source, model.source)
            model.target = targets.setdefault(pair.target, model.target)

    def of(self, pair: Pair) -> Transformer:
        """The model of a pair, which has this model's parameters."""
        return self._models[pair]

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every parameter once."""
        seen: set[str] = set()
        for pair, model in self._models.items():
            languages = {"source": pair.source, "target": pair.target}
            for plain, parameter in model.named_parameters():
                language = languages.get(group_of(plain))
                name = plain if language is None else with_language(plain, language)
                if name not in seen:
                    seen.add(name)
                    yield name, parameter

    def computing_in(self, dtype: torch.dtype, kept: Collection[str] = ()) -> JointModel:
        """Return frozen models with the same weights that compute in ``dtype``: see `Transformer.computing_in`."""
        tensors = {
            name: parameter.detach() if name in kept else parameter.detach().to(dtype)
            for name, parameter in self.named_parameters()
        }
        copy = JointModel(self.architecture, tensors, self._models)
        for model in copy._models.values():
            model.computation = dtype
        return copy

    def train(self) -> JointModel:
        """Let dropout apply."""
        for model in self._models.values():
            model.train()
        return self

    @property
    def dropout(self) -> float:
        """The dropout rate of all pairs."""
        return next(iter(self._models.values())).dropout

    @dropout.setter
    def dropout(self, rate: float) -> None:
        for model in self._models.values():
            model.dropout = rate

    @property
    def device(self) -> torch.device:
        return next(iter(self._models.values())).device
