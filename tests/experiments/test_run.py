"""A training's row of results: what it took, and what becomes of it when an earlier try was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.training.checkpoint import Progress
from experiments import run
from ray_jobs.execution.ending import Ending
from registry import Lineage, Registry

LINES = {"train": slice(20, None), "dev": slice(10)}
SHAPE = Architecture(width=16, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=32, maximum_positions=40)


class Tiny(run.Run):
    """Trains on Django's catalogs."""

    def corpus(self, pair: str, part: str) -> dict[str, str]:
        source, target = pair.split("-")
        folder = self.home.path.parent
        return {"source": str(folder / f"{part}.{source}"), "target": str(folder / f"{part}.{target}")}

    def keys(self) -> dict[str, Any]:
        training = {"updates": 4, "validate_every": 2, "batch_tokens": 384, "accumulate": 1}
        return {
            "pair": "pt-en",
            "parent": "es-en",
            "train": self.corpus("pt-en", "train"),
            "dev": self.corpus("pt-en", "dev"),
            "scope": "xattn",
            "initialisation": "random",
            "vocabulary": 150,
            "training": training,
            "resources": {"cpus": 1},
            "beam": 1,
        }


@pytest.fixture
def tiny(tmp_path: Path, django_catalogs: dict[str, list[str]]) -> Iterator[Tiny]:
    for language in ("es", "en", "pt"):
        for part, chosen in LINES.items():
            text = "".join(f"{line}\n" for line in django_catalogs[language][chosen])
            (tmp_path / f"{part}.{language}").write_text(text, encoding="utf-8")
    source, target = (train_tokenizer(lambda name=name: django_catalogs[name], 160) for name in ("es", "en"))  # type: ignore[misc]
    sizes = {"source": source.size, "target": target.size}
    tensors = initial_tensors(SHAPE, parameter_names(SHAPE), sizes, seed=1)
    parent = Parent.of_pair(Pair("es", "en"), SHAPE, tensors, source, target)
    with Registry.open(tmp_path / "home", create=True) as registry:
        registry.register_parent("es-en", parent, lineage=Lineage(corpora=(), spec={}, code_version="0.1.0"))
    with (found := Tiny(tmp_path / "home", tmp_path / "results.jsonl", beam=1)).driver:
        yield found


def test_a_training_whose_row_was_lost_is_done_once_more(tiny: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    first, row = tiny.train(tiny.keys())
    again, other = tiny.train(tiny.keys())
    assert (first.full_name, again.full_name, first.digest) == ("es-en/pt-en:1", "es-en/pt-en:2", again.digest)
    assert f"pt-en xattn: done before, but without a row in {tiny.results}: once more" in capfd.readouterr().err
    keys = ("dev", "best_update", "ended", "at_limit", "updates")
    assert {key: row[key] for key in keys} == {key: other[key] for key in keys}
    assert {*row} == {*other} >= {"seconds", "processor_seconds"}
    assert (row["ended"], row["at_limit"]) == (4, True)


def test_the_row_of_a_training_that_continued_says_so(tiny: Tiny) -> None:
    """Its seconds are those of the last part."""
    spec = validate(AdditionSpec, tiny.keys(), origin="the test", base=tiny.home.path)
    job, jobs = tiny.driver.resolve(spec), tiny.driver.registry.jobs
    jobs.hold(job.digest, job.kind, "an earlier try")
    jobs.release(job.digest, "an earlier try", "stopped")
    _, row = tiny.train(tiny.keys())
    assert row["continued"] is True


def test_what_was_done_before_has_no_times() -> None:
    """Those of a look-up are not what the training took."""
    taken = {"seconds": 3.0, "processor_seconds": 2.5}
    assert run.of_training(taken, None) == {}
    ending = Ending(Progress(update=4, best_score=1.256, best_update=2), TrainingSettings(updates=4))
    ended = {"dev": 1.26, "best_update": 2, "ended": 4, "at_limit": True}
    assert run.of_training(taken, ending) == {**taken, **ended}
