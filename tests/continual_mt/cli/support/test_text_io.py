from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.cli.support.text_io import Input, Output, _blocks
from continual_mt.errors import InputError

WRITER = """
from continual_mt.cli.support.text_io import Input, Output
print("ready", flush=True)
with Output(None, Input(None)) as out:
    for chunk in range(1000):
        out.write([f"{chunk} {line} " + "word " * 7 for line in range(500)])
"""


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=9000)))
def test_blocks_are_complete_lines_that_fit_an_atomic_write_to_a_pipe(lines: list[str]) -> None:
    whole = [f"{line}\n" for line in lines]
    blocks = list(_blocks(whole))
    assert "".join(blocks) == "".join(whole)
    for block in blocks:
        assert block.endswith("\n")
        assert len(block.encode()) <= select.PIPE_BUF or block.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pipe_ends_in_a_whole_line(number: signal.Signals) -> None:
    """The pipe is full and the program is blocked in a write when the signal arrives."""
    with subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        received = os.read(process.stdout.fileno(), 1000)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(number)
        received += process.stdout.read()
    assert process.returncode != 0
    assert len(received) > 10_000
    assert received.endswith(b"word \n")


@pytest.mark.parametrize("name", ["out.gz", "out.zst"])
def test_compressed_output_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InputError, match=rf"{name}: the output cannot be compressed; expected a name without \{Path(name).suffix}"
    ):
        Output(tmp_path / name, Input(None))
