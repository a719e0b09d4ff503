from __future__ import annotations

import importlib.metadata
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from continual_mt.cli import main as main_module
from continual_mt.cli.main import app, main

ROOT = Path(__file__).parents[3]
VERBS = {
    "demo",
    "parent import",
    "parent train",
    "add",
    "sequence run",
    "sequence show",
    "evaluate",
    "compare",
    "align",
    "translate",
    "export",
    "pairs",
    "jobs list",
    "jobs show",
    "registry list",
    "registry reproduce",
    "registry show",
    "registry search",
    "registry lineage",
    "registry alias",
    "registry tag",
    "registry note",
    "registry delete",
    "registry restore",
    "registry upgrade",
    "registry verify",
    "registry gc",
    "registry backup",
    "registry load-backup",
    "registry export",
    "registry import",
    "registry convert",
    "doctor",
    "dashboard",
    "report",
}
PRINT_NO_DATA = {"dashboard", "report"}


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every verb with its full name, including the verbs of groups."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from walk(below, (*path, name))
        elif not below.hidden:
            yield " ".join((*path, name)), below


COMMAND = get_command(app)
FOUND = dict(walk(COMMAND))


def examples_of(epilog: str | None) -> list[str]:
    return [line.strip() for line in (epilog or "").splitlines() if line.strip().startswith("continual-mt ")]


def test_the_verbs_are_those_that_are_documented() -> None:
    assert set(FOUND) == VERBS


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_verb_has_help_and_examples_that_parse(name: str, run: Any) -> None:
    verb = FOUND[name]
    assert verb.help
    assert all(parameter.help for parameter in verb.params if parameter.name not in ("pair", "help"))
    examples = examples_of(verb.epilog)
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" < ")[0])
        assert words[: 1 + len(name.split())] == ["continual-mt", *name.split()]
        # This parses options and arguments; it does not run the verb.
        verb.make_context(name, words[1 + len(name.split()) :])
    helped = run(*name.split(), "--help")
    assert helped.code == 0
    assert "Examples:" in helped.out


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_verb_takes_a_home_and_json_where_it_prints_data(name: str) -> None:
    options = {option for parameter in FOUND[name].params for option in parameter.opts}
    assert "--home" in options
    assert ("--json" in options) == (name not in PRINT_NO_DATA)


def test_version(run: Any) -> None:
    assert run("--version").out == f"continual-mt {importlib.metadata.version('continual-mt')}\n"


def test_without_a_verb_the_help_is_shown_as_misuse(run: Any) -> None:
    result = run()
    assert (result.code, result.out) == (2, "")
    assert "translate" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pairs", "--colour"], "error: No such option: --colour; see 'continual-mt pairs --help'\n"),
        (["trainslate"], "error: No such command 'trainslate'. Did you mean 'translate'?; see 'continual-mt --help'\n"),
        (["parent"], "error: Missing command; see 'continual-mt parent --help'\n"),
        (["translate"], "error: Missing argument 'PAIR'; see 'continual-mt translate --help'\n"),
        (["evaluate", "es-en", "--test", "a"], "see 'continual-mt evaluate --help'\n"),
        (["translate", "es-en", "--beam", "0"], "see 'continual-mt translate --help'\n"),
    ],
)
def test_misuse_of_words_exits_2_with_one_line(run: Any, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.endswith(message)
    assert result.err.count("\n") == 1


def test_interruption_exits_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(main_module, "_run", interrupted)
    result = run("pairs")
    assert (result.code, result.err) == (1, "error: interrupted; run the same command again\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_unexpected_exception_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: list[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main_module, "_run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["pairs"])


def test_starting_up_imports_nothing_heavy() -> None:
    text = (
        "import sys; from continual_mt.cli.main import main; code = main(['add', '--help']);"
        "heavy = {'torch', 'ray', 'mlflow', 'sqlalchemy', 'transformers', 'registry', 'ray_jobs'} & set(sys.modules);"
        "heavy |= {'dash', 'plotly', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "continual_mt.cli.main", *arguments]


def test_no_message_if_the_reader_of_the_output_has_ended(shared_home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = program("registry", "show", "es-en", "--home", str(shared_home))
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_error_names_standard_output_if_the_disk_is_full(shared_home: Path) -> None:
    command = program("pairs", "--home", str(shared_home))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: write failed: No space left on device\n"
