"""What a sequence records: every pair by its own recipe, through the newest module, and through a shared one.

All of it trains in the process; what concerns the cluster trains, or is refused, on Ray.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.errors import AdditionsError, ClusterError, CorpusError, IncompatibleError, JobHeldError, SpecError
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.home import Home
from continual_mt.languages import Pair
from ray_jobs import Driver, Outcome, add_sequence
from ray_jobs.console import Display
from ray_jobs.planning.resolve import resolve, sequence_digest
from registry import CellRecord, CorpusRecord, Lineage, Registry
from tests.ray_jobs.conftest import TrainedSequence
from tests.ray_jobs.programs import Values

pytestmark = pytest.mark.slow


def table(cells: list[CellRecord], view: str) -> dict[str, list[tuple[int, str]]]:
    """Of each pair, the positions at which it was scored, and the recipe."""
    found: dict[str, list[tuple[int, str]]] = {}
    for cell in cells:
        if (cell.view, cell.metric) == (view, "bleu"):
            found.setdefault(str(cell.pair), []).append((cell.position, cell.kind))
    return found


@pytest.fixture(scope="module")
def home(
    trained_sequence: TrainedSequence,
    sequence_spec: Callable[..., SequenceSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Beside the sequence ``both``, whose mode is separate, a shared one of the same additions, and one with replay."""
    home = Path(shutil.copytree(trained_sequence.home, tmp_path_factory.mktemp("sequences") / "home"))
    with Driver(Home(home), in_process=True) as driver:
        add_sequence(driver, sequence_spec("shared", mode="shared"))
        add_sequence(driver, sequence_spec("replayed", mode="shared", replay=0.5))
    return home


def test_routed_and_through(home: Path) -> None:
    with Registry.open(home) as registry:
        separate = registry.catalog.sequences()[0]
        cells = registry.catalog.cells(separate.digest)
    assert (separate.name, separate.mode, separate.additions) == (
        "both",
        "separate",
        (Pair("pt", "en"), Pair("es", "de")),
    )
    assert table(cells, "routed") == {
        "es-en": [(0, "original"), (1, "original"), (2, "original")],
        "pt-en": [(1, "supervised"), (2, "supervised")],
        "es-de": [(2, "supervised")],
        "pt-de": [(2, "zero-shot")],
    }
    assert table(cells, "through") == {
        "es-en": [(0, "original"), (1, "retention"), (2, "retention")],
        "pt-en": [(1, "supervised"), (2, "retention")],
        "es-de": [(2, "supervised")],
    }
    assert table(cells, "shared") == {}
    assert {cell.module for cell in cells if cell.position == 2} == {"es-en/es-de:1"}


def test_routed_nothing_is_forgotten(home: Path) -> None:
    with Registry.open(home) as registry:
        cells = registry.catalog.cells(registry.catalog.sequences()[0].digest)
    for pair in ("es-en", "pt-en"):
        values = {(c.metric, c.value) for c in cells if c.view == "routed" and str(c.pair) == pair}
        assert len(values) == len(METRICS), "one value of each metric, at every position"


def test_a_shared_cross_attention_is_trained_on(home: Path) -> None:
    with Registry.open(home) as registry:
        shared = registry.catalog.sequences()[1]
        cells = registry.catalog.cells(shared.digest)
        assert table(cells, "shared") == {
            "es-en": [(0, "original"), (1, "retention"), (2, "retention")],
            "pt-en": [(1, "supervised"), (2, "retention")],
            "es-de": [(2, "supervised")],
            "pt-de": [(2, "zero-shot")],
        }
        # The first addition is the same work in both modes, and is not done twice.
        named = {
            cell.module
            for sequence in registry.catalog.sequences()[:2]
            for cell in registry.catalog.cells(sequence.digest)
        }
        assert named == {None, "es-en/pt-en:1", "es-en/es-de:1", "es-en/es-de:2"}
        second = registry.module("es-de:2")
        assert [one.module for one in second.lineage.named("start")] == ["es-en/pt-en:1"]
        first, own = registry.load_module("pt-en:1"), registry.load_module("es-de:1")
        trained = registry.load_module("es-de:2")
        name = "cross_attention.0.query.weight"
        distances = [(trained.tensors[name] - other.tensors[name]).norm() for other in (first, own)]
        assert distances[0] < distances[1]
        # What forgets is never taken unless it is named.
        assert registry.module("es-de").full_name == "es-en/es-de:1"
        taken = registry.recipe_catalog.recipe("es", "de").target
        assert taken is not None
        assert taken.name == "es-en/es-de:1"


