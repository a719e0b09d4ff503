from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import django
import polib
import pytest

from continual_mt.data.corpora import catalog_entries
from continual_mt.data.corpora.catalog_entries import Entry, read_entries
from continual_mt.errors import CorruptionError


def make_zip(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    path = folder / "small.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_json_catalogs_are_joined_by_key(tmp_path: Path) -> None:
    english = {"title": "A device", "config": {"error": {"cannot_connect": " Failed to connect "}, "step": "Next step"}}
    german = {
        "config": {"error": {"cannot_connect": "Verbindung fehlgeschlagen"}, "other": "Etwas anderes"},
        "title": 3,
    }
    portuguese = {"title": "Um dispositivo", "config": {"step": "Passo seguinte"}}
    wheel = make_zip(
        tmp_path,
        {
            "homeassistant/components/a/translations/en.json": json.dumps(english),
            "homeassistant/components/a/translations/de.json": json.dumps(german),
            "homeassistant/components/a/translations/pt.json": json.dumps(portuguese),
            "homeassistant/components/a/translations/pt-BR.json": json.dumps({"title": "Um aparelho"}),
            "homeassistant/components/a/translations/fr.json": json.dumps({"title": "Un appareil"}),
            "homeassistant/components/b/translations/de.json": json.dumps({"title": "Ohne Englisch"}),
            "homeassistant/components/a/strings.json": "not read",
        },
    )
    assert list(read_entries(wheel)) == [
        Entry("de", "Failed to connect", "Verbindung fehlgeschlagen"),
        Entry("pt", "A device", "Um dispositivo"),
        Entry("pt", "Next step", "Passo seguinte"),
    ]


PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "Publish the page"
msgstr "Publicar a página"

#, fuzzy
msgid "Move the page"
msgstr "Apagar a página"

msgid "Not translated"
msgstr ""

msgid "One page"
msgid_plural "Many pages"
msgstr[0] "Uma página"
msgstr[1] "Muitas páginas"

#~ msgid "An old page"
#~ msgstr "Uma página antiga"
"""


def compiled(text: str) -> bytes:
    return bytes(polib.pofile(text).to_binary())


def test_gettext_entries_without_a_translation_are_skipped(tmp_path: Path) -> None:
    wheel = make_zip(tmp_path, {"wagtail/admin/locale/pt_PT/LC_MESSAGES/django.po": PO})
    assert list(read_entries(wheel)) == [Entry("pt", "Publish the page", "Publicar a página")]


def test_compiled_catalogs_are_read_if_there_is_no_source(tmp_path: Path) -> None:
    wheel = make_zip(
        tmp_path,
        {
            "x/locale/es/LC_MESSAGES/django.mo": compiled('msgid "Only compiled"\nmsgstr "Solo compilado"\n'),
            "x/locale/de/LC_MESSAGES/django.mo": compiled('msgid "The page"\nmsgstr "Aus der mo-Datei"\n'),
            "x/locale/de/LC_MESSAGES/django.po": 'msgid "The page"\nmsgstr "Aus der po-Datei"\n',
            "x/locale/pt_BR/LC_MESSAGES/django.po": 'msgid "The page"\nmsgstr "Em brasileiro"\n',
        },
    )
    assert sorted(read_entries(wheel)) == [
        Entry("de", "The page", "Aus der po-Datei"),
        Entry("es", "Only compiled", "Solo compilado"),
    ]


def test_sources_and_compiled_catalogs_of_django_agree(tmp_path: Path) -> None:
    root = Path(django.__file__).parent
    found = []
    for kind in ("po", "mo"):
        files = {
            str(path.relative_to(root)): path.read_bytes() for path in root.rglob(f"locale/de/LC_MESSAGES/*.{kind}")
        }
        found.append(set(read_entries(make_zip(tmp_path, files))))
    assert found[0] == found[1]
    assert len(found[0]) > 500


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a/translations/en.json", b"{"),
        ("a/translations/en.json", b'{"a":' * 100_000),
        ("a/translations/en.json", b"\xff\xfe{"),
        ("x/locale/de/LC_MESSAGES/django.po", b'msgid "a\nnonsense'),
        ("x/locale/de/LC_MESSAGES/django.po", b"\xff"),
        ("x/locale/de/LC_MESSAGES/django.mo", b"\xde\x12\x04\x95"),
        ("x/locale/de/LC_MESSAGES/django.mo", b"nonsense" * 10),
    ],
)
def test_the_error_for_a_damaged_catalog_names_the_wheel(tmp_path: Path, name: str, content: bytes) -> None:
    wheel = make_zip(tmp_path, {"a/translations/de.json": "{}", name: content})
    with pytest.raises(CorruptionError, match=r"small\.whl: invalid catalog \("):
        list(read_entries(wheel))


def test_damaged_archives(tmp_path: Path) -> None:
    wheel = make_zip(tmp_path, {"x/locale/de/LC_MESSAGES/django.po": PO * 20})
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-30])
    with pytest.raises(CorruptionError, match="not a readable wheel"):
        list(read_entries(wheel))
    wheel.write_bytes(content[:100] + bytes(50) + content[150:])
    with pytest.raises(CorruptionError, match="not a readable wheel"):
        list(read_entries(wheel))


def test_a_catalog_that_unpacks_to_too_many_bytes_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_entries, "MAXIMUM_CATALOG_BYTES", 1_000)
    wheel = make_zip(tmp_path, {"x/locale/de/LC_MESSAGES/django.po": "#" * 1_001})
    with pytest.raises(CorruptionError, match=r"django\.po unpacks to more than 1,000 bytes"):
        list(read_entries(wheel))


def test_the_total_size_of_catalogs_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_entries, "MAXIMUM_TOTAL_BYTES", 1_000)
    names = [f"x{number}/locale/de/LC_MESSAGES/django.po" for number in range(3)]
    wheel = make_zip(tmp_path, dict.fromkeys(names, "#" * 400))
    with pytest.raises(CorruptionError, match=r"x2/.* unpacks to more than 200 bytes"):
        list(read_entries(wheel))
