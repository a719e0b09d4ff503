"""Every error that the project raises on purpose.

::

    ContinualMTError
    ├── MisuseError                what was asked cannot be done; exit code 2
    │   ├── SpecError              a spec, option or environment variable is wrong; carries every problem found
    │   ├── CorpusError            a corpus is missing, misaligned or not UTF-8; carries file and line
    │   ├── LanguageError          not a language tag, or not a pair
    │   ├── UnknownNameError       no such parent, module, pair, recipe or registry
    │   ├── IncompatibleError      the parts do not belong together (a module and another parent)
    │   ├── InputError             text that cannot be translated as asked
    │   └── MissingExtraError      an optional package is not installed; names the extra that installs it
    └── FailureError               what was asked should have worked; exit code 1
        ├── StorageError           disk full, no permission, unwritable folder, a store that cannot be reached
        ├── CorruptionError        bytes that are not what their digest or format says
        ├── DownloadError          a package index that cannot be reached or answers otherwise than expected
        ├── RegistryError          the registry's database cannot be used
        ├── JobHeldError           another driver holds the job
        ├── AddressError           the page cannot be served at a host and port
        ├── ClusterError           Ray cannot start, or has not got the resources
        ├── TrainingError          training cannot go on (the loss is not finite, a worker failed for good)
        ├── ProcessError           one of several processes that shared work did not start, or ended before its work did
        ├── AdditionsError         additions of a sequence failed, and the others went on; carries what each met
        └── StoppedError           interrupted by a signal, after a checkpoint was written

A message names the thing at fault and the way out. Misuse is found before work starts; a failure loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ContinualMTError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class MisuseError(ContinualMTError):
    exit_code = 2


class SpecError(MisuseError):
    """A spec with one or more problems, all of them listed."""

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        count = "one problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{origin}: {count}:\n{_listed(problems)}")

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, tuple[str, ...]]]:
        return SpecError, (self.origin, self.problems)


class CorpusError(MisuseError):
    """A corpus that cannot be read; ``line`` counts from 1 and is None when the file as a whole is at fault."""

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        self.path, self.problem, self.line = path, problem, line
        super().__init__(f"{path}{'' if line is None else f', line {line}'}: {problem}")

    def __reduce__(self) -> tuple[type[CorpusError], tuple[Path | str, str, int | None]]:
        return CorpusError, (self.path, self.problem, self.line)


class LanguageError(MisuseError):
    pass


class UnknownNameError(MisuseError):
    pass


class IncompatibleError(MisuseError):
    pass


class InputError(MisuseError):
    pass


class MissingExtraError(MisuseError):
    pass


class FailureError(ContinualMTError):
    exit_code = 1


class StorageError(FailureError):
    pass


class CorruptionError(FailureError):
    pass


class DownloadError(FailureError):
    pass


class RegistryError(FailureError):
    pass


class JobHeldError(FailureError):
    pass


class AddressError(FailureError):
    pass


class ClusterError(FailureError):
    pass


class TrainingError(FailureError):
    pass


class ProcessError(FailureError):
    pass


class AdditionsError(FailureError):
    """Some additions of a sequence failed; ``problems`` has a line for each."""

    def __init__(self, sequence: str, problems: Sequence[str]) -> None:
        self.sequence = sequence
        self.problems = tuple(problems)
        count = "one addition" if len(self.problems) == 1 else f"{len(self.problems)} additions"
        super().__init__(
            f"sequence {sequence}: {count} failed:\n{_listed(problems)}\n"
            "start the same sequence again: it goes on with these and repeats no other"
        )

    def __reduce__(self) -> tuple[type[AdditionsError], tuple[str, tuple[str, ...]]]:
        return AdditionsError, (self.sequence, self.problems)


class StoppedError(FailureError):
    pass


def _listed(problems: Sequence[str]) -> str:
    return "\n".join(f"  - {problem}" for problem in problems)
