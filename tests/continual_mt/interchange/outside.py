"""Runs code in a process where none of our packages can be imported, as where an export is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_PRELUDE = """
import importlib.abc, json, sys

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("continual_mt", "registry", "ray_jobs", "dashboards"):
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, NotInstalled())
for name in ("continual_mt", "registry", "ray_jobs", "dashboards"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} can be imported")
given = json.loads(sys.stdin.read())
"""


def run_outside(code: str, given: object, folder: Path) -> Any:
    """Run ``code``, which reads ``given`` and sets ``found``, in ``folder``; return ``found``. Both are JSON."""
    script = f"{_PRELUDE}\n{code}\nsys.stdout.flush()\nprint('\\n' + json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        input=json.dumps(given),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
