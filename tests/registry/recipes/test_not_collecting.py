from __future__ import annotations

import gc

import pytest

from registry.recipes.listing import not_collecting


def test_nothing_is_collected_until_it_ends() -> None:
    with not_collecting():
        assert not gc.isenabled()
        with not_collecting():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_it() -> None:
    with pytest.raises(ValueError, match="lost"), not_collecting():
        raise ValueError("lost")
    assert gc.isenabled()
