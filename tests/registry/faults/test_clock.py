"""A clock that is put back by a month between two commands: order is by number, and nothing young is taken for old.

The second command is another process, in which `time.time` and `registry.records.values.now` are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.errors import JobHeldError
from registry import Registry
from registry.database import schema
from registry.maintenance.gc import collect
from registry.maintenance.verify import verify
from registry.records.values import now

MakeModule = Callable[..., Module]
Start = Callable[..., Any]
MONTH = timedelta(days=30)

EARLIER = """
import time
from datetime import datetime
from registry import Registry
from registry.records import values
real = time.time
class Earlier(datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.now(zone) - back
values.datetime = Earlier
time.time = lambda: real() - back.total_seconds()
"""


def test_the_newest_version_is_the_last_one(
    home: Path, filled: Registry, parent: Parent, make_module: MakeModule, start: Start
) -> None:
    register = """
from continual_mt.artifacts.module import Module
with Registry.open(home) as registry:
    made = registry.register_module("base", Module.from_pieces(pieces), lineage=lineage)
    answers.send((made.full_name, made.created))
"""
    pieces = make_module(parent, "de-en", seed=9).pieces()
    first = filled.module("de-en")
    [(name, created)] = start(EARLIER + register, home=home, back=MONTH, pieces=pieces, lineage=first.lineage).answers()
    assert name == "base/de-en:2"
    assert created < first.created - MONTH + timedelta(hours=1)
    assert [module.version for module in filled.modules() if module.pair == first.pair] == [1, 2]
    assert filled.module("de-en").version == 2
    assert filled.recipe_catalog.recipe("de", "en").source.name == name  # type: ignore[union-attr]
    assert verify(filled, fingerprints=True).problems == ()


def test_the_history_of_an_alias_is_in_the_order_of_its_moves(
    home: Path, filled: Registry, parent: Parent, make_module: MakeModule, start: Start
) -> None:
    move = """
with Registry.open(home) as registry:
    registry.annotations.set_alias("de-en@champion", 2)
    moves = registry.annotations.alias_history("de-en@champion")
    answers.send([(move.from_version, move.to_version) for move in moves])
"""
    first = filled.module("de-en")
    filled.register_module("base", make_module(parent, "de-en", seed=9), lineage=first.lineage)
    filled.annotations.set_alias("de-en@champion", 1)
    assert start(EARLIER + move, home=home, back=MONTH).answers() == [[(None, 1), (1, 2)]]
    filled.annotations.remove_alias("de-en@champion")
    moves = filled.annotations.alias_history("de-en@champion")
    assert [(move.from_version, move.to_version) for move in moves] == [(None, 1), (1, 2), (2, None)]
    assert moves[1].moment < moves[0].moment


def test_a_lease_has_one_holder(home: Path, filled: Registry, start: Start) -> None:
    """A lease taken while the clock was a month behind seems expired to others; its holder gets an error."""
    hold = """
with Registry.open(home) as registry:
    try:
        answers.send(registry.jobs.hold("d" * 64, "add", "earlier", 60).holder)
        registry.jobs.renew("d" * 64, "earlier", 60)
    except Exception as error:
        answers.send((type(error).__name__, str(error)))
"""
    filled.jobs.hold("d" * 64, "add", "now", 60)
    [(kind, message)] = start(EARLIER + hold, home=home, back=MONTH).answers()
    assert (kind, "is held by now until" in message) == ("JobHeldError", True)
    filled.jobs.release("d" * 64, "now", "stopped")
    assert start(EARLIER + hold, home=home, back=MONTH).answers() == ["earlier"]
    assert filled.jobs.hold("d" * 64, "add", "now", 60).holder == "now"
    with pytest.raises(JobHeldError, match="is held by now until"):
        filled.jobs.renew("d" * 64, "earlier", 60)


def test_nothing_young_is_collected(home: Path, filled: Registry, start: Start) -> None:
    def delete(session: Session) -> None:
        session.scalars(select(schema.Module).filter_by(source="de")).one().deleted = now() - timedelta(hours=1)

    gc = """
from datetime import timedelta
from registry.maintenance.gc import collect
with Registry.open(home) as registry:
    found = collect(registry, grace=timedelta(0), for_good=True, forget=True)
    answers.send((found.blobs, found.forgotten))
"""
    filled.database.write(delete)
    filled.texts.store(["not referred to yet"])
    before = {blob.digest for blob in filled.blobs.digests()}
    assert start(EARLIER + gc, home=home, back=MONTH).answers() == [((), ())]
    assert {blob.digest for blob in filled.blobs.digests()} == before
    assert collect(filled, forget=True).forgotten == ()
    assert verify(filled, fingerprints=True).problems == ()
