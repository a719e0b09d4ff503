"""What a search remembers, against lists that are copied whenever hypotheses are chosen."""

from __future__ import annotations

import pytest
import torch

from continual_mt.model.kv_cache import KVCache

SENTENCES, HEADS, WIDTH, LAYERS = 3, 2, 4, 2


def make_cache(beam: int) -> KVCache:
    seen = [(torch.zeros(SENTENCES, HEADS, 5, WIDTH), torch.zeros(SENTENCES, HEADS, 5, WIDTH)) for _ in range(LAYERS)]
    return KVCache(seen, torch.zeros(SENTENCES, 1, 1, 5), beam)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("steps", [1, 40])
def test_a_hypothesis_sees_its_own_past_and_no_other(beam: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(beam * steps)
    cache = make_cache(beam)
    histories: list[list[list[torch.Tensor]]] = [[[] for _ in range(beam)] for _ in range(SENTENCES)]
    rows = list(range(SENTENCES))
    for step in range(steps):
        cache.begin_step()
        new = torch.randn(len(rows), HEADS, beam, WIDTH, generator=generator)
        for layer in range(LAYERS):
            keys, values = cache.append(layer, (new + layer, -new))
        for place, row in enumerate(rows):
            for hypothesis in range(beam):
                history = histories[row][hypothesis] = [*histories[row][hypothesis], new[place, :, hypothesis]]
                cells = torch.arange(keys.shape[2])
                if cache.beam_ancestry_mask is not None:
                    cells = cells[cache.beam_ancestry_mask[place, 0, hypothesis] == 0]
                assert torch.equal(values[place][:, cells], -torch.stack(history, dim=1))
                assert torch.equal(keys[place][:, cells], torch.stack(history, dim=1) + (LAYERS - 1))
        origin = torch.randint(beam, (len(rows), beam), generator=generator)
        cache.reorder(origin)
        for place, row in enumerate(rows):
            histories[row] = [histories[row][i] for i in origin[place].tolist()]
        if step == 20:
            cache.select(torch.tensor([0, 2]))
            rows = [rows[0], rows[2]]
    assert cache.position == steps - 1
    assert len(rows) == (2 if steps > 20 else 3)


def test_what_is_kept_of_the_sources() -> None:
    cache = make_cache(2)
    cache.mask[1] = 1
    cache.select(torch.tensor([1]))
    assert cache.mask.tolist() == [[[[1.0] * 5]]]
    assert cache.cross_keys_values[0][0].shape == (1, HEADS, 5, WIDTH)
