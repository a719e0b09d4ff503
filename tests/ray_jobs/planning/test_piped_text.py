from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, SequenceSpec
from continual_mt.home import Home
from ray_jobs import Driver
from ray_jobs.planning.piped_text import piped_texts, with_kept_texts
from registry import Registry

Values = dict[str, Any]


def piped(files: Values, folder: Path) -> Values:
    """Pipes that have the content of files."""
    for name, path in files.items():
        os.mkfifo(folder / name)
        threading.Thread(target=(folder / name).write_bytes, args=(Path(path).read_bytes(),), daemon=True).start()
    return {name: str(folder / name) for name in files}


def test_every_text_of_a_spec_is_found_once(
    addition_values: Callable[..., Values], sequence_spec: Callable[..., SequenceSpec], tmp_path: Path
) -> None:
    os.mkfifo(shared := tmp_path / "shared")
    os.mkfifo(words := tmp_path / "words")
    os.mkfifo(table := tmp_path / "table")
    first = addition_values("pt-en", initialisation="lexical", lexicon=words, monolingual=shared)
    first["tests"][0] = {"pair": "pt-en", "tsv": table}
    second = addition_values("es-de", dev={"source": shared, "target": first["dev"]["target"]})
    spec = sequence_spec(additions=[first, second])
    assert set(piped_texts(spec)) == {shared, words, table}
    kept = with_kept_texts(spec, lambda path: path.with_suffix(".kept"))
    assert kept.additions[0].monolingual == kept.additions[1].dev.source == shared.with_suffix(".kept")
    assert piped_texts(kept) == []
    assert with_kept_texts(kept, lambda path: path) is kept


def test_a_job_keeps_the_text_of_pipes(
    home: Path, addition_values: Callable[..., Values], addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    """The work is that of the same text in files, and the record says where the text is now."""
    values, pipes = addition_values("pt-en"), {}
    for role in ("train", "dev"):
        (tmp_path / role).mkdir()
        pipes[role] = piped(values[role], tmp_path / role)
    spec = validate(AdditionSpec, values | pipes, origin="the test", base=tmp_path)
    with Driver(Home(home), in_process=True) as driver:
        outcome = driver.add_language(spec)
        assert outcome.trained_now
        assert not driver.add_language(addition_spec("pt-en")).trained_now
    with Registry.open(home) as registry:
        recorded = CorpusSpec.model_validate(registry.catalog.module("pt-en:1").lineage.spec["train"])
    assert recorded.source is not None
    assert recorded.source.parent == home / "inputs"
    assert recorded.source.read_bytes() == Path(values["train"]["source"]).read_bytes()
