from __future__ import annotations

import io

import pytest
from rich.console import Console

from continual_mt.training.progress import ProgressReport
from ray_jobs import console as display
from ray_jobs.console import Display


def report(update: int, development: float | None = None, best: bool = False) -> ProgressReport:
    return ProgressReport(update, 0, 5.254, 0.001, 1234.5, development, best)


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(output: io.StringIO) -> Display:
    """On something that is no terminal, such as a log."""
    return Display(Console(file=output, force_terminal=False, width=40))


def test_a_log_gets_development_scores_as_whole_lines(lines: Display, output: io.StringIO) -> None:
    with lines.training("pt-en xattn", 100) as show:
        show(report(20))
        show(report(25, 12.34, True))
        show(report(50, 11.0))
    first, second = output.getvalue().splitlines()
    assert first.startswith("pt-en xattn: update 25 of 100 after 0 s: loss 5.25, development BLEU 12.3")
    assert first.endswith(", the best so far")
    assert second.endswith("development BLEU 11.0")


def test_a_log_hears_of_long_silence(lines: Display, output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    with lines.training("pt-en xattn", 100) as show:
        show(report(20))
    assert output.getvalue() == "pt-en xattn: update 20 of 100: loss 5.25\n"


def test_a_log_gets_no_bars(lines: Display, output: io.StringIO) -> None:
    with lines.counting("scoring", 6) as count:
        count(3)
    assert output.getvalue() == ""


def test_a_terminal_gets_bars(output: io.StringIO) -> None:
    terminal = Display(Console(file=output, force_terminal=True, width=120))
    with terminal.training("pt-en xattn", 100) as show:
        show(report(20))
    with terminal.counting("scoring", 6) as count:
        count(6)
    assert "20/100" in output.getvalue()
    assert "target tokens/s" in output.getvalue()
    assert "6/6" in output.getvalue()


def test_a_terminal_gets_a_bar_for_each_that_goes_on(output: io.StringIO) -> None:
    terminal = Display(Console(file=output, force_terminal=True, width=120))
    first, second = terminal.training("pt-en xattn", 100), terminal.training("es-de xattn", 50)
    first.__enter__()(report(20))
    show = second.__enter__()
    show(report(30))
    with terminal.counting("scoring", 6):  # another bar redraws all of them
        pass
    assert "20/100" in output.getvalue()
    assert "30/50" in output.getvalue()
    # The first to begin is not the last to end.
    first.__exit__(None, None, None)
    seen = output.tell()
    show(report(40))
    second.__exit__(None, None, None)
    assert "40/50" in output.getvalue()[seen:]
    assert "pt-en" not in output.getvalue()[seen:]


def test_what_is_said_is_not_taken_for_markup(lines: Display, output: io.StringIO) -> None:
    lines.say("[bold]no markup[/bold], and never broken into lines, however long it may become")
    assert output.getvalue().count("\n") == 1
    assert "[bold]" in output.getvalue()
