"""A parent trained on several pairs, resumed, done again, and languages added to it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.errors import SpecError
from continual_mt.home import Home
from continual_mt.languages import Pair
from ray_jobs import Driver, Outcome, add_sequence
from ray_jobs.execution import local_backend
from ray_jobs.execution.backend import Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.local_backend import LocalBackend
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.reproduction.reproduce import reproduce
from registry import Registry
from registry.maintenance.verify import verify

Values = dict[str, Any]
OWN = ("en-es", "es-en", "es-pt")


@pytest.fixture(scope="module")
def joint_home(
    joint_spec: Callable[..., ParentSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome, list[str]]:
    """A home with the parent, what its driver returned, and what it said."""
    home, said = tmp_path_factory.mktemp("joint") / "home", list[str]()
    with Driver(Home(home), in_process=True) as driver:
        driver.display.say = said.append  # type: ignore[method-assign]
        return home, driver.train_parent(joint_spec()), said


@pytest.fixture
def home(joint_home: tuple[Path, Outcome, list[str]], tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(joint_home[0], tmp_path / "joint")))


def test_its_pairs_are_scored_and_its_texts_recorded(
    joint_home: tuple[Path, Outcome, list[str]], corpora: Path
) -> None:
    home, outcome, said = joint_home
    assert (outcome.name, outcome.trained_now) == ("joint", True)
    assert [str(one.recipe) for one in outcome.evaluations] == [
        f"original {pair}: source joint:{pair[:2]}, xattn joint, target joint:{pair[3:]}" for pair in OWN
    ]
    lines = len((corpora / "train.es").read_text(encoding="utf-8").splitlines())
    few = round(40 * (lines / 40) ** 0.8)
    assert f"parent joint: an epoch draws {lines} of {lines} en-es, {lines} of {lines} es-en, {few} of 40 es-pt" in said
    assert [(role, str(text.pair)) for role, text in outcome.record.lineage.corpora] == [
        *(("train", pair) for pair in OWN),
        *(("dev", pair) for pair in OWN),
        *(("test", pair) for pair in ("es-en", "en-es", "es-pt")),
    ]
    assert not any("word translations" in line for line in said)
    with Registry.open(home) as registry:
        assert {str(entry.pair) for entry in registry.pairs()} == {*OWN, "en-pt"}
        assert verify(registry, set_aside=False).problems == ()
        parent = registry.load_parent()
    assert parent.sides(Pair("es", "pt"))[1].tokenizer.before_target[1:] == (parent.target_tokenizer.size - 1,)


def test_the_same_spec_only_reports_and_the_record_is_done_again_bit_for_bit(
    home: Home, joint_spec: Callable[..., ParentSpec]
) -> None:
    with Driver(home, in_process=True) as driver:
        assert not driver.train_parent(joint_spec()).trained_now
        record = driver.registry.parent()
        assert reproduce(driver, record).verdict == "bit for bit"


def test_a_choice_by_some_pairs_is_recorded_and_done_again(
    joint_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    """The score that chooses is that of these pairs alone, which the record names."""
    with Driver(Home(tmp_path / "home"), in_process=True) as driver:
        spec = joint_spec(name="for-pt", development_pairs=["es-pt"], tests=[])
        record = driver.train_parent(spec).record
        assert record.lineage.spec["development_pairs"] == ["es-pt"]
        assert [str(text.pair) for role, text in record.lineage.corpora if role == "dev"] == list(OWN)
        assert not driver.train_parent(spec).trained_now
        assert reproduce(driver, record).verdict == "bit for bit"


def test_a_text_that_changed_is_named(home: Home, corpora: Path) -> None:
    few = corpora / "few.pt"
    before = few.read_bytes()
    few.write_text("outro\n" * 40, encoding="utf-8")
    try:
        with (
            Driver(home, in_process=True) as driver,
            pytest.raises(SpecError, match=r"the training text, few\.es \+ few\.pt .*, was not found"),
        ):
            reproduce(driver, driver.registry.parent())
    finally:
        few.write_bytes(before)


def test_a_stopped_training_goes_on_bit_for_bit(
    joint_spec: Callable[..., ParentSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task(resolve(joint_spec(), None, tmp_path))

    def trained(name: str, stop_at: int | None = None) -> Any:
        checkpoints, stop = RunCheckpoints(str(tmp_path), name), threading.Event()
        training = LocalBackend().start(task, checkpoints, Share(1, 1, 0), 0, lambda update: None)
        updates = 0

        def stopping(self: object) -> bool:
            nonlocal updates
            updates += 1
            return updates == stop_at

        monkeypatch.setattr(local_backend.LocalTraining, "stopping", stopping)
        training.poll(stop, 0)
        return checkpoints

    assert trained("stopped", stop_at=3).update() == 3
    resumed, whole = trained("stopped").finished(), trained("whole").finished()
    assert resumed.progress == whole.progress
    assert all((resumed.best[name] == tensor).all() for name, tensor in whole.best.items())


def test_new_languages_go_into_and_come_from_all_of_its_languages(
    home: Home, addition_values: Callable[..., Values], parallel: Callable[[str, str], Values]
) -> None:
    """A sequence of a new source and a new target; retention is measured on the parent's pairs that have tests."""
    source, target = (addition_values(pair, parent="joint", training={"updates": 2}) for pair in ("de-en", "es-de"))
    source["tests"] += [{"pair": pair, **parallel("test", pair)} for pair in ("de-es", "de-pt")]
    target["tests"].append({"pair": "en-de", **parallel("test", "en-de")})
    values = {"name": "both", "parent": "joint", "additions": [source, target]}
    with Driver(home, in_process=True) as driver:
        outcomes = add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=home.path))
        registry = driver.registry
        kinds = {str(entry.pair): entry.kind for entry in registry.pairs(pivot=False)}
        own = dict.fromkeys((*OWN, "en-pt"), "original")
        zero_shot = dict.fromkeys(("de-es", "de-pt", "en-de"), "zero-shot")
        assert kinds == own | {"de-en": "supervised", "es-de": "supervised"} | zero_shot
        scored = [{(one.recipe.kind, str(one.recipe.pair)) for one in outcome.evaluations} for outcome in outcomes]
        retained = {("retention", pair) for pair in OWN}
        assert scored[0] == {("supervised", "de-en"), ("zero-shot", "de-es"), ("zero-shot", "de-pt")} | retained
        assert scored[1] == {("supervised", "es-de"), ("zero-shot", "en-de")} | retained
        (sequence,) = registry.catalog.sequences("joint")
        cells = registry.catalog.cells(sequence.digest)
        last = {(cell.view, str(cell.pair)) for cell in cells if cell.position == 2}
        assert last == {("routed", pair) for pair in {*kinds} - {"en-pt"}} | {
            ("through", pair) for pair in (*OWN, "de-en", "es-de")
        }
        # What was there before did not change by a bit.
        assert all(
            cell.carried for cell in cells if cell.position == 2 and (cell.view, cell.kind) == ("routed", "original")
        )


def test_replay_leaves_out_a_parent_of_several_pairs(
    home: Home, addition_spec: Callable[..., AdditionSpec], joint_home: tuple[Path, Outcome, list[str]]
) -> None:
    addition = addition_spec("de-en", {"training": {"updates": 1}}, parent="joint", tests=[])
    spec = SequenceSpec(name="replaying", parent="joint", mode="shared", replay=0.5, additions=(addition,))
    said: list[str] = []
    with Driver(home, in_process=True) as driver:
        driver.display.say = said.append  # type: ignore[method-assign]
        (outcome,) = add_sequence(driver, spec)
    assert "the parent joint has several pairs: only additions are replayed" in said
    assert outcome.record.lineage.replay is None
