from __future__ import annotations

import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import pytest

from continual_mt.evaluation.lexicon import Lexicon
from dashboards.report.report import report
from registry import Registry
from tests.dashboards.programs import Browser

LOADING = {"src", "href", "srcset", "data", "poster", "action"}


class Loads(HTMLParser):
    """What a browser would fetch, and the text outside scripts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self._within = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.addresses += [f"{tag} {name}={value}" for name, value in attributes if name in LOADING]

    def handle_data(self, data: str) -> None:
        if self._within == "style":
            self.addresses += re.findall(r"url\(.*?\)|@import.*", data)
        elif self._within != "script":
            self.text += data


def test_the_report_is_one_file_that_loads_nothing(filled: Registry) -> None:
    content = report(filled)
    found = Loads(content)
    assert found.addresses == []
    assert "default-src 'none'" in content
    for words in (
        "Parent base, fr-en",
        "Of 3 of the 3 pairs whose translations were kept.",
        "de-es zero-shot: source de-en:1, xattn fr-es:1, target fr-es:1",
        "Sequence in turn",
        "de (de-en:1)",
        "Frequent words of de-fr.tsv; lines connect translations.",
        "base/fr-es:1",
        "BSD-3-Clause",
        "run-7",
        filled.module("fr-es").digest,
    ):
        assert words in found.text


def test_the_report_shows_aliases_tags_notes_and_what_depends_on_a_module(filled: Registry) -> None:
    filled.annotations.set_alias("de-en@champion", 1, who="ada")
    filled.annotations.tag("de-en:1", "news")
    filled.annotations.note("de-en:1", "<b>Numbers</b> are wrong.", who="ada")
    text = Loads(report(filled)).text
    for words in (
        "base/de-en:1: new source de, xattn; @champion; news",
        "<b>Numbers</b> are wrong. (ada, ",
        "dependents",
        "alias history",
    ):
        assert words in text


def test_samples_are_bounded_and_the_report_says_so(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.report.report.PAIRS_WITH_SAMPLES", 1)
    text = Loads(report(filled)).text
    assert "Of 1 of the 3 pairs whose translations were kept." in text
    assert "fr-en original: source" in text
    assert "de-es zero-shot: source" not in text


def test_maps_are_bounded_and_the_report_says_so(filled: Registry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.report.report.MAPS", 1)
    [kept] = filled.catalog.alignments()
    filled.register_alignment(kept.first, kept.second, Lexicon("other.tsv", {"de": ("de",)}), kept.results)
    text = Loads(report(filled)).text
    assert "Maps of 1 of the 2." in text
    assert text.count("lines connect translations.") == 1
    with sqlite3.connect(home / "registry.db") as connection:
        connection.execute("DELETE FROM alignments")
    connection.close()
    assert (
        "No alignment is stored yet; 'continual-mt align FIRST SECOND --lexicon FILE --keep'"
        in Loads(report(filled)).text
    )


def test_a_registry_without_a_parent(empty_home: Path) -> None:
    with Registry.open(empty_home) as registry:
        assert "No parent is registered yet" in Loads(report(registry)).text


def test_it_opens_in_a_browser_without_a_network(filled: Registry, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(filled), encoding="utf-8")
    browser.console()
    browser.open(file.as_uri())
    shown = browser.text("body", "BLEU of the 4 pairs that can be run")
    for words in (
        "chrF of the 4 pairs that can be run",
        "through: every pair",
        "full copies would take",
        "of the variance",
    ):
        assert words in shown
    browser.text(".cards", "1 original")
    browser.text("body", "trained pairs, of 4 that can be run")
    browser.click("details summary")
    browser.text("details", "hypothesis")
    title = browser.find(".gtitle")
    assert "24, 33, 47" in title.value_of_css_property("fill")
    browser.click(".theme-switch")
    browser.until(lambda: "230, 235, 242" in browser.find(".gtitle").value_of_css_property("fill"))
    browser.click(".theme-switch")
    browser.until(lambda: "24, 33, 47" in browser.find(".gtitle").value_of_css_property("fill"))
    fetched = browser.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []
    assert browser.console() == []
