from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.continual_mt.interchange.huggingface.hub import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that this test's downloads use."""
    with Hub().serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server
