from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair
from ray_jobs.cluster import connection
from ray_jobs.cluster.evaluation_tasks import TranslationTask, threads_for, translate, translate_all
from registry import CorpusRecord, Registry
from registry.corpora import ResolvedTest
from registry.evaluation import noted_logits
from tests.ray_jobs.heads import Head

pytestmark = pytest.mark.slow
SENTENCES = ("Chino simplificado", "", "Enero")


REFERENCES = ("Simplified Chinese", "", "January")
RECORD = CorpusRecord("0" * 64, Pair("es", "en"), "test", 2, 1, "Apache-2.0")
TEST = ResolvedTest("test", RECORD.pair, RECORD.digest, SENTENCES, REFERENCES, RECORD)


def make_task(registry: Registry, beam: int = 1) -> TranslationTask:
    return TranslationTask.of(registry, registry.recipe_catalog.recipe("es", "en"), TEST, beam, threads=1)


def test_tasks_translate_as_the_registry_does(registry: Registry, ray_cluster: Head) -> None:
    tasks = [make_task(registry), make_task(registry, beam=3)]
    done: list[int] = []
    found = dict(translate_all(tasks, done.append))
    model = registry.assemble("es", "en")
    logits = noted_logits(model, TEST)
    assert found == {i: (model.translate(SENTENCES, beam=beam), logits) for i, beam in enumerate((1, 3))}
    assert found[0] == translate(tasks[0])
    assert done == [1, 2]


def test_an_error_comes_back_as_itself(registry: Registry, ray_cluster: Head) -> None:
    good = make_task(registry)
    bad = replace(good, parent={**good.parent, "target.model": "0" * 64})
    with pytest.raises(CorruptionError, match=r"blob 0{64} is missing"):
        list(translate_all([good, bad], lambda done: None))


@pytest.mark.parametrize(("tasks", "threads"), [(1, 8), (2, 6), (5, 2), (12, 1), (1000, 1)])
def test_tasks_share_the_processors_of_all_nodes(monkeypatch: pytest.MonkeyPatch, tasks: int, threads: int) -> None:
    """A task runs on one node, so that it has no more threads than the largest node has processors."""
    monkeypatch.setattr(connection, "nodes", lambda: [{"CPU": 4.0}, {"CPU": 8.0}, {"memory": 1e9}])
    assert threads_for(tasks) == threads


def test_tasks_share_the_processors_of_a_real_cluster(ray_cluster: Head) -> None:
    assert [threads_for(tasks) for tasks in (1, 2, 1000)] == [4, 2, 1]
