"""How few bytes a module can have: the same modules in fewer bits, and modules of fewer types with low-rank updates."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.paper.final import addition
from experiments.paper.run import Run
from experiments.paper.search import best_rates
from experiments.paper.settings import LOSS, PAIRS, PRECISIONS, SEARCHED, SMALL, STORED, Setting, Size, Small, side_of
from experiments.run import Row
from ray_jobs.tracking.lineage import code_version
from registry import ModuleRecord
from registry.maintenance.convert import convert


def stored(run: Run) -> None:
    """Test the modules of the table ``full`` in half precision and int8. Nothing is trained again."""
    for scope, start in STORED:
        for pair in PAIRS:
            name = str(addition(run, "full", pair, scope, start, seed=1)["module"])
            for precision in PRECISIONS:
                module = convert(run.driver.registry, name, precision, code_version=code_version()).record
                assert isinstance(module, ModuleRecord)
                labels = {"table": "stored", "parent": "paper-full", "scope": scope, "start": start, "seed": 1}
                labels |= {"precision": precision, "bytes": module.bytes}
                run.tested(labels, pair, "supervised", [module.full_name])


def small(run: Run) -> None:
    """Choose a size by the development scores of the pairs that rates are searched on, and test it on all pairs."""
    run.parent("paper-full")
    halves = [addition(run, "full", pair, "half", "lexical", seed=1) for pair in SEARCHED.values()]
    rows = {size: [of_size(run, pair, size) for pair in SEARCHED.values()] for size in SMALL}
    chosen = smallest(rows, at_least=_mean(halves) - LOSS)
    for pair in PAIRS:
        row = of_size(run, pair, chosen)
        labels = {"table": "small", "seed": 1, **{key: row[key] for key in ("parent", "scope", "start", "types")}}
        run.tested({**labels, "bytes": row["bytes"]}, pair, "supervised", [str(row["module"])])


def of_size(run: Run, pair: str, size: Size) -> Row:
    """The row of an addition of this size, which is trained unless it is known."""
    types, scope = size
    searched = Setting("paper-full", SEARCHED[side_of(pair)], "full", "half-lora:rank=16", "lexical")
    return run.trained(Small("paper-full", pair, "full", scope, "lexical", types=types), best_rates(run, searched))


def smallest(rows: Mapping[Size, list[Row]], at_least: float) -> Size:
    """The size of the fewest bytes whose mean development score is ``at_least`` this; the best one if none is."""
    good = [size for size, found in rows.items() if _mean(found) >= at_least]
    if good:
        return min(good, key=lambda size: sum(row["bytes"] for row in rows[size]))
    return max(rows, key=lambda size: _mean(rows[size]))


def _mean(rows: list[Row]) -> float:
    return sum(float(row["dev"]) for row in rows) / len(rows)
