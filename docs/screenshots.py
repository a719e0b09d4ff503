"""Pictures for the docs: every view of a home's page, and MLflow's comparison of two of its runs, in real Chromium.

    python -m docs.screenshots --home HOME --pair de es --web-language de --sequence NAME \
      --tables 'source de of fr-en/de-en:1' 'source fr of fr-en' \
      --word Haus --translate de cs 'Zwei Männer spielen Fußball.' --runs RUN RUN

Run it from the clone, with the test extra installed. What is left out is not pictured. None of this is installed.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from PIL import Image
from selenium.webdriver.support.wait import WebDriverWait

from continual_mt.home import Home
from tests.dashboards.programs import Browser, started_browser, started_page

IMAGES = Path(__file__).parent / "images"
WIDTH, TALLEST = 1440, 1800
MOST_BYTES = 300_000
SECONDS = 120


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    with started_browser() as browser, tempfile.TemporaryDirectory() as logs:
        page = started_page(asked.home, Path(logs) / "page.log")
        try:
            _page(browser, page.address, asked)
        finally:
            page.end()
        if asked.runs:
            with _mlflow(asked.home, Path(logs) / "mlflow.log") as address:
                _comparison(browser, address, asked.runs, asked.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description="Take the pictures of the docs.")
    parser.add_argument("--home", type=Path, required=True, help="the home whose page is shown")
    parser.add_argument("--pair", nargs=2, metavar=("SOURCE", "TARGET"), help="the pair that is chosen in the web")
    parser.add_argument("--web-language", metavar="LANGUAGE", help="the language whose pairs the dark web shows")
    parser.add_argument("--sequence", metavar="NAME", help="the sequence, as the page lists it; else the last one")
    parser.add_argument("--language", help="show only pairs of the sequence with this language")
    parser.add_argument("--tables", nargs=2, metavar="TABLE", help="two embedding tables, as the page lists them")
    parser.add_argument("--word", help="a word to look up in them")
    parser.add_argument("--translate", nargs=3, metavar=("SOURCE", "TARGET", "SENTENCE"), help="what to translate")
    parser.add_argument("--runs", nargs=2, metavar="RUN", help="two MLflow runs of one experiment, by id")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    return parser


def _page(browser: Browser, address: str, asked: argparse.Namespace) -> None:
    """Take one picture per tab."""
    _size(browser, WIDTH, 500)  # a page that is shorter leaves white below it
    browser.open(address)
    browser.text("#web", "trained pairs")
    if asked.pair:
        _choose(browser, "source", asked.pair[0])
        _choose(browser, "target", asked.pair[1])
        browser.find("#candidates")
    _take(browser, asked.out / "web.png")
    browser.click("#theme-switch")
    if asked.web_language:
        _choose(browser, "web-language", asked.web_language)
        browser.text("#web", f"the pairs of {asked.web_language}")
    _take(browser, asked.out / "web-dark.png")
    browser.click("#theme-switch")

    browser.click("#tab-pairs")
    browser.text("#pairs", "pairs that can be run")
    _take(browser, asked.out / "pairs.png")

    browser.click("#tab-sequences")
    if asked.sequence:
        _choose(browser, "sequence", asked.sequence)
    if asked.language:
        _choose(browser, "language", asked.language)
    browser.text("#curves", "by position")
    _take(browser, asked.out / "sequences.png")

    browser.click("#tab-alignment")
    browser.text("#joint-map", "Choose two embedding tables")
    if asked.tables:
        for name, table in zip(("first-table", "second-table"), asked.tables, strict=True):
            _choose(browser, name, table)
        browser.text("#map", "of the variance")
    if asked.word:
        browser.find("#word").send_keys(asked.word)
        browser.click("#look-up")
        browser.text("#neighbours", "by CSLS")
    _take(browser, asked.out / "alignment.png")

    browser.click("#tab-storage")
    browser.text("#storage", "full copies would take")
    _take(browser, asked.out / "storage.png")

    browser.click("#tab-modules")
    browser.text("#modules", "new ")
    browser.click("#modules details summary")
    _take(browser, asked.out / "modules.png")

    browser.click("#tab-translate")
    browser.find("#text")
    if asked.translate:
        source, target, sentence = asked.translate
        _choose(browser, "translate-source", source)
        _choose(browser, "translate-target", target)
        browser.find("#text").send_keys(sentence)
        browser.click("#translate")
        browser.find("#translated-recipe")
    _take(browser, asked.out / "translate.png")


def _choose(browser: Browser, name: str, option: str) -> None:
    if option not in browser.find(f"#{name}").text:  # a list stays open when what is chosen is chosen again
        browser.choose(name, option)


def _comparison(browser: Browser, address: str, runs: Sequence[str], out: Path) -> None:
    """Two runs, ticked in their experiment's list and compared."""
    with urllib.request.urlopen(f"{address}/api/2.0/mlflow/runs/get?run_id={runs[0]}") as answer:
        experiment = json.load(answer)["run"]["info"]["experiment_id"]
    # Of a long list, MLflow draws only what can be seen.
    wanted = urllib.parse.quote(f"attributes.run_id IN ({', '.join(map(repr, runs))})")
    browser.driver.get(f"{address}/#/experiments/{experiment}/runs?searchFilter={wanted}")
    _size(browser, WIDTH, TALLEST)
    for label in ("Close", "Toggle sidebar"):  # close what is shown next to the runs
        browser.click(f"button[aria-label='{label}']")
    for run in runs:
        browser.click(f".ag-row[row-id='{run}'] .ag-selection-checkbox")
    browser.click("[data-testid=runs-compare-button]")
    for table in ("Parameters", "Metrics"):
        browser.click(f"button[aria-label='{table} - Show diff only']")
    browser.find("main .main-svg")
    _take(browser, out / "mlflow.png")


@contextmanager
def _mlflow(home: Path, log: Path) -> Iterator[str]:
    """An MLflow server over the home's runs, on this machine's own address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = Home.resolve(home).tracking
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", f"{port}"],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=output,
            stderr=output,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, server, log)
        yield address
    finally:
        server.terminate()
        server.wait(SECONDS)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            return
        except URLError:
            time.sleep(0.2)
    sys.exit(f"MLflow did not start:\n{log.read_text()}")


def _size(browser: Browser, width: int, height: int) -> None:
    """The size of what is shown, whatever frame the window has."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _take(browser: Browser, path: Path) -> None:
    """All of the page, down to TALLEST, once nothing loads; in 256 colours where all of them take over MOST_BYTES."""
    loading = "return document.querySelector('[data-dash-is-loading=true]') === null"
    WebDriverWait(browser.driver, SECONDS).until(lambda driver: driver.execute_script(loading), "the page still loads")
    height = browser.driver.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": min(height, TALLEST), "scale": 1}
    taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    with Image.open(io.BytesIO(base64.b64decode(taken["data"]))) as picture:
        picture.save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
