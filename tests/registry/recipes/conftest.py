from __future__ import annotations

from collections.abc import Mapping

import pytest

from continual_mt.data.tokenizer import Tokenizer
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule
from tests.registry.web import add_web


@pytest.fixture
def web(filled: Registry, make_module: MakeModule, lineage: Lineage, tokenizers: Mapping[str, Tokenizer]) -> Registry:
    add_web(filled, make_module, lineage, tokenizers)
    return filled
