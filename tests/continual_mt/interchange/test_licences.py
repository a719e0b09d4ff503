from __future__ import annotations

from pathlib import Path

import pytest

from continual_mt.errors import StorageError
from continual_mt.interchange.licences import is_non_commercial, read_licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: [en, fr]\nlicense: cc-by-nc-4.0\ntags:\n- nllb\n---\n# NLLB\n", "cc-by-nc-4.0"),
        ("---\r\nlicense: apache-2.0\r\n---\r\nOPUS-MT", "apache-2.0"),
        ("\ufeff---\nlicense: [mit, cc-by-4.0]\n---", "mit, cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: tencent\n---\n", "tencent"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [x]\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense: 3\n---\n", None),
        ("---\nlicense: ''\n---\n", None),
        ("---\n- license\n---\n", None),
        ("---\nlicense: [unclosed\n---\n", None),
        ("---\nlicense: &a [*a]\n---\n", None),
        ('---\nlicense: "mit\\e[31m"\n---\n', "mit\\x1b[31m"),
        ("", None),
    ],
)
def test_the_licence_of_a_model_card(tmp_path: Path, card: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8", newline="")
    assert read_licence(tmp_path) == licence


def test_a_folder_without_a_card(tmp_path: Path) -> None:
    assert read_licence(tmp_path) is None
    (tmp_path / "README.md").mkdir()
    with pytest.raises(StorageError, match=r"README.md: cannot be read: Is a directory"):
        read_licence(tmp_path)


@pytest.mark.parametrize(
    "licence", ["cc-by-nc-4.0", "CC BY-NC-SA 3.0", "cc_by_nc", "Non-Commercial use", "research only"]
)
def test_non_commercial(licence: str) -> None:
    assert is_non_commercial(licence)


@pytest.mark.parametrize("licence", [None, "cc-by-4.0", "mit", "apache-2.0", "ncsa", "incl. notice"])
def test_commercial(licence: str | None) -> None:
    assert not is_non_commercial(licence)
