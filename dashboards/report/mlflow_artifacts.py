"""The files that a sequence leaves in MLflow: each view as one self-contained HTML file and as a PNG picture."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go

from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.charts import figures, pictures
from dashboards.report.document import figure_document
from dashboards.views.views import Storage, sequence_sheets, storage, zero_shot_matrix
from registry import CellRecord, Registry, SequenceRecord


def sequence_artifacts(registry: Registry, sequence: SequenceRecord) -> dict[str, bytes]:
    """File name → content. What was not scored has no file.

    For each metric that was computed, such as ``bleu``: ``routed-bleu`` and so on for each view, ``curves-bleu``,
    ``zero-shot-bleu``; and ``storage``; each as ``.html`` and ``.png``.
    """
    cells = registry.catalog.cells(sequence.digest)
    found: dict[str, bytes] = {}
    for metric in METRIC_LABELS:
        for name, figure, picture in _drawn(sequence, cells, metric):
            found |= {f"{name}-{metric}.html": _html(sequence, figure), f"{name}-{metric}.png": picture}
    stored = _storage(registry, sequence, cells)
    return found | {
        "storage.html": _html(sequence, figures.storage_figure(stored)),
        "storage.png": pictures.storage_picture(stored),
    }


def _drawn(sequence: SequenceRecord, cells: list[CellRecord], metric: str) -> Iterator[tuple[str, go.Figure, bytes]]:
    sheets = sequence_sheets(sequence, cells, metric)
    for sheet in sheets:
        yield sheet.view, figures.sheet_figure(sheet), pictures.sheet_picture(sheet)
    if sheets:
        yield "curves", figures.curves_figure(sheets), pictures.curves_picture(sheets)
    matrix = zero_shot_matrix(cells, metric)
    if matrix is not None:
        title = f"{METRIC_LABELS[metric]} of zero-shot pairs after the last addition of {sequence.name}"
        yield "zero-shot", figures.matrix_figure(matrix, title), pictures.matrix_picture(matrix, title)


def _storage(registry: Registry, sequence: SequenceRecord, cells: list[CellRecord]) -> Storage:
    """Of the modules that the sequence added, which its cells name."""
    added = {cell.module for cell in cells if cell.module is not None}
    modules = [module for module in registry.modules(sequence.parent) if module.full_name in added]
    return storage(registry.parent(sequence.parent), modules)


def _html(sequence: SequenceRecord, figure: go.Figure) -> bytes:
    return figure_document(f"{sequence.name} on {sequence.parent}", figure).encode()
