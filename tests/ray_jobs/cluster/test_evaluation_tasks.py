from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.errors import CorruptionError
from ray_jobs.cluster.evaluation_tasks import TranslationOrder, threads_for, translate, translate_all
from registry import Registry
from tests.ray_jobs.heads import Head

pytestmark = pytest.mark.slow
SENTENCES = ("Chino simplificado", "", "Enero")


def order(registry: Registry, beam: int = 1) -> TranslationOrder:
    return TranslationOrder.of(registry, registry.recipe_catalog.recipe("es", "en"), SENTENCES, beam, threads=1)


def test_tasks_say_what_the_registry_says(registry: Registry, ray_cluster: Head) -> None:
    orders = [order(registry), order(registry, beam=3)]
    done: list[int] = []
    found = dict(translate_all(orders, done.append))
    model = registry.assemble("es", "en")
    assert found == {0: model.translate(SENTENCES, beam=1), 1: model.translate(SENTENCES, beam=3)}
    assert found[0] == translate(orders[0])
    assert done == [1, 2]


def test_an_error_comes_back_as_itself(registry: Registry, ray_cluster: Head) -> None:
    good = order(registry)
    bad = replace(good, parent={**good.parent, "target.model": "0" * 64})
    with pytest.raises(CorruptionError, match=r"blob 0{64} is missing"):
        list(translate_all([good, bad], lambda done: None))


def test_threads_are_shared(ray_cluster: Head) -> None:
    assert threads_for(1) >= threads_for(2) >= threads_for(1000) == 1
