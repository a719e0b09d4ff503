"""Output of benchmarks: the machine, tables and JSON files."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from dashboards.tables.table import Column, Table, plain

LIBRARIES = ("torch", "transformers")


def machine() -> str:
    """Describe the processor and the versions of Python and libraries in one line."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{os.cpu_count()} × {model}, Python {platform.python_version()}, {libraries}"


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> None:
    """Print a table. The first ``texts`` columns are left-aligned text, the others numbers."""
    columns = [Column(title, number=i >= texts) for i, title in enumerate(titles)]
    print(plain(Table(columns, rows)))


def write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps({"machine": machine(), **values}, indent=2, ensure_ascii=False) + "\n")
