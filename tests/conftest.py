"""Small real text for every test: the translations of its interface that Django installs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import polib
import pytest
import torch
from hypothesis import settings
from s3fs import S3FileSystem
from xdist.scheduler import LoadScopeScheduling

from tests.s3 import S3Server
from tests.scratch import scratch

ROOT = Path(__file__).parents[1]

LANGUAGES = ("en", "es", "de", "pt", "fr")

# A shell that starts the tests in the background makes them, and what they start, deaf to Ctrl-C, which they send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Programs that tests start keep their bytecode; each would compile the project again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# pytest makes its temporary folders there.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(scratch()))

# ``--hypothesis-profile=thorough`` looks further than there is time for in every run.
settings.register_profile("quick", max_examples=40)
settings.register_profile("thorough", max_examples=1000)
settings.load_profile("quick")

# What takes longest begins first, so that no process is left alone with it.
LONGEST_FIRST = (
    "tests/ray_jobs/test_faults.py",
    "tests/ray_jobs/cluster/test_ray_backend.py",
    "tests/ray_jobs/cluster/test_submission.py",
    "tests/ray_jobs/cluster/test_evaluation_tasks.py",
    "tests/ray_jobs/test_sequence.py",
    "tests/registry/faults/test_killed.py",
    "tests/dashboards/page/test_app.py",
)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class ByFile(LoadScopeScheduling):
    """Hands out files to the processes of ``-n 2``, the next one to the process that has the least left to do."""

    def _split_scope(self, nodeid: str) -> str:
        return _file(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = _file(item.nodeid)
        return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """With ``-n 2`` two processes share the tests."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def django_catalogs() -> dict[str, list[str]]:
    """Language to sentences, aligned over en, es, de, pt and fr: short real text of some hundred segments."""
    rows: dict[str, dict[str, str]] = {}
    for path in sorted(Path(django.__file__).parent.rglob("locale/*/LC_MESSAGES/*.po")):
        language = path.parent.parent.name
        if language in LANGUAGES and language != "en":
            for entry in polib.pofile(str(path)):
                if entry.msgstr and not entry.fuzzy and not entry.obsolete and _is_plain(entry.msgid, entry.msgstr):
                    rows.setdefault(entry.msgid, {"en": entry.msgid})[language] = entry.msgstr
    complete = [row for row in rows.values() if len(row) == len(LANGUAGES)]
    return {language: [row[language] for row in complete] for language in LANGUAGES}


def _is_plain(*texts: str) -> bool:
    return all(len(text.split()) > 1 and text.isprintable() and not set(text) & set("%{}<>[]") for text in texts)


@pytest.fixture(scope="session")
def django_text_files(
    django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same as one file a language, one sentence a line."""
    folder = tmp_path_factory.mktemp("django")
    paths = {language: folder / f"text.{language}" for language in django_catalogs}
    for language, sentences in django_catalogs.items():
        paths[language].write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.end()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket, and the environment that leads to it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    # A driver keeps the credentials that it was made with.
    S3FileSystem.clear_instance_cache()
    yield s3_server.new_bucket()
    S3FileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order are other floats: exactness is asserted with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
