"""Running a job from the command line: in this process, on a cluster driven from here, or submitted to one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.cli.support.spec_options import ORIGIN
from continual_mt.errors import SpecError, StoppedError
from continual_mt.home import HOME_VARIABLE, Home, expanded

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ray_jobs.driver import Driver
    from ray_jobs.execution.job import Outcome

ADDRESS_VARIABLE = "RAY_ADDRESS"


@dataclass(frozen=True)
class JobCommand:
    """Where and how to run a spec. ``program`` is the module of ``ray_jobs`` that runs it as a submitted job."""

    program: str
    home: Path | None
    address: str | None
    in_process: bool
    again: bool
    as_json: bool
    rescore: bool = False

    def run(self, spec: BaseModel, work: Callable[[Driver], Sequence[Outcome]]) -> None:
        """Do the work and print its results. An argument beats the variable. Raises SpecError for options at odds."""
        check_options(self.in_process, self.address)
        address = None if self.in_process else self.address or os.environ.get(ADDRESS_VARIABLE)
        if address and address.startswith(("http://", "https://")):
            self._submit(spec, address)
            return
        from ray_jobs.driver import Driver
        from ray_jobs.entrypoint import require_absolute_home

        home = require_absolute_home(str(self.home) if self.home else None)
        driver = Driver(home, address=address, again=self.again, rescore=self.rescore, in_process=self.in_process)
        with driver:
            outcomes = work(driver)
        if self.as_json:
            print_json([outcome.to_json() for outcome in outcomes])
        else:
            _print(outcomes)

    def _submit(self, spec: BaseModel, address: str) -> None:
        from ray_jobs.planning.piped_text import piped_texts

        home = self.home or os.environ.get(HOME_VARIABLE)
        problems = []
        if home is None or not expanded(Path(home)).is_absolute():
            problems.append(
                f"the home is {home or 'not set'}; a submitted job runs in another folder, "
                f"so give an absolute path with --home or {HOME_VARIABLE}"
            )
        problems += [
            f"{path} can be read only once, and on this machine; a submitted job reads its texts on the cluster. "
            "Fix: write the text to a file that the cluster can read"
            for path in piped_texts(spec)
        ]
        if self.as_json:
            problems.append("--json: a submitted job prints its own log; ask 'continual-mt pairs --json' afterwards")
        if problems:
            raise SpecError(ORIGIN, problems)
        from ray_jobs.cluster.submission import submit

        try:
            flags = {"--again": self.again, "--rescore": self.rescore}
            given = [flag for flag, is_given in flags.items() if is_given]
            code = submit(self.program, spec, address=address, home=Home.resolve(home), flags=given, say=say)
        except KeyboardInterrupt as error:
            raise StoppedError(f"interrupted; the submitted job continues at {address}") from error
        if code:
            raise typer.Exit(code)


def check_options(in_process: bool, address: str | None) -> None:
    """Raise SpecError if both ``--in-process`` and ``--address`` are given."""
    if in_process and address:
        raise SpecError(
            ORIGIN,
            [f"--in-process and --address {address} exclude each other. Fix: leave one of them out"],
        )


def _print(outcomes: Sequence[Outcome]) -> None:
    from dashboards.tables.artifacts import results_table, stored_size
    from registry import ModuleRecord

    for outcome in outcomes:
        record = outcome.record
        new = "registered as it starts" if isinstance(record, ModuleRecord) and record.untrained else "trained"
        done = new if outcome.trained_now else "done before"
        print_text(f"{outcome.name}: {done}; {record.parameters:,} parameters, {stored_size(record)}\n")
    scores = [score for outcome in outcomes for evaluation in outcome.evaluations for score in evaluation.scores]
    if scores:
        print_table(results_table(scores))
    else:
        say("nothing new was scored; 'continual-mt pairs' lists the available pairs")
