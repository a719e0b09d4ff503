"""Hugging Face's generate on the same weights, in the dtype and on the device of the model that is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, MarianMTModel

from benchmarks.contestants.hugging_face import marian
from continual_mt.data.batching import pad
from continual_mt.data.segmentation import length_batches
from continual_mt.inference.torch_model import PairModel


class Generator:
    """Translates token sequences in batches of ``size`` sentences, sorted by length."""

    def __init__(self, model: PairModel, theirs: MarianMTModel | None = None) -> None:
        self._source, self._target = model.source.tokenizer, model.target.tokenizer
        theirs = theirs or marian(self._source, self._target, model.transformer.state_dict(), "sdpa")
        self._model = theirs.train(False)

    @torch.inference_mode()
    def __call__(self, sources: Sequence[list[int]], beam: int, size: int) -> list[list[int]]:
        results: list[list[int]] = [[] for _ in sources]
        order = [place for batch in length_batches(sources, 1) for place in batch]
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            tokens, lengths = pad([[*sources[i], self._source.end] for i in chosen], self._source.pad)
            # generate has one maximum length per batch: that of the longest source.
            configuration = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers has no annotation here
                num_beams=beam,
                length_penalty=1.0,
                early_stopping=False,
                do_sample=False,
                max_new_tokens=2 * int(lengths.max()) + 20,
                decoder_start_token_id=self._target.start,
                bos_token_id=self._target.start,
                eos_token_id=self._target.end,
                pad_token_id=self._target.pad,
            )
            mask = (torch.arange(tokens.shape[1])[None] < lengths[:, None]).long()
            device = self._model.device
            rows = self._model.generate(
                input_ids=tokens.to(device), attention_mask=mask.to(device), generation_config=configuration
            ).tolist()
            for i, row in zip(chosen, rows, strict=True):
                end = row.index(self._target.end) if self._target.end in row else len(row)
                results[i] = row[1:end]
        return results
