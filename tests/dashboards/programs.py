"""The page as a process, and a browser to test it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).parents[2]
SECONDS = 180
INSTALL = (
    "the page is tested in Chromium, and {} is not installed. As root: apt-get install chromium chromium-driver "
    "(Debian; elsewhere any Chromium with its chromedriver on the PATH)"
)
# No host name resolves, so that any request to another machine fails and is logged in the console.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@dataclass(frozen=True)
class Page:
    """``continual-mt dashboard``, serving at ``address``."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


def started_page(home: Path, log: Path) -> Page:
    command = [sys.executable, "-m", "continual_mt.cli.main", "dashboard", "--port", "0", "--home", str(home)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    until = time.monotonic() + SECONDS
    while (found := re.search(r"the page is at (http://127\.0\.0\.1:\d+);", log.read_text())) is None:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            process.wait()
            pytest.fail(f"the page did not start: {log.read_text()}")
        time.sleep(0.1)
    return Page(process, found[1], log)


class Browser:
    """A driver with the few actions that the tests need. It waits for text or elements, never for a fixed time."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._wait = WebDriverWait(driver, SECONDS)

    def open(self, address: str) -> None:
        """Open an address with empty storage, like a new visitor."""
        self.driver.get(address)
        if address.startswith("http"):
            self.driver.execute_script("sessionStorage.clear(); localStorage.clear()")
            self.driver.refresh()

    def find(self, selector: str) -> WebElement:
        """Wait for the first visible element of a CSS selector."""
        found: WebElement = self._wait.until(
            lambda driver: next((e for e in driver.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()), None),
            f"{selector} is not visible",
        )
        return found

    def text(self, selector: str, words: str) -> str:
        """Wait until an element contains the words; return its text."""
        found: str = self._wait.until(
            lambda driver: self._holding(selector, words), f"{selector} does not contain {words!r}"
        )
        return found

    def _holding(self, selector: str, words: str) -> str | None:
        # One script, because the page may replace the element between two calls.
        script = (
            "return Array.from(document.querySelectorAll(arguments[0]))"
            ".map(element => element.innerText || element.textContent).join('\\n')"
        )
        found = str(self.driver.execute_script(script, selector))
        return found if words in found else None

    def text_without(self, selector: str, words: str) -> None:
        """Wait until an element exists and does not contain the words."""
        self._wait.until(
            lambda driver: self._holding(selector, "") and self._holding(selector, words) is None,
            f"{selector} still contains {words!r}",
        )

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition on what is drawn holds; an element may be replaced while it is read."""
        waiting = WebDriverWait(self.driver, SECONDS, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(lambda driver: holds())

    def hover_in(self, element: WebElement, right: float, down: float) -> None:
        """Move the pointer to a position in an element, given as shares of its width and height."""
        self._at(element, right, down).perform()

    def click_in(self, element: WebElement, right: float, down: float) -> None:
        self._at(element, right, down).click().perform()

    def click_at(self, selector: str) -> None:
        """Click where an element is, even if a transparent one that takes the clicks of a chart covers it."""
        ActionChains(self.driver).move_to_element(self.find(selector)).click().perform()

    def _at(self, element: WebElement, right: float, down: float) -> ActionChains:
        size = element.size  # offsets are relative to the centre
        place = int(size["width"] * (right - 0.5)), int(size["height"] * (down - 0.5))
        return ActionChains(self.driver).move_to_element_with_offset(element, *place)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def choose(self, name: str, option: str) -> None:
        """Choose an option of a dropdown list by its label."""
        self.click(f"#{name}")
        options = ".dash-dropdown-option"
        self.find(options)
        chosen = [e for e in self.driver.find_elements(By.CSS_SELECTOR, options) if e.text == option]
        assert chosen, f"{name} has no {option}"
        chosen[0].click()

    def console(self) -> list[str]:
        """Return the errors in the browser's console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start headless Chromium. Without Chromium, the test fails with instructions to install it."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        if path is None:
            pytest.fail(INSTALL.format(name))
    options = ChromeOptions()
    options.binary_location = str(programs["chromium"])
    # In a container, Chromium cannot run as root in its sandbox, and /dev/shm is too small for it.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000", OFFLINE):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(programs["chromedriver"])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
