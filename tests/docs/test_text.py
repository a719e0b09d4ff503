"""What the written pages name exists: links, files, commands, specs, and Python that parses."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from continual_mt.cli.main import app
from continual_mt.config.loading import assignments, validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
PACKAGES = ("continual_mt", "registry", "ray_jobs", "dashboards")
GENERATED = {"docs/reference/cli.md", "docs/reference/specs.md", "docs/contributing.md", "docs/changelog.md"}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
FILE = re.compile(r"`([\w./-]+(?:\.py|\.md|/))`")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def commands(page: Path) -> Iterator[str]:
    """Every `continual-mt` command of a page's shell blocks, its lines joined."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" \| |; | && |^[A-Z_]+=\S+ ", line.partition(" #")[0]):
                if part.strip().startswith("continual-mt "):
                    yield part.strip()


COMMAND_LINE = get_command(app)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 160


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    targets = {link: str((page.parent / link).resolve().relative_to(ROOT)) for link in links}
    assert not [link for link, target in targets.items() if target not in GENERATED and not (ROOT / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_is_one_that_the_command_line_takes(page: Path) -> None:
    for command in commands(page):
        arguments = shlex.split(re.split(r" [<>] ", command)[0])[1:]
        verb: Any = COMMAND_LINE
        while hasattr(verb, "commands") and arguments and arguments[0] in verb.commands:
            verb, arguments = verb.commands[arguments[0]], arguments[1:]
        assert "--help" in arguments or not hasattr(verb, "commands"), command
        if "--help" not in arguments:
            verb.make_context("continual-mt", arguments)
            assignments([value for option, value in pairwise(arguments) if option == "--set"])


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_yaml_block_is_a_spec_or_the_beginning_of_one(page: Path) -> None:
    text = {"source": "a", "target": "b"}
    for block in blocks(page, "yaml"):
        values = yaml.safe_load(block)
        if "additions" in values:
            validate(SequenceSpec, values, origin=page.name, base=None)
        elif "pairs" in values:
            validate(ParentSpec, values, origin=page.name, base=None)
        elif "architecture" in values:
            parent = {"name": "fr-en", "pair": "fr-en", "train": text, "dev": text}
            validate(ParentSpec, {**parent, **values}, origin=page.name, base=None)
        else:
            validate(AdditionSpec, {"pair": "de-en", "train": text, "dev": text, **values}, origin=page.name, base=None)


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_python_block_parses(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)


def test_contributing_names_only_files_and_folders_that_exist() -> None:
    folders = [ROOT / name for name in (*PACKAGES, "docs", "tests", ".ci")]
    every = [*ROOT.iterdir(), *(path for folder in folders for path in (folder, *folder.rglob("*")))]
    found = {f"/{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}" for path in every}
    named = set(FILE.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert len(named) > 50
    made_by_tools = {"site/"}
    assert not sorted(name for name in named - made_by_tools if not any(path.endswith(f"/{name}") for path in found))
