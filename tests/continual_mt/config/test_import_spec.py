from __future__ import annotations

import json

import pytest

from continual_mt.config.import_spec import ImportSpec

HUB = ImportSpec(
    origin="facebook/nllb-200-3.3B",
    revision="1a07f7",
    licence="cc-by-nc-4.0",
    family="nllb",
    name="nllb",
    converted=True,
)
FOLDER = ImportSpec(origin="my model", family="marian", pair="fr-en", name="fr-en")


def test_what_is_recorded_is_read() -> None:
    for spec in (HUB, FOLDER):
        assert ImportSpec.of(json.loads(json.dumps(spec.recorded()))) == spec


@pytest.mark.parametrize(
    "recorded", [{}, {"train": {}, "seed": 1}, {"import": "x"}, {"import": {}}, {"import": {"origin": 3}}]
)
def test_other_specs_are_no_imports(recorded: dict[str, object]) -> None:
    assert ImportSpec.of(recorded) is None


def test_a_pair_is_recorded_as_it_was_typed() -> None:
    spec = ImportSpec(origin="m", family="marian", pair="en-fra", name="m")
    assert spec.recorded()["import"]["pair"] == "en-fra"  # type: ignore[index, call-overload]
    assert spec.command == "continual-mt parent import FOLDER/m --pair en-fra --name m"
    assert ImportSpec.of({"import": {"origin": "m", "family": "marian", "pair": "en", "name": "m"}}) is None


def test_in_words() -> None:
    assert HUB.described == "facebook/nllb-200-3.3B, revision 1a07f7, licence cc-by-nc-4.0"
    assert FOLDER.described == "my model, licence not stated"
    assert (HUB.brief, FOLDER.brief) == (
        "facebook/nllb-200-3.3B at 1a07f7, cc-by-nc-4.0",
        "my model, licence not stated",
    )
    assert HUB.command == (
        "continual-mt parent import facebook/nllb-200-3.3B --revision 1a07f7 --languages all --name nllb --convert"
    )
    assert FOLDER.command == "continual-mt parent import 'FOLDER/my model' --pair fr-en --name fr-en"
