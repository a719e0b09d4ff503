from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.errors import CorruptionError
from ray_jobs.cluster.evaluation_tasks import TranslationTask, threads_for, translate, translate_all
from registry import Registry
from tests.ray_jobs.heads import Head

pytestmark = pytest.mark.slow
SENTENCES = ("Chino simplificado", "", "Enero")


def make_task(registry: Registry, beam: int = 1) -> TranslationTask:
    return TranslationTask.of(registry, registry.recipe("es", "en"), SENTENCES, beam, threads=1)


def test_tasks_translate_as_the_registry_does(registry: Registry, ray_cluster: Head) -> None:
    tasks = [make_task(registry), make_task(registry, beam=3)]
    done: list[int] = []
    found = dict(translate_all(tasks, done.append))
    model = registry.assemble("es", "en")
    assert found == {0: model.translate(SENTENCES, beam=1), 1: model.translate(SENTENCES, beam=3)}
    assert found[0] == translate(tasks[0])
    assert done == [1, 2]


def test_an_error_comes_back_as_itself(registry: Registry, ray_cluster: Head) -> None:
    good = make_task(registry)
    bad = replace(good, parent={**good.parent, "target.model": "0" * 64})
    with pytest.raises(CorruptionError, match=r"blob 0{64} is missing"):
        list(translate_all([good, bad], lambda done: None))


def test_threads_are_shared(ray_cluster: Head) -> None:
    assert threads_for(1) >= threads_for(2) >= threads_for(1000) == 1
