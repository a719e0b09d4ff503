"""Models of each family through the command line: their translations are those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from continual_mt.cli.main import main
from continual_mt.inference.translator import Search
from registry import Registry
from tests.continual_mt.interchange.huggingface.complete import FAMILIES, Complete, Text

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

MakeComplete = Callable[[str], Complete]


@pytest.fixture(scope="module")
def complete(django_catalogs: Text, tmp_path_factory: pytest.TempPathFactory) -> MakeComplete:
    made: dict[str, Complete] = {}

    def make(family: str) -> Complete:
        if family not in made:
            folder = tmp_path_factory.mktemp("published") / "model"
            made[family] = FAMILIES[family](folder, django_catalogs)
        return made[family]

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("family", list(FAMILIES))
def test_translations_are_those_of_the_original(
    complete: MakeComplete, django_catalogs: Text, home: Path, family: str
) -> None:
    theirs = complete(family)
    assert main(["parent", "import", str(theirs.folder), "--pair", theirs.pair, "--home", str(home)]) == 0
    with Registry.open(home) as registry:
        model = registry.assemble("fr", "de")
    sentences = [sentence for sentence in django_catalogs["fr"] if 3 < len(sentence.split()) < 12][:12]
    sources = [model.source.tokenizer.encode(sentence) for sentence in sentences]
    settings = {"bad_words_ids": [[theirs.first[0]]], "renormalize_logits": True} if "marian" in family else {}
    found = set()
    for beam in (1, 5):
        ours = [best[0].tokens for best in model.search(sources, Search(beam=beam))]
        expected = [theirs.generate(sentence, beam, **settings) for sentence in sentences]
        assert ours == expected
        found |= {tuple(tokens) for tokens in ours}
    assert len(found) > len(sentences)  # they are not trivially equal
