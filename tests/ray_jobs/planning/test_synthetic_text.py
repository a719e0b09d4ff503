from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from continual_mt.training.replay import EarlierPair, Replay
from ray_jobs.planning.synthetic_text import share_beside_text

NO_PAIR: tuple[EarlierPair, ...] = (None,)  # type: ignore[assignment]  # only counted


@given(st.lists(st.integers(1, 30), min_size=1, max_size=3))
def test_each_text_is_its_share_of_all_batches(percents: list[int]) -> None:
    shares = [percent / 100 for percent in percents]
    own = 10_000
    beside = [Replay(share_beside_text(one, sum(shares)), NO_PAIR).replayed_batches(own) for one in shares]
    for share, batches in zip(shares, beside, strict=True):
        assert abs(batches / (own + sum(beside)) - share) < 0.001
