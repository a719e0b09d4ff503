from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from continual_mt import extras
from continual_mt.errors import MissingExtraError
from continual_mt.extras import PACKAGES, Extra, missing, require

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("extra", PACKAGES)
def test_an_extra_installs_what_it_is_said_to_and_nothing_of_the_base(extra: Extra) -> None:
    assert names(PROJECT["optional-dependencies"][extra]) == set(PACKAGES[extra])
    assert not set(PACKAGES[extra]) & names(PROJECT["dependencies"])
    assert all(find_spec(package) for package in PACKAGES[extra])
    assert missing(extra) is None
    require(extra, "the page")


def test_a_missing_package_is_named_with_the_extra_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.PACKAGES, "dashboard", ("json", "no_such_one", "no_such_two"))  # type: ignore[arg-type]
    message = (
        "the page needs the extra 'dashboard' (no_such_one, no_such_two are not installed). "
        "Fix: pip install 'continual-mt[dashboard]'"
    )
    with pytest.raises(MissingExtraError) as caught:
        require("dashboard", "the page")
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    monkeypatch.setitem(extras.PACKAGES, "demo", ("no_such",))  # type: ignore[arg-type]
    assert missing("demo") == (
        "needs the extra 'demo' (no_such is not installed). Fix: pip install 'continual-mt[demo]'"
    )
