"""The command-line arguments of contestants."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.tools.measure import WARM_UP


def parse(description: str) -> argparse.Namespace:
    """Parse the command line of a contestant."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("workload", type=Path, help="the folder of a prepared workload")
    parser.add_argument("--scope", default="scratch")
    parser.add_argument("--side", default="source", choices=["source", "target"])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--score", action="store_true", help="BLEU on the development text at the end")
    parser.add_argument("--tuned", action="store_true")
    arguments = parser.parse_args()
    if arguments.updates <= WARM_UP:
        parser.error(f"--updates: is {arguments.updates}; expected more than {WARM_UP}, which are not timed")
    return arguments
