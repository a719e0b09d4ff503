"""Running a spec file: the command line of ``python -m ray_jobs.…``, and the same from Python."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from continual_mt.config.loading import AnySpec, read_spec, validate
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import ContinualMTError, SpecError
from continual_mt.home import DATABASE_VARIABLE, HOME_VARIABLE, Home, expanded
from continual_mt.import_path import WithoutCurrentFolder
from continual_mt.shadowing import check_packages

if TYPE_CHECKING:  # PyTorch takes seconds to import; help and misuse are reported at once
    from ray_jobs.driver import Driver
    from ray_jobs.execution.job import Outcome

INSIDE_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the environment of a submitted job's driver."""


def add(
    spec: AdditionSpec | Mapping[str, object] | Path,
    *,
    home: str | Path | None = None,
    address: str | None = None,
    again: bool = False,
    rescore: bool = False,
    in_process: bool = False,
) -> Outcome:
    """Add a language. The spec is a file, a mapping of its keys, or an AdditionSpec.

    Nothing is imported from the current folder meanwhile, here or in workers. Trains on Ray (see `Driver`), or with
    ``in_process`` in this process, without Ray. Raises MisuseError before anything is trained or written, FailureError
    if the work could not be finished; called again with the same spec it continues from its last checkpoint.
    """
    with WithoutCurrentFolder():
        check_packages()
        from ray_jobs.driver import Driver

        if isinstance(spec, Path):
            spec = read_spec(AdditionSpec, spec)
        elif not isinstance(spec, AdditionSpec):
            spec = validate(AdditionSpec, dict(spec), origin="the spec", base=Path.cwd())
        with Driver(Home.resolve(home), address=address, again=again, rescore=rescore, in_process=in_process) as driver:
            return driver.add_language(spec)


def require_absolute_home(home: str | None) -> Home:
    """The home; inside a submitted job it must be absolute, since the working folder is a temporary copy.

    Raises SpecError otherwise.
    """
    given = home or os.environ.get(HOME_VARIABLE)
    inside = INSIDE_JOB_VARIABLE in os.environ
    if inside and not os.environ.get(DATABASE_VARIABLE) and not (given and expanded(Path(given)).is_absolute()):
        raise SpecError(
            "ray job",
            [
                f"the home is {given or 'not set'}; a submitted job runs in a temporary copy of the working folder, "
                f"so give an absolute path with --home or {HOME_VARIABLE}"
            ],
        )
    return Home.resolve(home)


def command(
    program: str, description: str, kind: type[AnySpec], run: Callable[[Driver, AnySpec], Sequence[Outcome]]
) -> None:
    """The command line that the three jobs share. Exits 0, 1 for a failure and 2 for misuse.

    ``kind`` is the model of the spec file, which is read before anything slow is imported.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m ray_jobs.{program}",
        description=description,
        epilog=f"example: ray job submit --working-dir . -- python -m ray_jobs.{program} /data/spec.yaml --home /data",
    )
    parser.add_argument("spec", type=Path, help="a YAML file")
    parser.add_argument("--home", help=f"folder that holds everything (default: {HOME_VARIABLE}, ./continual-mt-home)")
    parser.add_argument("--address", help="a Ray cluster (default: RAY_ADDRESS, else Ray is started here)")
    parser.add_argument(
        "--in-process", action="store_true", help="train in this process, without Ray; RAY_ADDRESS is then ignored"
    )
    parser.add_argument("--again", action="store_true", help="train finished work a second time")
    parser.add_argument(
        "--rescore", action="store_true", help="translate every pair again, also those without a change"
    )
    arguments = parser.parse_args()
    terminate_like_interrupt()
    try:
        home, spec = require_absolute_home(arguments.home), read_spec(kind, arguments.spec)
        from ray_jobs.driver import Driver

        options = {"again": arguments.again, "rescore": arguments.rescore, "in_process": arguments.in_process}
        with Driver(home, address=arguments.address, **options) as driver:
            outcomes = run(driver, spec)
    except ContinualMTError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit):  # Ray, once started, turns SIGTERM into SystemExit
        print("error: interrupted; start the same job again and it continues where it stopped", file=sys.stderr)
        sys.exit(1)
    for outcome in outcomes:
        print(json.dumps(outcome.to_json(), ensure_ascii=False))


def terminate_like_interrupt() -> None:
    """Let SIGTERM unwind the program as Ctrl-C does, so that leases are released and clusters shut down."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handle)
