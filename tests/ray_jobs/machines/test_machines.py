"""A sequence on a cluster of two machines without a common disk, one of which is lost during training."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ray_jobs.machines.conftest import Cluster
from tests.ray_jobs.programs import Values

pytestmark = pytest.mark.machines

UPDATES, VALIDATE_EVERY = 120, 20
SENT = r"xattn: the text of (\S+), \d+ sentence pairs, was sent to machines that cannot read it"
AT_WORK = r"(\S+) xattn: worker \d+ on cpu: (starts|continues)"


@pytest.fixture
def sequence_values(addition_values: Callable[..., Values]) -> Callable[[str], Values]:
    """Two additions with two workers each; the second replays the text of the first and of the parent."""

    def values(storage: str) -> Values:
        training = {"updates": UPDATES, "validate_every": VALIDATE_EVERY, "patience": 0}
        changes = {"training": training, "resources": {"workers": 2, "storage": storage}}
        additions = [addition_values(pair, changes) for pair in ("pt-en", "es-de")]
        return {"name": "both", "parent": "es-en", "mode": "shared", "replay": 0.3, "additions": additions}

    return values


def test_text_of_the_driver_reaches_all_machines_and_a_lost_one_is_replaced(
    cluster: Cluster,
    corpora: Path,
    parent_values: Callable[..., Values],
    sequence_values: Callable[..., Values],
) -> None:
    """Each machine has one CPU, so that each of the two workers is on another one."""
    text = cluster.disk / "work" / "text"
    shutil.copytree(corpora, cluster.first.seen(text))

    def moved(values: Values) -> Values:
        found: Values = json.loads(json.dumps(values).replace(str(corpora), str(text)))
        return found

    cluster.start("train_parent", moved(parent_values()), "--in-process").outcomes()
    second = cluster.add_machine("second")
    assert "work" not in second.run("ls", cluster.disk)
    program = cluster.start("add_sequence", moved(sequence_values(cluster.storage)))
    program.await_message(rf"pt-en xattn: update {2 * VALIDATE_EVERY} of {UPDATES}")
    assert "tokens" in second.run("ls", cluster.home / "cache")
    second.kill()
    third = cluster.add_machine("third")
    outcomes = program.outcomes()
    assert [(outcome["name"], outcome["trained_now"]) for outcome in outcomes] == [
        ("es-en/pt-en:1", True),
        ("es-en/es-de:1", True),
    ]
    messages = program.messages
    # What was sent before the second machine was lost is still there for the third.
    assert re.findall(SENT, messages) == ["pt-en", "es-en", "es-de"]
    assert re.findall(AT_WORK, messages) == [("pt-en", "starts"), ("pt-en", "continues"), ("es-de", "starts")]
    # The third has the token ids of all texts, and of what only training needs nothing is left.
    found = third.run(
        "find", cluster.disk / "work", "-name", "summary.json", "-o", "-path", "*/encoded/*", "-type", "f"
    )
    assert len(re.findall(r"/cache/tokens/[0-9a-f]{64}/summary\.json$", found, re.MULTILINE)) == 3
    assert all(line.endswith(".lock") for line in found.splitlines() if "/encoded/" in line)
    assert "text" not in third.run("ls", cluster.disk / "work")
    stored = cluster.stored()
    assert any("/checkpoint_" in name for name in stored)
    assert not [name for name in stored if "/text" in name]
