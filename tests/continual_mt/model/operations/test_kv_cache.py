"""KVCache, compared with lists that are copied whenever hypotheses are chosen."""

from __future__ import annotations

import pytest
import torch

from continual_mt.model.operations.kv_cache import KVCache

SENTENCES, HEADS, WIDTH, LAYERS = 3, 2, 4, 2


def make_cache(beam: int) -> KVCache:
    cross = [(torch.zeros(SENTENCES, HEADS, 5, WIDTH), torch.zeros(SENTENCES, HEADS, 5, WIDTH)) for _ in range(LAYERS)]
    return KVCache(cross, torch.zeros(SENTENCES, 1, 1, 5), beam)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("steps", [1, 40])
def test_a_hypothesis_attends_to_its_own_history_only(beam: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(beam * steps)
    cache = make_cache(beam)
    histories: list[list[list[torch.Tensor]]] = [[[] for _ in range(beam)] for _ in range(SENTENCES)]
    rows = list(range(SENTENCES))
    for step in range(steps):
        cache.begin_step()
        new = torch.randn(len(rows), HEADS, beam, WIDTH, generator=generator)
        for layer in range(LAYERS):
            keys, values = cache.append(layer, (new + layer, -new))
        for index, row in enumerate(rows):
            for hypothesis in range(beam):
                history = histories[row][hypothesis] = [*histories[row][hypothesis], new[index, :, hypothesis]]
                slots = torch.arange(keys.shape[2])
                if cache.beam_ancestry_mask is not None:
                    slots = slots[cache.beam_ancestry_mask[index, 0, hypothesis] == 0]
                assert torch.equal(values[index][:, slots], -torch.stack(history, dim=1))
                assert torch.equal(keys[index][:, slots], torch.stack(history, dim=1) + (LAYERS - 1))
        origin = torch.randint(beam, (len(rows), beam), generator=generator)
        cache.reorder(origin)
        for index, row in enumerate(rows):
            histories[row] = [histories[row][i] for i in origin[index].tolist()]
        if step == 20:
            cache.select(torch.tensor([0, 2]))
            rows = [rows[0], rows[2]]
    assert cache.position == steps - 1
    assert len(rows) == (2 if steps > 20 else 3)


def test_select_keeps_the_sources_of_chosen_sentences() -> None:
    cache = make_cache(2)
    cache.mask[1] = 1
    cache.select(torch.tensor([1]))
    assert cache.mask.tolist() == [[[[1.0] * 5]]]
    assert cache.cross_keys_values[0][0].shape == (1, HEADS, 5, WIDTH)
