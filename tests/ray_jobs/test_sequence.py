"""What a sequence records: every pair by its own recipe, through the newest module, and through a shared one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import SpecError
from continual_mt.home import Home
from continual_mt.languages import Pair
from continual_mt.spec import SequenceSpec, validate
from ray_jobs import Driver, Outcome, add_sequence
from registry import CellRecord, Registry
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
    trained_home: tuple[Path, Outcome],
    addition_values: Callable[..., Values],
    parallel: Callable[[str, str], Values],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A separate and a shared sequence of the same additions, on one parent."""
    home = Path(shutil.copytree(trained_home[0], tmp_path_factory.mktemp("sequences") / "home"))
    target = addition_values("es-de")
    target["tests"].append({"pair": "pt-de", "name": "zero", **parallel("test", "pt-de")})
    with Driver(Home(home)) as driver:
        for mode in ("separate", "shared"):
            values: dict[str, Any] = {"name": mode, "parent": "es-en", "mode": mode}
            values["additions"] = [addition_values("pt-en"), target]
            add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=home))
    return home


def test_routed_and_through(home: Path) -> None:
    with Registry.open(home) as registry:
        separate, _ = registry.sequences()
        cells = registry.cells(separate.digest)
    assert (separate.name, separate.mode, separate.additions) == (
        "separate",
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
        cells = registry.cells(registry.sequences()[0].digest)
    for pair in ("es-en", "pt-en"):
        values = {(c.metric, c.value) for c in cells if c.view == "routed" and str(c.pair) == pair}
        assert len(values) == 2, "one value of each metric, at every position"


def test_a_shared_cross_attention_is_trained_on(home: Path) -> None:
    with Registry.open(home) as registry:
        _, shared = registry.sequences()
        cells = registry.cells(shared.digest)
        assert table(cells, "shared") == {
            "es-en": [(0, "original"), (1, "retention"), (2, "retention")],
            "pt-en": [(1, "supervised"), (2, "retention")],
            "es-de": [(2, "supervised")],
            "pt-de": [(2, "zero-shot")],
        }
        # The first addition is the same work in both modes, and is not done twice.
        assert {module.full_name for module in registry.modules()} == {
            "es-en/pt-en:1",
            "es-en/es-de:1",
            "es-en/es-de:2",
        }
        second = registry.module("es-de:2")
        assert second.start == "es-en/pt-en:1"
        first, own = registry.load_module("pt-en:1"), registry.load_module("es-de:1")
        trained = registry.load_module("es-de:2")
        name = "cross_attention.0.query.weight"
        distances = [(trained.tensors[name] - other.tensors[name]).norm() for other in (first, own)]
        assert distances[0] < distances[1]
        # What forgets is never taken unless it is named.
        assert registry.module("es-de").full_name == "es-en/es-de:1"
        taken = registry.recipe("es", "de").target
        assert taken is not None
        assert taken.name == "es-en/es-de:1"


def test_hypotheses_and_test_sets_are_kept(home: Path) -> None:
    with Registry.open(home) as registry:
        corpora = {corpus.digest: corpus for corpus in registry.corpora()}
        scores = registry.scores()
        assert scores
        for score in scores:
            corpus = corpora[score.test_digest]
            assert score.hypotheses is not None
            assert corpus.sources is not None
            assert corpus.references is not None
            lines = {len(registry.lines(blob)) for blob in (score.hypotheses, corpus.sources, corpus.references)}
            assert lines == {score.sentences}


def test_a_finished_sequence_is_not_measured_again(home: Path, addition_values: Callable[..., Values]) -> None:
    with Registry.open(home) as registry:
        separate = registry.sequences()[0]
        before = registry.cells(separate.digest)
    values = {"name": "separate", "parent": "es-en", "additions": [addition_values("pt-en"), addition_values("es-de")]}
    with Driver(Home(home)) as driver:
        outcomes = add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=home))
    assert not any(outcome.trained_now for outcome in outcomes)
    with Registry.open(home) as registry:
        assert registry.cells(separate.digest) == before


def test_only_a_cross_attention_can_be_shared(addition_values: Callable[..., Values], tmp_path: Path) -> None:
    values = {
        "name": "x",
        "parent": "es-en",
        "mode": "shared",
        "additions": [addition_values("pt-en", scope="scratch")],
    }
    with pytest.raises(SpecError, match="scope scratch: in the mode shared one cross-attention is trained through all"):
        validate(SequenceSpec, values, origin="the test", base=tmp_path)
