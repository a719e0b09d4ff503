"""A parent, an addition and a joint model, trained by a few updates on catalogs laid out as the data is."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.low_resource import settings
from experiments.low_resource.run import Run
from experiments.low_resource.settings import HALF, JOINT, SCRATCH
from experiments.run import read_rows
from registry import ParentRecord


@pytest.fixture
def data(django_catalogs: dict[str, list[str]], tmp_path: Path) -> Path:
    """Portuguese has the place of Guarani."""
    spanish, english, guarani = (django_catalogs[tag] for tag in ("es", "en", "pt"))

    def write(name: str, lines: Sequence[str]) -> None:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))

    write("tatoeba/train.es-en.tsv.gz", [f"{es}\t{en}" for es, en in zip(spanish[20:], english[20:], strict=True)])
    for tag, lines in (("es", spanish), ("en", english)):
        write(f"tatoeba/dev.{tag}.gz", lines[:4])
        write(f"tatoeba/test.{tag}.gz", lines[4:10])
    for tag, lines in (("es", spanish), ("gn", guarani)):
        for part, chosen in (("train", lines[20:140]), ("dev", lines[:4]), ("test", lines[4:10])):
            write(f"lowresource/es-gn/{part}.{tag}.gz", chosen)
        write(f"lowresource/flores200/devtest.{tag}.gz", lines[10:15])
    return tmp_path / "data"


@pytest.mark.slow
def test_systems_of_a_pair_are_chosen_by_its_development_text_scored_on_both_tests_and_compared(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for training in (settings.PARENT_TRAINING, settings.JOINT_TRAINING, settings.ALONE_TRAINING, settings.TRAINING):
        monkeypatch.setitem(training, "updates", 2)
        monkeypatch.setitem(training, "batch_tokens", 256)
    monkeypatch.setitem(settings.CHOSEN_ON, "target", "es-gn")
    results = tmp_path / "results.jsonl"
    with (run := Run(data, tmp_path / "homes", results)).driver:
        run.pair("es-gn", [HALF, SCRATCH, JOINT])
        run.pair("es-gn", [JOINT])  # all is known
        parents = {parent.name: parent for parent in run.driver.registry.parents()}
    rows = read_rows(results)
    trained = [(row["system"], row["dropout"], row["at_limit"]) for row in rows if row["part"] == "dev"]
    assert trained == [(system, dropout, True) for system in (HALF, SCRATCH, JOINT) for dropout in (0.1, 0.3)]
    tested = [(row["system"], row["text"], row["sentences"]) for row in rows if row["part"] == "test"]
    assert tested == [(one, *test) for one in (HALF, SCRATCH, JOINT) for test in (("test", 6), ("flores", 5))]
    compared = [row for row in rows if row["part"] == "significance"]
    assert [(row["text"], row["first"], row["second"]) for row in compared] == [
        (text, other, HALF) for text in ("test", "flores") for other in (SCRATCH, JOINT)
    ]
    (of_half, of_joint) = (
        next(row for row in rows if row["part"] == "test" and row["system"] == system) for system in (HALF, JOINT)
    )
    assert compared[1]["chrf_difference"] == pytest.approx(of_half["chrf"] - of_joint["chrf"], abs=0.011)
    chosen = parents[of_joint["parent"]]
    check_joint(chosen)
    assert chosen.bytes == next(row["bytes"] for row in rows if row.get("parent") == chosen.name)


def check_joint(parent: ParentRecord) -> None:
    """Both pairs are trained on, and the checkpoint is that of the small one."""
    spec = parent.lineage.spec
    assert {str(text.pair) for role, text in parent.lineage.corpora if role == "train"} == {"es-en", "es-gn"}
    assert (spec["development_pairs"], spec["sampling_temperature"]) == (["es-gn"], 5.0)
    assert parent.vocabularies == "shared"
