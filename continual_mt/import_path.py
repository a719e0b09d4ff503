"""Keep the current folder out of what Python imports from, while this project imports and works.

Python searches the current folder first under ``python -c``, ``python -m``, in notebooks, and for an empty entry of
``PYTHONPATH``: a file ``torch.py`` or ``registry.py`` in it would be imported, and run. This module imports only what
Python has loaded itself, so that no such file is found before it works.
"""

from __future__ import annotations

import os
import sys

_INSIDE_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_VARIABLE = "PYTHONPATH"
_OWN_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120  # pathlib is not loaded yet
_INSTALLED = ("site-packages", "dist-packages", "lib-dynload")


class WithoutCurrentFolder:
    """A context manager: ``sys.path``, and ``PYTHONPATH`` for processes that start, are without the current folder.

    A folder that holds this project, or installed packages, stays. So does the folder that a submitted job was given
    as its working folder. At the end, what was taken out is put back.
    """

    def __enter__(self) -> WithoutCurrentFolder:
        self._removed: list[tuple[int, str]] = []
        self._variable = os.environ.get(_VARIABLE)
        if '"working_dir"' in os.environ.get(_INSIDE_JOB_VARIABLE, ""):
            return self
        self._removed = [(place, entry) for place, entry in enumerate(sys.path) if _is_current(entry)]
        for _, entry in self._removed:
            sys.path.remove(entry)
        if self._variable is not None:
            kept = [entry for entry in self._variable.split(os.pathsep) if not _is_current(entry)]
            os.environ[_VARIABLE] = os.pathsep.join(kept)
        return self

    def __exit__(self, *_: object) -> None:
        for place, entry in self._removed:
            sys.path.insert(place, entry)
        if self._variable is not None:
            os.environ[_VARIABLE] = self._variable


def leave_current_folder_out() -> None:
    """Do what `WithoutCurrentFolder` does until the process ends."""
    WithoutCurrentFolder().__enter__()


def safe_options() -> list[str]:
    """Options for a Python that is started with ``-m``: without the current folder, unless this project is there."""
    return [] if _current() == _OWN_ROOT else ["-P"]


def needed_by_workers() -> list[str]:
    """The folder of this project, if it is found only because it is the current folder or that of the script."""
    current, name = _current(), sys.argv[0] if sys.argv else ""
    is_found = bool(name) and (current is not None or os.path.isabs(name))  # noqa: PTH117
    script = os.path.dirname(os.path.realpath(name)) if is_found else ""  # noqa: PTH120
    return [_OWN_ROOT] if _OWN_ROOT in (current, script) else []


def current_folder_exists() -> bool:
    """Whether the current folder was not deleted meanwhile."""
    return _current() is not None


def _current() -> str | None:
    """The current folder; None if it was deleted."""
    try:
        return os.path.realpath(os.getcwd())  # noqa: PTH109
    except OSError:
        return None


def _is_current(entry: str) -> bool:
    current = _current()
    if current is None:  # deleted: nothing is found there, and looking for it is an error
        return entry in ("", os.curdir)
    if os.path.realpath(entry or os.curdir) != current or os.path.basename(current) in _INSTALLED:  # noqa: PTH119
        return False
    return current not in (_OWN_ROOT, os.path.dirname(os.path.realpath(os.__file__)))  # noqa: PTH120
