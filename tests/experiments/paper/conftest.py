"""The paper's experiment in small: two updates on catalogs in the place of captions."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.paper import settings
from experiments.texts import write

SMALL = {"width": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "feed_forward": 64, "maximum_positions": 40}


@pytest.fixture
def homes(django_catalogs: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a home, with its text where the captions would be cut to. Portuguese has the place of Czech."""
    for tag, lines in {**django_catalogs, "cs": django_catalogs["pt"]}.items():
        write(tmp_path / f"homes/texts/full/train.{tag}", lines[20:])
        write(tmp_path / f"homes/texts/dev.{tag}", lines[:4])
        write(tmp_path / f"homes/texts/test.{tag}", lines[4:20])
    for training in (settings.PARENT_TRAINING, settings.TRAINING):
        monkeypatch.setitem(training, "updates", 2)
        monkeypatch.setitem(training, "batch_tokens", 256)
    monkeypatch.setattr(settings, "MOST_UPDATES", 2)
    for key, value in SMALL.items():
        monkeypatch.setitem(settings.ARCHITECTURE, key, value)
    return tmp_path / "homes"
