from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.config.loading import assignments, read_spec
from continual_mt.config.safe_yaml import MAXIMUM_DEPTH, MAXIMUM_VALUES, load_yaml, shown
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import SpecError


def laughs(item: str) -> str:
    """Nine levels of aliases, each with nine of the level before."""
    lines = ["l0: &l0 {x: 1}"]
    lines += [f"l{level}: &l{level} {item.format(', '.join([f'*l{level - 1}'] * 9))}" for level in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (laughs("[{}]"), "more than 100,000 values once aliases are expanded"),
        (laughs("{{<<: [{}]}}"), "more than 100,000 values once aliases are expanded"),
        ("&a {pair: *a}", "or an alias that contains itself"),
        ("[" * (MAXIMUM_DEPTH + 1), "nested deeper than 40 levels"),
        ("{a: " * 5000, "nested deeper than 40 levels"),
        (f"seed: {'9' * 5000}", "a number of 5,000 digits"),
        (f"seed: 0x{'f' * 5000}", "a number of 5,002 digits"),
        (f"seed: {':'.join(['59'] * 5000)}", "a number of 14,999 digits"),
        ("seed: 2020-13-45", "month must be in"),
        ("!!bool x", "'x'"),
        ("!!int x", "invalid literal"),
        ("!!int ''", "index out of range"),
        ("!!timestamp x", "NoneType"),
        ("{a: 1, 'a': 2}", "duplicate key a"),
        ("? [a]\n: b", "found unhashable key"),
        ('"\\e[31m": {"\\e[31m": 1, "\\e[31m": 2}', r"duplicate key \x1b[31m"),
    ],
)
def test_what_exceeds_a_limit_or_is_invalid(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        load_yaml(text)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch hacked']",
        "!!python/object/new:os.system ['touch hacked']",
        "!!python/object/apply:subprocess.check_output [[touch, hacked]]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple [1]",
        "!anything 1",
    ],
)
def test_tags_execute_nothing(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(f"pair: {tag}")
    with pytest.raises(SpecError, match="could not determine a constructor for the tag"):
        read_spec(AdditionSpec, tmp_path / "spec.yaml")
    with pytest.raises(SpecError, match="is not valid YAML"):
        assignments([f"pair={tag}"])
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_aliases_and_merged_keys_are_read() -> None:
    text = "shared: &shared {scope: xattn, beam: 1}\nadditions: [{<<: *shared, beam: 5}, *shared]"
    assert load_yaml(text)["additions"] == [{"scope": "xattn", "beam": 5}, {"scope": "xattn", "beam": 1}]
    assert load_yaml(f"- &a {[1] * 100}\n" + "- *a\n" * 900)[-1] == [1] * 100
    assert MAXIMUM_VALUES > 901 * 101


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_what_yaml_writes_is_read(value: object) -> None:
    assert load_yaml(yaml.safe_dump(value)) == value


@settings(deadline=None)
@given(st.text(alphabet="ab &*!<>[]{}:,-?|\"'\n\t0x1.~#%@`\x00\u2028", max_size=60))
def test_any_text_is_read_or_rejected(text: str) -> None:
    with suppress(ValueError):
        load_yaml(text)


def test_shown_text_is_short_and_has_no_control_characters() -> None:
    assert shown("\x1b[31mred\n") == r"\x1b[31mred\n"
    assert len(shown("x" * 10_000_000)) == 401


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"#" * 1_000_001)
    for path in (tmp_path / "spec.yaml", Path("/dev/zero")):
        with pytest.raises(SpecError, match=r"larger than 1,000,000 bytes; expected a spec"):
            read_spec(AdditionSpec, path)
