"""A parent of the paper's architecture, and additions to it, by specs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.home import Home
from continual_mt.model.scopes import Scope
from ray_jobs import Driver
from registry import ModuleRecord

PAPER = {"norm": "pre", "final_norm": True, "positions": "learned", "embedding_norm": True}


@pytest.fixture(scope="module")
def driver(parent_spec: Callable[..., ParentSpec], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    home = Home(tmp_path_factory.mktemp("paper") / "home")
    with Driver(home, in_process=True) as opened:
        opened.train_parent(parent_spec({"architecture": PAPER}))
        yield opened


def test_the_parent_is_registered_with_its_architecture(driver: Driver) -> None:
    record = driver.registry.parent("es-en")
    assert {name: record.architecture[name] for name in PAPER} == PAPER
    assert "position_offset" not in record.architecture


@pytest.mark.parametrize(("pair", "side"), [("pt-en", "source"), ("es-de", "target")])
def test_a_lexical_start_takes_positions_and_norm_from_the_parent(
    driver: Driver, addition_spec: Callable[..., AdditionSpec], pair: str, side: str
) -> None:
    spec = addition_spec(pair, {"training": {"updates": 0}, "initialisation": "lexical", "scope": "embeddings"})
    added = driver.add_language(spec).record
    assert isinstance(added, ModuleRecord)
    tensors = driver.registry.load_module(added.full_name).tensors
    parent = driver.registry.load_parent("es-en")
    for name in ("positions", "norm.weight", "norm.bias"):
        assert torch.equal(tensors[f"{side}.{name}"], parent.tensors[f"{side}.{name}"])


@pytest.mark.parametrize("scope", ["xattn", "half"])
def test_sides_that_were_trained_apart_translate_together(
    driver: Driver, addition_spec: Callable[..., AdditionSpec], scope: Scope
) -> None:
    names = []
    for pair in ("pt-en", "es-de"):
        added = driver.add_language(addition_spec(pair, scope=scope)).record
        assert isinstance(added, ModuleRecord)
        names.append(added.full_name)
    model = driver.registry.assemble("pt", "de", modules=names)
    assert len(model.translate(["Abrir", "Fechar o arquivo"], beam=2)) == 2
