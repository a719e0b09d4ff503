"""Find a user's own module that hides one of this project's packages, before an import of it fails somewhere else.

``registry`` and ``dashboards`` are common names, and ``python -m`` searches the working folder first.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from continual_mt.errors import MisuseError

# Each package, and one of the folders in it: the packages need not lie beside each other, as on a Ray cluster.
_KNOWN_FOLDERS = {"registry": "records", "ray_jobs": "planning", "dashboards": "views"}


def check_packages() -> None:
    """Raise MisuseError, which names the file, if ``import registry`` or the like would find another module."""
    for package, folder in _KNOWN_FOLDERS.items():
        spec = find_spec(package)
        if spec and not any(Path(place, folder).is_dir() for place in spec.submodule_search_locations or ()):
            raise MisuseError(
                f"{package}: {spec.origin} hides the package {package!r} of continual-mt, which has the same name. "
                "Fix: rename that file, or leave its folder out of PYTHONPATH and run with PYTHONSAFEPATH=1"
            )


def exit_if_hidden() -> None:
    """As `check_packages`; prints the error and exits with 2, for the programs ``python -m ray_jobs.…``."""
    try:
        check_packages()
    except MisuseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
