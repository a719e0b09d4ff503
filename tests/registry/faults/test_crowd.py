"""Many processes at once: each version number is used once, and whatever was confirmed is stored completely."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from registry import Registry
from registry.maintenance.verify import verify

MakeModule = Callable[..., Module]
Start = Callable[..., Any]

REGISTER = """
from dataclasses import replace
from continual_mt.artifacts.module import Module
from registry import Lineage, Registry
module = Module.from_pieces(pieces)
lineage = Lineage(corpora=(), spec={}, code_version="0.1.0", job=job)
with Registry.open(home) as registry:
    for number in range(times):
        tensors = {name: tensor + first + number for name, tensor in module.tensors.items()}
        made = registry.register_module("base", replace(module, tensors=tensors), lineage=lineage)
        answers.send((made.version, made.digest))
"""


@pytest.fixture
def pieces(parent: Parent, make_module: MakeModule) -> dict[str, bytes]:
    return make_module(parent, "es-en", seed=3).pieces()


@pytest.mark.slow
def test_eight_processes_register_twenty_modules_each(
    home: Path, filled: Registry, pieces: dict[str, bytes], start: Start
) -> None:
    children = [start(REGISTER, home=home, pieces=pieces, times=20, first=20 * child, job=None) for child in range(8)]
    confirmed = dict(answer for child in children for answer in child.answers())
    assert sorted(confirmed) == list(range(1, 161))
    assert len(set(confirmed.values())) == 160
    assert {module.version: module.digest for module in filled.modules() if module.pair.source == "es"} == confirmed
    found = verify(filled, fingerprints=True)
    assert (found.problems, found.orphans, found.leftovers) == ((), (), ())


def test_two_processes_with_one_job_register_one_module(
    home: Path, filled: Registry, pieces: dict[str, bytes], start: Start
) -> None:
    children = [start(REGISTER, home=home, pieces=pieces, times=5, first=0, job="d" * 64) for _ in range(2)]
    digest = Module.from_pieces(pieces).digest
    confirmed = [child.answers() for child in children]
    assert confirmed[0] == confirmed[1] == [confirmed[0][0]] * 5
    assert [module.full_name for module in filled.modules() if module.pair.source == "es"] == ["base/es-en:1"]
    assert (filled.load_module("es-en").digest, confirmed[0][0][0]) == (digest, 1)
    assert verify(filled, fingerprints=True).problems == ()
