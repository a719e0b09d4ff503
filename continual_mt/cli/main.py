"""``continual-mt``: the verbs, and the exit codes of their errors."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from typer.main import get_command

from continual_mt.cli import (
    add,
    align,
    compare,
    dashboard,
    demo,
    doctor,
    evaluate,
    export,
    jobs,
    pairs,
    parent,
    report,
    sequence,
    translate,
)
from continual_mt.cli.registry import backup as registry_backup
from continual_mt.cli.registry import bundle as registry_bundle
from continual_mt.cli.registry import convert, registry, reproduce
from continual_mt.cli.registry import maintenance as registry_maintenance
from continual_mt.cli.support import options
from continual_mt.cli.support.console import drop_output, print_text, reader_is_gone, say
from continual_mt.errors import ContinualMTError, StorageError
from continual_mt.import_path import current_folder_exists
from continual_mt.shadowing import check_packages

FAILURE, MISUSE = 1, 2

app = options.group("Teach a frozen translation model new languages one at a time, without forgetting one.")


@app.callback(
    invoke_without_command=True,
    epilog=options.examples("continual-mt pairs", "continual-mt --version"),
)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print_text(f"{options.PROGRAM} {importlib.metadata.version(options.PROGRAM)}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(MISUSE)


app.command(epilog=demo.EPILOG)(demo.demo)
app.add_typer(parent.app, name="parent")
app.command(epilog=add.EPILOG)(add.add)
app.add_typer(sequence.app, name="sequence")
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=align.EPILOG)(align.align)
app.command(epilog=translate.EPILOG)(translate.translate)
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=pairs.EPILOG)(pairs.pairs)
for group in (registry_maintenance, registry_backup, registry_bundle):
    group.add_to(registry.app)
registry.app.command(epilog=reproduce.EPILOG)(reproduce.reproduce)
registry.app.command(epilog=convert.EPILOG)(convert.convert)
app.add_typer(registry.app, name="registry")
app.add_typer(jobs.app, name="jobs")
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=dashboard.EPILOG)(dashboard.dashboard)
app.command(epilog=report.EPILOG)(report.report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 for success, 1 for a failure, 2 for misuse. Unexpected exceptions are not caught."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    if not current_folder_exists():  # libraries look for it, and some end the process without a word
        say("error: the current folder was deleted; expected an existing one. Fix: change to another folder ('cd')")
        return MISUSE
    try:
        check_packages()
        with _terminated_like_interrupted():
            _run(given)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())  # choices come on a line each
        message = message.replace("Value error, ", "").rstrip(".")
        say(f"error: {message}; see '{_verb(given)} --help'")
        return error.exit_code
    except ContinualMTError as error:
        say(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:
        if not reader_is_gone():
            raise
        return FAILURE
    except (KeyboardInterrupt, SystemExit):  # Ray, once started, turns SIGTERM into SystemExit
        say("error: interrupted; run the same command again")
        return FAILURE
    return 0


def _run(arguments: list[str]) -> None:
    # Not typer's own main(), which handles KeyboardInterrupt and broken pipes itself.
    command = get_command(app)
    try:
        context = command.make_context(options.PROGRAM, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # while printing the help
        drop_output()
        raise StorageError(f"standard output: write failed: {error.strerror or error}") from error
    with context:
        command.invoke(context)


def _open_closed_streams() -> None:
    """Replace standard streams that the shell closed (``>&-``) by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # open until the end


def _verb(arguments: Sequence[str]) -> str:
    """Return the program's name and the words that form the verb, as far as they are valid."""
    command, words = get_command(app), [options.PROGRAM]
    for word in arguments:
        below = getattr(command, "commands", {}).get(word)
        if below is None:
            break
        command, words = below, [*words, word]
    return " ".join(words)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that leases are released and output files end in a complete line."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