def test_earlier_pairs_are_replayed(home: Path) -> None:
    with Registry.open(home) as registry:
        shared, replayed = registry.catalog.sequences()[1:]
        assert replayed.digest != shared.digest
        cells = registry.catalog.cells(replayed.digest)
        assert table(cells, "shared") == table(registry.catalog.cells(shared.digest), "shared")
        assert {cell.module for cell in cells} == {None, "es-en/pt-en:2", "es-en/es-de:3"}
        parent, first, second = registry.parent("es-en"), registry.module("pt-en:2"), registry.module("es-de:3")
        texts = [
            [corpus.digest for role, corpus in record.lineage.corpora if role == "train"]
            for record in (parent, first, second)
        ]
        assert [len(digests) for digests in texts] == [1, 2, 3]
        assert texts[1][1:] == texts[0]
        assert texts[2][1:] == [texts[0][0], texts[1][0]], "the original pair stands first"
        assert [one.module for one in first.lineage.named("replayed")] == ["es-en"]
        assert [one.module for one in second.lineage.named("replayed")] == ["es-en", "es-en/pt-en:2"]
        assert ([one.module for one in second.lineage.named("start")], second.lineage.replay) == (
            ["es-en/pt-en:2"],
            0.5,
        )
        # It begins with the same noise as without replay, and ends elsewhere.
        without, with_replay = (registry.load_module(name).tensors for name in ("pt-en:1", "pt-en:2"))
        assert not torch.equal(without["cross_attention.0.query.weight"], with_replay["cross_attention.0.query.weight"])
        assert registry.module("pt-en").full_name == "es-en/pt-en:1", "it is only taken where it is named"


def replaying(addition_values: Callable[..., Values], home: Path) -> SequenceSpec:
    values = {"name": "x", "parent": "es-en", "mode": "shared", "replay": 0.5, "additions": [addition_values("pt-en")]}
    return validate(SequenceSpec, values, origin="the test", base=home)


