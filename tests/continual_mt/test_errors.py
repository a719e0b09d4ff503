from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from continual_mt import errors
from continual_mt.errors import (
    AdditionsError,
    ContinualMTError,
    CorpusError,
    FailureError,
    MisuseError,
    SpecError,
)

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, ContinualMTError) and member.__module__ == errors.__name__
]


def make(kind: type[ContinualMTError]) -> ContinualMTError:
    if issubclass(kind, SpecError):
        return kind("spec.yaml", ["pair: missing", "seed: too large"])
    if issubclass(kind, AdditionsError):
        return kind("latin", ["pt-en xattn: the disk is full"])
    if issubclass(kind, CorpusError):
        return kind(Path("text.de"), "not UTF-8", 7)
    return kind("subject: problem; expected X. Fix: Y")


@pytest.mark.parametrize("kind", CLASSES)
def test_pickling_keeps_everything(kind: type[ContinualMTError]) -> None:
    """Ray sends errors from process to process by pickling."""
    error = make(kind)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.exit_code == error.exit_code


def test_exit_codes() -> None:
    codes = {kind.__name__: kind.exit_code for kind in CLASSES}
    assert codes == {
        "ContinualMTError": 1,
        "MisuseError": 2,
        "SpecError": 2,
        "CorpusError": 2,
        "LanguageError": 2,
        "UnknownNameError": 2,
        "IncompatibleError": 2,
        "InputError": 2,
        "MissingExtraError": 2,
        "FailureError": 1,
        "StorageError": 1,
        "CorruptionError": 1,
        "DownloadError": 1,
        "RegistryError": 1,
        "JobHeldError": 1,
        "AddressError": 1,
        "ClusterError": 1,
        "TrainingError": 1,
        "ProcessError": 1,
        "AdditionsError": 1,
        "StoppedError": 1,
    }
    for kind in CLASSES:
        assert kind is ContinualMTError or issubclass(kind, MisuseError) != issubclass(kind, FailureError)


def test_the_tree_in_the_docstring_contains_every_error() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in errors.__doc__] == []


def test_a_spec_error_lists_every_problem() -> None:
    error = SpecError("spec.yaml", ["pair: missing", "seed: too large"])
    assert str(error) == "spec.yaml: 2 problems:\n  - pair: missing\n  - seed: too large"
    assert error.problems == ("pair: missing", "seed: too large")
    assert str(SpecError("--set", ["x"])) == "--set: one problem:\n  - x"


def test_an_additions_error_lists_every_failure() -> None:
    fix = "Fix: start the same sequence again; finished additions are not repeated"
    error = AdditionsError("latin", ["pt-en xattn: the disk is full", "es-de xattn: a worker was lost"])
    assert str(error) == (
        "sequence latin: 2 additions failed:\n  - pt-en xattn: the disk is full\n"
        f"  - es-de xattn: a worker was lost\n{fix}"
    )
    assert str(AdditionsError("latin", ["x"])) == f"sequence latin: one addition failed:\n  - x\n{fix}"


def test_a_corpus_error_names_file_and_line() -> None:
    assert str(CorpusError("text.de", "not UTF-8", 7)) == "text.de, line 7: not UTF-8"
    assert str(CorpusError(Path("text.de"), "missing")) == "text.de: missing"
