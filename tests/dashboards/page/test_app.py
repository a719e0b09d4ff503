"""The page in a real browser, served by the real program."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from continual_mt.evaluation.nearest_neighbours import Neighbourhood
from dashboards.page.panels import MODULES_PER_PAGE
from registry import Lineage, Registry
from registry.recipes.embeddings import two_embeddings
from tests.dashboards.programs import Browser, Page, started_page
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot, score_of

MATRIX = "#pairs .draglayer .nsewdrag"


@pytest.fixture(scope="module")
def address(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    page = started_page(filled_home, tmp_path_factory.mktemp("page") / "page.log")
    yield page.address
    page.end()
    assert "Traceback" not in page.log.read_text()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Browser]:
    browser.open(address)
    yield browser
    assert browser.console() == []


def test_a_pair_that_is_clicked_shows_samples(opened: Browser, django_catalogs: dict[str, list[str]]) -> None:
    opened.click("#tab-pairs")
    opened.text("#pairs", "zero-shot")
    area = opened.find(MATRIX)
    opened.click_in(area, 0.75, 0.75)  # the last cell of two rows and two columns
    shown = opened.text("#samples", "de-es zero-shot: source de-en:1, xattn fr-es:1, target fr-es:1")
    assert "test, 12 sentences, beam 1: BLEU 14.5, chrF 33.8" in shown
    assert django_catalogs["de"][0] in shown
    assert django_catalogs["es"][0] in shown


def test_a_selected_pair_shows_samples_or_why_there_are_none(opened: Browser) -> None:
    opened.click("#tab-pairs")
    opened.text("#pair", "Click a pair, or choose its languages")
    opened.choose("source", "fr")
    opened.choose("target", "en")
    opened.text("#samples", "fr-en original: source parent, xattn parent, target parent")
    opened.choose("target", "es")
    opened.text("#samples", "No translations of this recipe are stored")


def test_hovering_shows_the_recipe(opened: Browser) -> None:
    opened.click("#tab-pairs")
    opened.text("#pairs", "zero-shot")
    opened.hover_in(opened.find(MATRIX), 0.75, 0.75)
    opened.text("#pairs .hoverlayer", "source de-en:1, xattn fr-es:1, target fr-es:1")
    buttons = opened.driver.find_elements("css selector", "#pairs .modebar-btn")
    titles = [button.get_attribute("data-title") for button in buttons]
    assert "Download plot as a PNG" in titles
    assert not [title for title in titles if "Share" in str(title)]  # would upload the chart to plotly's site


def test_the_selected_metric_survives_a_reload(opened: Browser) -> None:
    opened.click("#tab-pairs")
    opened.text("#pairs", "50.2")
    opened.click("#metric input[value=chrf], #metric label:nth-of-type(2)")
    opened.text("#pairs", "66.5")
    opened.driver.refresh()
    opened.text("#pairs", "66.5")


def test_an_arc_that_is_clicked_shows_candidates_samples_and_lineage(
    opened: Browser, django_catalogs: dict[str, list[str]]
) -> None:
    opened.text("#web .legend", "supervised")
    opened.click_at("#web .scatterlayer .trace:nth-of-type(2) .points path")  # the arrow of the first arcs: de-en
    opened.text("#pair h2", "de → en")
    candidates = opened.text("#candidates", "source de-en:1, xattn de-en:1, target parent")
    assert "supervised" in candidates
    opened.text("#samples", django_catalogs["de"][0])
    opened.click("#lineage summary")
    opened.text("#lineage", "run-7")


def test_a_language_shows_its_zero_shot_pairs_until_it_is_clicked_again(opened: Browser) -> None:
    opened.text_without("#web .legend", "zero-shot")
    opened.choose("web-language", "es")
    opened.text("#web", "the pairs of es, of 4 that can be run")
    opened.text("#web .legend", "zero-shot")
    spanish = "#web .scatterlayer .trace:last-of-type .points path:nth-of-type(3)"  # the parent's languages come first
    opened.click_at(spanish)
    opened.text("#web", "trained pairs, of 4 that can be run")
    opened.click_at(spanish)
    opened.text("#web", "the pairs of es")


def test_the_cards_count_what_there_is(opened: Browser) -> None:
    shown = opened.text("#cards", "zero-shot pairs").split("\n")
    assert shown[shown.index("languages") + 1] == "4"
    assert shown[shown.index("trained pairs") + 1 :][:3] == ["3", "1 original", "2 supervised"]
    assert shown[shown.index("zero-shot pairs") + 1 :][:2] == ["1", "1 with a score"]
    assert {"modules", "stored", "saved"} < set(shown)


def test_the_dark_mode_is_the_systems_until_one_is_chosen_and_charts_follow_it(opened: Browser) -> None:
    def is_drawn(ground: str, title: str) -> bool:
        colours = opened.find("body"), opened.find("#web .gtitle")
        found = colours[0].value_of_css_property("background-color"), colours[1].value_of_css_property("fill")
        return ground in found[0] and title in found[1]

    light, dark = ("244, 246, 250", "24, 33, 47"), ("15, 20, 27", "230, 235, 242")
    opened.until(lambda: is_drawn(*light))
    prefer(opened, "dark")
    opened.until(lambda: is_drawn(*dark))
    opened.click("#theme-switch")
    opened.until(lambda: is_drawn(*light))
    prefer(opened, "light")
    opened.click("#theme-switch")
    opened.until(lambda: is_drawn(*dark))
    opened.driver.refresh()
    opened.until(lambda: is_drawn(*dark))


def prefer(browser: Browser, scheme: str) -> None:
    preferred = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)


def test_tabs_can_be_reached_with_the_keyboard(opened: Browser) -> None:
    opened.text("#web", "trained pairs")
    opened.driver.find_element("css selector", ".tabs input:checked").send_keys(Keys.ARROW_RIGHT)
    opened.text("#pairs", "BLEU of the 4 pairs that can be run")


def test_sequences(opened: Browser) -> None:
    opened.click("#tab-sequences")
    opened.text("#sheet-shared", "47.8")
    opened.choose("sequence", "in turn (separate)")
    opened.text("#sheet-routed", "routed: every pair uses its own recipe")
    assert "45.2" in opened.text("#sheet-through", "de-es zero-shot")
    opened.text("#curves", "BLEU of each pair by position")
    opened.choose("language", "de")
    opened.text_without("#sheet-through", "fr-es supervised")


def test_alignment(opened: Browser, filled_home: Path) -> None:
    opened.click("#tab-alignment")
    shown = opened.text("#view table", "de (de-en:1)")
    assert "CSLS @5" in shown
    opened.text("#joint-map", "Choose two embedding tables of the same side")
    opened.click("#look-up")
    opened.text("#neighbours .problem", "Choose two embedding tables and enter a word of the first one.")
    opened.choose("first-table", "source de (de-en:1)")
    opened.choose("second-table", "target en (parent)")
    opened.text("#joint-map .problem", "only embeddings of one side of one parent lie in one space")
    opened.choose("second-table", "source fr (parent)")
    opened.text("#joint-map", "Frequent words of de-fr.tsv; lines connect translations.")
    opened.text("#map", "of the variance")
    opened.find("#word").send_keys("der")
    opened.click("#look-up")
    nearest = opened.text("#neighbours", "Nearest to der in fr (parent), by CSLS")
    with Registry.open(filled_home) as registry:
        tables = two_embeddings(registry.recipe_catalog, registry.parent(), ("de", "fr"))
        expected = Neighbourhood.of(*map(registry.load_embedding, tables)).nearest("der")
    assert nearest.split()[-30:] == [
        word for rank, one in enumerate(expected, start=1) for word in (f"{rank}", one.piece, f"{one.cosine:.2f}")
    ]
    opened.find("#word").send_keys("犬\n")
    opened.text("#neighbours .problem", "'der犬': cannot be encoded with the vocabulary of de")


def test_storage_and_modules(opened: Browser, filled_home: Path) -> None:
    opened.click("#tab-storage")
    opened.text("#storage", "for the parent and 2 modules; full copies would take")
    opened.click("#tab-modules")
    opened.text("#modules", "base/de-en:1: new source de, xattn")
    opened.click("#modules details summary")
    with Registry.open(filled_home) as registry:
        module = registry.module("de-en")
    shown = opened.text("#modules", module.digest)
    for words in (module.parent_fingerprint, "run-7", "BSD-3-Clause", "spec"):
        assert words in shown


def test_a_module_shows_its_annotations_and_its_lineage_in_both_directions(
    home: Path, browser: Browser, start_page: Callable[[Path], Page]
) -> None:
    with Registry.open(home) as registry:
        registry.annotations.set_alias("de-en@champion", 1, who="ada")
        registry.annotations.tag("de-en:1", "news")
        registry.annotations.note("de-en:1", "<b>Numbers</b> are wrong.", who="ada")
    browser.open(start_page(home).address)
    browser.click("#tab-modules")
    browser.text("#modules", "base/de-en:1: new source de, xattn; @champion; news")
    browser.click("#modules details summary")
    shown = browser.text("#modules", "dependents").replace("\t", " ")
    for words in ("<b>Numbers</b> are wrong. (ada, ", "alias base/de-en@champion", "sequence in turn", "alias history"):
        assert words in shown


def test_a_sentence_is_translated_and_its_recipe_shown(opened: Browser, filled_home: Path) -> None:
    with Registry.open(filled_home) as registry:
        expected = registry.assemble("de", "es")
        translation = expected.translate(["Guten Tag"])[0]
    opened.click("#tab-translate")
    opened.choose("translate-source", "de")
    opened.click("#translate")
    opened.text("#translation", "Choose both languages and enter a sentence.")
    opened.choose("translate-target", "es")
    opened.find("#text").send_keys("Guten Tag")
    opened.click("#translate")
    shown = opened.text("#translation", f"{expected.recipe}")
    assert " ".join(translation.split()) in " ".join(shown.split())


def test_many_modules_are_shown_in_pages(
    home: Path,
    browser: Browser,
    start_page: Callable[[Path], Page],
    make_module: MakeModule,
    lineage: Lineage,
) -> None:
    with Registry.open(home) as registry:
        parent = registry.load_parent()
        for seed in range(MODULES_PER_PAGE):
            module = make_module(parent, "pt-en", seed=seed + 10)
            registry.register_module("base", module, lineage=replace(lineage, job=f"{seed:064}"))
    browser.open(start_page(home).address)
    browser.click("#tab-modules")
    assert browser.text("#modules", "base/de-en:1").count("base/") == MODULES_PER_PAGE
    browser.choose("modules-chosen", f"{MODULES_PER_PAGE + 1} to {MODULES_PER_PAGE + 2} of {MODULES_PER_PAGE + 2}")
    assert browser.text("#modules", f"base/pt-en:{MODULES_PER_PAGE}").count("base/") == 2


def test_an_internal_error_is_shown_as_text_and_other_tabs_still_work(
    home: Path, browser: Browser, start_page: Callable[[Path], Page]
) -> None:
    with sqlite3.connect(home / "registry.db") as connection:
        connection.execute("UPDATE cells SET position = 'first' WHERE position = 1")
        connection.execute("DELETE FROM alignments")
    connection.close()
    page = start_page(home)
    browser.open(page.address)
    browser.text("#cards", "zero-shot pairs")
    browser.click("#tab-sequences")
    message = browser.text("#sequence-figures .problem", "The server's log has the traceback.")
    assert message == (
        "internal error: TypeError: '<' not supported between instances of 'str' and 'int'. "
        "The server's log has the traceback."
    )
    browser.click("#tab-alignment")
    browser.text("#view", "'continual-mt align FIRST SECOND --lexicon FILE --keep' measures and stores one.")
    browser.click("#tab-storage")
    browser.text("#storage", "full copies would take")
    assert browser.console() == []
    log = page.log.read_text()
    assert log.count("Traceback") == 1
    assert "TypeError: '<' not supported between instances of 'str' and 'int'" in log


def test_pivots_are_shown_with_their_cost(
    filled: Registry,
    home: Path,
    make_parent: MakeParent,
    make_module: MakeModule,
    lineage: Lineage,
    browser: Browser,
    start_page: Callable[[Path], Page],
) -> None:
    """On the pages of both parents."""
    add_germanic(filled, make_parent, make_module, lineage)
    filled.register_scores([score_of(pivot(filled, "fr", "de", NAME))])
    row = "\t".join(("fr-de", "pivot through en", "21.5", "-", "-", "-", "-", "2", "1.0", "9"))
    page = start_page(home)
    browser.open(page.address)
    browser.click("#tab-pairs")
    browser.text("#pivots", row)
    browser.choose("parent", "germanic")
    browser.text("#view", "BLEU of the 2 pairs that can be run")
    browser.text("#pivots", row)
    assert browser.console() == []
    page.end()
    assert "Traceback" not in page.log.read_text()


def test_a_missing_empty_or_lost_registry_gives_a_message(
    tmp_path: Path, empty_home: Path, filled_home: Path, browser: Browser, start_page: Callable[[Path], Page]
) -> None:
    home = tmp_path / "home"
    page = start_page(home)
    browser.open(page.address)
    missing = (
        f"no registry in {home}/registry.db. Fix: name the home of one with --home or CONTINUAL_MT_HOME, or create "
        "one with `continual-mt demo` or `continual-mt parent train`"
    )
    browser.text(".problem", missing)

    shutil.copytree(empty_home, home)
    browser.driver.refresh()
    browser.text(".problem", "No parent is registered yet. Fix: run 'continual-mt parent train'")

    shutil.rmtree(home)
    shutil.copytree(filled_home, home)
    browser.driver.refresh()
    browser.text("#web", "trained pairs, of 4 that can be run")

    shutil.rmtree(home)
    browser.choose("source", "de")
    browser.choose("target", "es")
    browser.text("#pair .problem", missing)
    browser.click("#tab-storage")
    browser.text("#view .problem", missing)

    home.mkdir()
    (home / "registry.db").write_text("This is no database, whatever its name says. " * 20)
    browser.driver.refresh()
    browser.text(".problem", f"{home}/registry.db is not a registry")
    assert browser.console() == []
    page.end()
    assert "Traceback" not in page.log.read_text()
