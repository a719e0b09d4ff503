from __future__ import annotations

from dataclasses import replace

from dashboards.report.mlflow_artifacts import sequence_artifacts
from registry import Registry
from tests.dashboards.conftest import SEPARATE, SHARED

NAMES = [f"{view}-{metric}" for metric in ("bleu", "chrf") for view in ("routed", "through", "curves", "zero-shot")]


def test_a_file_a_view_metric_and_format(filled: Registry) -> None:
    files = sequence_artifacts(filled, SEPARATE)
    assert sorted(files) == sorted(f"{name}.{form}" for name in [*NAMES, "storage"] for form in ("html", "png"))
    for name, content in files.items():
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG")
        else:
            assert content.startswith(b"<!doctype html>")
            assert b"default-src 'none'" in content


def test_what_was_not_scored_has_no_file(filled: Registry) -> None:
    assert sorted(sequence_artifacts(filled, SHARED)) == sorted(
        f"{name}.{form}" for name in ("shared-bleu", "curves-bleu", "storage") for form in ("html", "png")
    )
    begun = filled.register_sequence(replace(SHARED, digest="c" * 64))
    assert sorted(sequence_artifacts(filled, begun)) == ["storage.html", "storage.png"]
