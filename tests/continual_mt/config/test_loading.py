from __future__ import annotations

from pathlib import Path

import pytest

from continual_mt.config.loading import assignments, read_spec, validate
from continual_mt.config.spec import AdditionSpec, merge
from continual_mt.errors import SpecError


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a mapping of keys to values, such as 'pair: de-en'"),
        (b"- a\n- b\n", "expected a mapping"),
        (b"pair: [de", "invalid YAML"),
        (b"seed: 2020-13-45", "invalid YAML"),
        (b"seed: 1\ntraining: {}\nseed: 2", "invalid YAML (duplicate key seed"),
        (b"training: {updates: 1, updates: 2}", "invalid YAML (duplicate key updates"),
        (b"pair: !!python/object:os.system {}", "invalid YAML"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_files_that_are_not_specs(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as raised:
        read_spec(AdditionSpec, path)
    assert str(raised.value).startswith(f"{path}: one problem:\n  - {problem}")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="one problem:\n  - file does not exist"):
        read_spec(AdditionSpec, tmp_path / "absent.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(AdditionSpec, tmp_path)


def test_assignments() -> None:
    texts = [
        "training.updates=100",
        "training.learning_rates.encoder=1e-4",
        "name=p=q",
        "beam=1",
        "vocabulary=null",
        "x=",
    ]
    assert assignments(texts) == {
        "training": {"updates": 100, "learning_rates": {"encoder": "1e-4"}},
        "name": "p=q",
        "beam": 1,
        "vocabulary": None,
        "x": None,
    }
    assert assignments(["training.updates=1", "training.updates=2"]) == {"training": {"updates": 2}}
    assert assignments([]) == {}


def test_invalid_assignments() -> None:
    with pytest.raises(SpecError) as raised:
        assignments(["updates", "=3", "a..b=1", ".a=1", "fine=1", "list=[1", "day=2020-13-45"])
    assert raised.value.origin == "--set"
    assert raised.value.problems == (
        "'updates': expected KEY=VALUE, such as training.updates=1000",
        "'=3': expected KEY=VALUE, such as training.updates=1000",
        "'a..b=1': expected KEY=VALUE, such as training.updates=1000",
        "'.a=1': expected KEY=VALUE, such as training.updates=1000",
        "'list=[1': '[1' is not valid YAML",
        "'day=2020-13-45': '2020-13-45' is not valid YAML",
    )


def test_assignments_reach_a_spec(tmp_path: Path) -> None:
    values = {"pair": "de-en", "train": {"catalogs": "train"}, "dev": {"catalogs": "dev"}}
    overlaid = merge(values, assignments(["training.learning_rate=1e-4", "scope=embeddings"]))
    spec = validate(AdditionSpec, overlaid, origin="--set", base=tmp_path)
    assert (spec.training.learning_rate, spec.scope) == (1e-4, "embeddings")
    with pytest.raises(SpecError, match="--set: one problem:\n  - scope: unknown scope 'all'; expected one of "):
        validate(AdditionSpec, merge(values, {"scope": "all"}), origin="--set", base=tmp_path)