def test_a_parents_text_that_is_gone_is_missed_before_anything_is_written(
    registry: Registry, addition_values: Callable[..., Values], parent_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    spec, gone = parent_spec(), str(tmp_path / "gone.es")
    text = CorpusRecord("0" * 64, Pair("es", "en"), "gone.es + gone.en", 10, 0, "CC0")
    values = spec.model_dump(mode="json")
    values["train"] |= {"source": gone}
    lineage = Lineage(corpora=(("train", text),), spec=values, code_version="0.1.0")
    with Registry.open(tmp_path / "other", create=True) as other:
        other.register_parent("es-en", registry.load_parent(), lineage=lineage)
    with Driver(Home(tmp_path / "other"), in_process=True) as driver:
        message = r"gone.es \+ gone.en: the parent es-en .* cannot be read .*put it back .* leave out replay$"
        with pytest.raises(CorpusError, match=message):
            add_sequence(driver, replaying(addition_values, tmp_path))
        assert (driver.registry.catalog.sequences(), driver.registry.modules()) == ([], [])


def test_of_an_imported_parent_only_additions_are_replayed(
    registry: Registry, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    """This is printed before the job, which another driver holds here, begins."""
    spec, parent = replaying(addition_values, tmp_path), registry.parent("es-en")
    digest = sequence_digest(spec, [resolve(spec.additions[0], parent, tmp_path)])
    registry.jobs.hold(digest, "sequence", "elsewhere:1:x", 60)
    messages = io.StringIO()
    with (
        Driver(Home(tmp_path / "home"), in_process=True, display=Display(Console(file=messages))) as driver,
        pytest.raises(JobHeldError, match="elsewhere:1:x"),
    ):
        add_sequence(driver, spec)
    assert messages.getvalue() == "no text of the parent es-en is on record: only additions are replayed\n"


def test_hypotheses_and_test_sets_are_kept(home: Path) -> None:
    with Registry.open(home) as registry:
        corpora = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
        scores = registry.scores()
        assert scores
        for score in scores:
            corpus = corpora[score.test_digest]
            assert score.hypotheses is not None
            assert corpus.sources is not None
            assert corpus.references is not None
            lines = {len(registry.texts.read(blob)) for blob in (score.hypotheses, corpus.sources, corpus.references)}
            assert lines == {score.sentences}


def test_a_finished_sequence_is_not_measured_again(
    trained_sequence: TrainedSequence, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry.open(trained_sequence.home) as registry:
        (sequence,) = registry.catalog.sequences()
        before = registry.catalog.cells(sequence.digest)
    with Driver(Home(trained_sequence.home), in_process=True) as driver:
        outcomes = add_sequence(driver, trained_sequence.spec)
    assert not any(outcome.trained_now for outcome in outcomes)
    assert " on test: " not in capsys.readouterr().err
    with Registry.open(trained_sequence.home) as registry:
        assert registry.catalog.cells(sequence.digest) == before


@pytest.mark.usefixtures("ray_cluster")
def test_what_trained_together_on_ray_is_what_one_after_the_other_in_the_process_gives(
    trained_sequence: TrainedSequence, trained_home: tuple[Path, Outcome], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(trained_home[0], tmp_path / "home"))
    with Driver(Home(home)) as driver:
        assert all(outcome.trained_now for outcome in add_sequence(driver, trained_sequence.spec))
    with Registry.open(home) as one, Registry.open(trained_sequence.home) as other:
        for name in ("pt-en:1", "es-de:1"):
            on_ray, in_process = one.module(name), other.module(name)
            assert on_ray.digest == in_process.digest
            assert on_ray.lineage.job == in_process.lineage.job
            assert on_ray.lineage.environment == in_process.lineage.environment
        (sequence,) = one.catalog.sequences()
        assert one.catalog.cells(sequence.digest) == other.catalog.cells(sequence.digest) != []


@pytest.mark.parametrize("mode", ["separate", "shared"])
def test_an_addition_that_another_driver_holds_fails_alone(
    home: Path, addition_spec: Callable[..., AdditionSpec], mode: str, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(home, tmp_path / "home"))
    done, held = addition_spec("pt-en"), addition_spec("es-pt")
    spec = SequenceSpec.model_validate({"name": "x", "parent": "es-en", "mode": mode, "additions": (done, held)})
    with Driver(Home(home), in_process=True) as driver:
        job = resolve(held, driver.registry.parent(), driver.home.cache)
        if mode == "shared":
            job = replace(job, start=driver.registry.module("pt-en"))
        driver.registry.jobs.hold(job.digest, "addition", "elsewhere:1:abcdefgh", 600)
        messages = r"job \w+ \(addition\) is held by elsewhere:1:abcdefgh"
        expected: tuple[type[Exception], str] = {
            "separate": (AdditionsError, rf"sequence x: one addition failed:\n  - es-pt xattn: {messages}"),
            "shared": (JobHeldError, rf"^{messages}"),
        }[mode]
        with pytest.raises(expected[0], match=expected[1]):
            add_sequence(driver, spec)
        *_, sequence = driver.registry.catalog.sequences()
        assert {cell.position for cell in driver.registry.catalog.cells(sequence.digest)} == {0, 1}
        held_sequence = driver.registry.jobs.get(sequence.digest)
    assert held_sequence is not None
    assert held_sequence.state == "failed"


def test_a_sequence_that_another_driver_holds_is_named(
    home: Path, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(home, tmp_path / "home"))
    spec = SequenceSpec.model_validate({"name": "x", "parent": "es-en", "additions": (addition_spec("es-pt"),)})
    with Driver(Home(home), in_process=True) as driver:
        jobs = [resolve(addition, driver.registry.parent(), driver.home.cache) for addition in spec.additions]
        driver.registry.jobs.hold(sequence_digest(spec, jobs, None), "sequence", "elsewhere:1:abcdefgh", 600)
        with pytest.raises(
            JobHeldError, match=r"^the sequence x: job \w+ \(sequence\) is held by elsewhere:1:abcdefgh"
        ):
            add_sequence(driver, spec)


@pytest.mark.usefixtures("ray_cluster")
def test_what_the_cluster_is_too_small_for_is_told_of_before_anything_is_scored(
    home: Path, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(home, tmp_path / "home"))
    additions = addition_spec("pt-en"), addition_spec("es-pt", {"resources": {"cpus": 64}})
    spec = SequenceSpec.model_validate({"name": "x", "parent": "es-en", "additions": additions})
    with Driver(Home(home)) as driver:
        before = driver.registry.scores()
        with pytest.raises(
            ClusterError, match=r"^es-pt xattn needs .*64 CPUs.*, but the cluster has .*; lower resources"
        ):
            add_sequence(driver, spec)
        assert driver.registry.scores() == before
        assert "x" not in {sequence.name for sequence in driver.registry.catalog.sequences()}


@pytest.mark.parametrize(("scopes", "named"), [(["scratch"], "scratch"), (["body", "xattn"], "body, xattn")])
def test_only_a_cross_attention_can_be_shared(
    addition_values: Callable[..., Values], scopes: list[str], named: str, tmp_path: Path
) -> None:
    """An addition that continues from another one's body has to train the body, too."""
    additions = [addition_values(pair, scope=scope) for pair, scope in zip(["pt-en", "es-de"], scopes, strict=False)]
    values = {"name": "x", "parent": "es-en", "mode": "shared", "additions": additions}
    with pytest.raises(SpecError, match=f"scope {named}: the mode shared trains one cross-attention for all languages"):
        validate(SequenceSpec, values, origin="the test", base=tmp_path)


def test_a_scope_that_names_all_layers_is_shared_too(
    home: Path, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    """Which layers are all is known with the parent: it has one."""
    home = Path(shutil.copytree(home, tmp_path / "home"))

    def sequence(*scopes: str, parent: str = "es-en") -> SequenceSpec:
        chosen = zip(["pt-en", "es-pt"], scopes, strict=True)
        additions = [addition_values(pair, scope=scope, parent=parent) for pair, scope in chosen]
        values = {"name": "x", "parent": parent, "mode": "shared", "additions": additions}
        return validate(SequenceSpec, values, origin="the test", base=tmp_path)

    with Driver(Home(home), in_process=True) as driver:
        digests = []
        for spec in (sequence("xattn", "xattn"), sequence("xattn:layers=1", "xattn")):
            jobs = [driver.resolve(addition) for addition in spec.additions]
            digests.append(sequence_digest(spec, jobs))
        assert digests[0] == digests[1]
        with pytest.raises(
            IncompatibleError, match="scope: xattn:layers=2: the parent has no decoder layer 2; expected layers"
        ):
            add_sequence(driver, sequence("xattn:layers=2", "xattn"))
        one = driver.registry.load_parent("es-en")
        layers = {
            name: value for name, value in one.tensors.items() if name.startswith(("decoder.", "cross_attention."))
        }
        tensors = {**one.tensors, **{name.replace(".0.", ".1.", 1): value for name, value in layers.items()}}
        deep = replace(one, architecture=replace(one.architecture, decoder_layers=2), tensors=tensors)
        driver.registry.register_parent("deep", deep, lineage=Lineage((), {"seed": 1}, "0.1.0"))
        with pytest.raises(SpecError, match="scope xattn, xattn:layers=1: the mode shared trains one cross-attention"):
            add_sequence(driver, sequence("xattn:layers=1", "xattn", parent="deep"))
