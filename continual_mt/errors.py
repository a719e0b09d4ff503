"""All errors that the project raises deliberately.

::

    ContinualMTError
    ├── MisuseError                the request is invalid; exit code 2
    │   ├── SpecError              an invalid spec, option or environment variable; contains every problem found
    │   ├── CorpusError            a corpus is missing, misaligned or not UTF-8; contains file and line
    │   ├── LanguageError          an invalid language tag or pair
    │   ├── UnknownNameError       an unknown parent, module, pair, recipe, job or registry
    │   ├── IncompatibleError      parts that do not fit together, such as a module and another parent
    │   ├── InputError             an invalid argument or text
    │   └── MissingExtraError      an optional package is not installed; contains the extra that installs it
    └── FailureError               a valid request failed; exit code 1
        ├── StorageError           disk full, no permission, unwritable folder, or unreachable store
        ├── CorruptionError        content that does not match its digest or format
        ├── DownloadError          a download from a package index failed
        ├── RegistryError          the registry's database cannot be used
        ├── JobHeldError           another driver holds the lease of the job
        ├── AddressError           the dashboard cannot be served at a host and port
        ├── ClusterError           Ray cannot start, or lacks the resources
        ├── TrainingError          training cannot continue: the loss is not finite, or a worker keeps failing
        ├── ProcessError           a worker process did not start, or exited before its work was done
        ├── AdditionsError         some additions of a sequence failed; contains the problem of each
        └── StoppedError           interrupted by a signal, after a checkpoint was written

Messages have the form ``subject: problem; expected X. Fix: Y``. Misuse is detected before work starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ContinualMTError(Exception):
    """The base class; ``exit_code`` is the exit code of the command line."""

    exit_code = 1


class MisuseError(ContinualMTError):
    exit_code = 2


class SpecError(MisuseError):
    """An invalid spec; ``problems`` lists everything that is wrong with it, and ``origin`` is its file or option."""

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        count = "one problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{origin}: {count}:\n{_listed(problems)}")

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, tuple[str, ...]]]:
        return SpecError, (self.origin, self.problems)


class CorpusError(MisuseError):
    """An invalid corpus; ``line`` is the number of the line at fault, from 1, or None for the whole file."""

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
    """Some additions of a sequence failed; ``problems`` has one line for each."""

    def __init__(self, sequence: str, problems: Sequence[str]) -> None:
        self.sequence = sequence
        self.problems = tuple(problems)
        count = "one addition" if len(self.problems) == 1 else f"{len(self.problems)} additions"
        super().__init__(
            f"sequence {sequence}: {count} failed:\n{_listed(problems)}\n"
            "Fix: start the same sequence again; finished additions are not repeated"
        )

    def __reduce__(self) -> tuple[type[AdditionsError], tuple[str, tuple[str, ...]]]:
        return AdditionsError, (self.sequence, self.problems)


class StoppedError(FailureError):
    pass


def _listed(problems: Sequence[str]) -> str:
    return "\n".join(f"  - {problem}" for problem in problems)
