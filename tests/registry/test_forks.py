"""A registry that was opened before a fork is used on both sides of it."""

from __future__ import annotations

import multiprocessing

from registry import Registry

_registry: Registry
SECONDS = 300


def _translate(number: int) -> tuple[list[str], list[str]]:
    if number % 2:
        _registry.annotations.set_alias(f"de-en@alias-{number}", "de-en:1")
    return [str(entry.recipe.pair) for entry in _registry.pairs()], _registry.assemble("de", "es").translate(["Hallo"])


def test_a_registry_from_before_a_fork(filled: Registry) -> None:
    global _registry
    _registry = filled
    expected = _translate(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        waiting = pool.map_async(_translate, range(8), chunksize=1)
        here = [_translate(0) for _ in range(8)]
        assert waiting.get(SECONDS) == here == [expected] * 8
        pool.close()
        pool.join()  # a pool's end by signals fails after Ray changed their handlers in an earlier test
    assert sorted(alias.alias for alias in filled.annotations.aliases()) == [f"alias-{n}" for n in (1, 3, 5, 7)]
