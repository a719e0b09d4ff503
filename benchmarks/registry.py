"""The latency of the registry's queries and of the page as it grows, and the speed of ``verify``.

Registries of 100 to 10,000 modules over 200 languages, with up to 1,000,000 scores, are written into a temporary SQLite
file and into the empty databases whose URLs are given. One process with an open connection repeats each query; the
floor is the database's time for reading one row. ``verify`` hashes real files and is compared with plain hashing of the
same files in the same run.

    python -m benchmarks.registry --database postgresql+psycopg://USER@HOST/EMPTY
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, inspect, make_url, select, text

from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.synthetic_registry import PAIR, TESTS, languages, populate
from benchmarks.verify_speed import measure_verify
from dashboards.page.web_panel import drawn_web, pair_details
from registry import Registry
from registry.database import schema
from registry.database.postgresql import SCHEMA

SIZES = {100: 10_000, 1_000: 100_000, 10_000: 1_000_000}
"""Number of modules to number of scores."""
QUICK = {100: 10_000, 1_000: 100_000}
LANGUAGE_COUNT = 200
QUERY = "language={language} side=source scope=xattn bleu>30"
GOALS = {"assemble resolves": 20.0, "pairs()": 300.0, "search": 100.0}
"""Upper bounds, in milliseconds, with 10,000 modules."""


def questions(registry: Registry, modules: int) -> dict[str, Callable[[], object]]:
    """Return the queries by name; most use another language at each call."""
    tags_in_use = languages(min(LANGUAGE_COUNT, modules))
    sources, targets = tags_in_use[0::2], tags_in_use[1::2]
    counter = iter(range(sys.maxsize))

    def next_tag(tags: list[str]) -> str:
        return tags[next(counter) * 7 % len(tags)]

    def by_key() -> object:
        with registry.database.read() as session:
            return session.execute(select(schema.Setting.value)).all()

    return {
        "floor: one row": by_key,
        "assemble resolves": lambda: registry.recipe_catalog.recipe(next_tag(sources), next_tag(targets)),
        "assemble resolves, supervised": lambda: registry.recipe_catalog.recipe(next_tag(sources), PAIR.target),
        "assemble resolves, by score": lambda: registry.recipe_catalog.recipe(
            next_tag(sources), next_tag(targets), test=TESTS[0]
        ),
        "pairs()": registry.pairs,
        "search": lambda: registry.annotations.search(QUERY.format(language=next_tag(sources))),
        "module": lambda: registry.module(f"{next_tag(sources)}-{PAIR.target}"),
        "page: the web": lambda: drawn_web(registry, registry.parent(), "bleu", None, None),
        "page: the web, of a language": lambda: drawn_web(registry, registry.parent(), "bleu", next_tag(sources), None),
        "page: a pair": lambda: pair_details(registry, registry.parent(), next_tag(sources), next_tag(targets)),
    }


def measure(registry: Registry, modules: int, times: int) -> dict[str, float]:
    """Return the median time of each query, in milliseconds."""
    found = {}
    for name, ask in questions(registry, modules).items():
        ask()
        found[name] = statistics.median(_milliseconds(ask) for _ in range(times))
    return found


def _milliseconds(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1e3


@contextmanager
def populated(location: str | Path, modules: int, scores: int) -> Iterator[Registry]:
    """Create and fill a registry."""
    with Registry.open(location, create=True) as registry:
        started = time.perf_counter()
        populate(registry, modules, scores, min(LANGUAGE_COUNT, modules))
        seconds = time.perf_counter() - started
        print(f"{modules:,} modules, {scores:,} scores written in {seconds:.0f} s", file=sys.stderr, flush=True)
        yield registry


def measure_sqlite(sizes: dict[int, int], times: int) -> dict[int, dict[str, float]]:
    found = {}
    for modules, scores in sizes.items():
        with tempfile.TemporaryDirectory() as folder, populated(folder, modules, scores) as registry:
            found[modules] = measure(registry, modules, times)
    return found


def measure_server(url: str, sizes: dict[int, int], times: int) -> dict[int, dict[str, float]]:
    """Measure each size in a new registry of an empty database; the registry is dropped afterwards."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if inspect(connection).has_schema(SCHEMA):
            raise SystemExit("--database: contains a registry; expected an empty database")
    found = {}
    for modules, scores in sizes.items():
        try:
            with populated(url, modules, scores) as registry:
                found[modules] = measure(registry, modules, times)
        finally:
            with engine.begin() as connection:
                connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", action="append", default=[], metavar="URL", help="an empty PostgreSQL database")
    parser.add_argument("--times", type=int, default=31, help="number of repetitions; the median is reported")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the blobs for verify")
    parser.add_argument("--quick", action="store_true", help="at most 1,000 modules and half a gigabyte")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    options = parser.parse_args()
    sizes, gigabytes = (QUICK, 0.5) if options.quick else (SIZES, options.gigabytes)
    found = {"sqlite": measure_sqlite(sizes, options.times)}
    for url in options.database:
        found[make_url(url).get_backend_name()] = measure_server(url, sizes, options.times)
    print(f"{machine()}\n")
    for backend, by_size in found.items():
        rows = [[name, *(f"{by_size[size][name]:.2f}" for size in sizes)] for name in by_size[min(sizes)]]
        print_table([f"{backend}, ms", *(f"{size:,} modules" for size in sizes)], rows)
        print()
    verified = measure_verify(gigabytes)
    print_table(["verify", ""], [[name, f"{value:.2f}"] for name, value in verified.items()])
    missed = [
        f"{backend} {name} {by_size[max(SIZES)][name]:.0f} ms, not {goal:.0f}"
        for backend, by_size in found.items()
        for name, goal in GOALS.items()
        if max(SIZES) in by_size and by_size[max(SIZES)][name] > goal
    ]
    print(f"\ngoals missed: {'; '.join(missed) or 'none'}" if not options.quick else "")
    if options.json:
        write_json(options.json, {"milliseconds": found, "verify": verified})


if __name__ == "__main__":
    main()
