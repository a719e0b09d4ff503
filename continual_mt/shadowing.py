"""Find a user's own module that hides one of this project's packages, before an import of it fails somewhere else.

``registry`` and ``dashboards`` are common names. In the current folder they hide nothing (see `import_path`); in
another folder of PYTHONPATH, or in the working folder of a submitted job, they do.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from continual_mt.errors import MisuseError
from continual_mt.import_path import leave_current_folder_out

# Each package, and a file in it whose name no other project is likely to use. Comparing the packages' folders would be
# wrong: on a Ray cluster each has a separate one.
_OWN_FILES = {
    "registry": "carried_scores.py",
    "ray_jobs": "planning/job_from_record.py",
    "dashboards": "report/mlflow_artifacts.py",
}


def check_packages() -> None:
    """Raise MisuseError, which names the file, if ``import registry`` or the like would find another module."""
    for package, file in _OWN_FILES.items():
        spec = find_spec(package)
        folders = list((spec and spec.submodule_search_locations) or ())
        if spec and not any(Path(folder, file).is_file() for folder in folders):
            raise MisuseError(
                f"{package}: {spec.origin or folders[0]} hides the package {package!r} of continual-mt, which has the "
                "same name. Fix: rename that file, or leave its folder out of PYTHONPATH"
            )


def exit_if_hidden() -> None:
    """As `check_packages`; prints the error and exits with 2, for the programs ``python -m ray_jobs.…``.

    From the start of it, nothing is imported from the current folder.
    """
    leave_current_folder_out()
    try:
        check_packages()
    except MisuseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
