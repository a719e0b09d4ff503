"""What a worker does; whole trainings are tested with their back ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import django
import polib
import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.evaluation import metrics
from continual_mt.model.transformer import Transformer
from ray_jobs.execution.train_task import Development
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

Values = dict[str, Any]


@pytest.fixture
def chinese(tmp_path: Path) -> Values:
    catalog = polib.pofile(str(Path(django.__file__).parent / "contrib/admin/locale/zh_Hans/LC_MESSAGES/django.po"))
    entries = [entry for entry in catalog if entry.msgstr and "\n" not in entry.msgid + entry.msgstr]
    (tmp_path / "text.es").write_text("".join(f"{entry.msgid}\n" for entry in entries), encoding="utf-8")
    (tmp_path / "text.cmn").write_text("".join(f"{entry.msgstr}\n" for entry in entries), encoding="utf-8")
    return {"source": str(tmp_path / "text.es"), "target": str(tmp_path / "text.cmn")}


def test_development_bleu_fits_a_language_without_spaces(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    chinese: Values,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task without a tokenization, as earlier versions recorded it, is scored as it was then."""
    spec = addition_spec("es-cmn_Hans", train=chinese, dev=chinese, tests=[], vocabulary=700)
    job = resolve(spec, registry.parent("es-en"), tmp_path)
    task, earlier = make_task(job), make_task(replace(job, spec=spec))
    model = Transformer.pointing_at(task.architecture, task.starting_tensors())
    bleu, chosen = metrics.tokenized_bleu, list[str]()

    def recorded(*arguments: Any) -> float:
        chosen.append(arguments[2])
        return bleu(*arguments)

    monkeypatch.setattr(metrics, "tokenized_bleu", recorded)
    for one in (task, earlier):
        assert 0 <= Development(one)(model) < 100
    assert chosen == ["zh", "13a"]
