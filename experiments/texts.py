"""Parts of public corpora. Parts that an experiment keeps apart share no sentence."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Sequence
from pathlib import Path

LANGUAGES = ("en", "de", "fr", "cs")
Rows = list[tuple[str, ...]]


def read(path: Path) -> list[str]:
    """Read the lines of a text file, plain or with ``.gz`` at the end of its name."""
    packed = path.with_name(f"{path.name}.gz")
    text = path.read_text(encoding="utf-8") if path.exists() else gzip.decompress(packed.read_bytes()).decode()
    return text.removesuffix("\n").split("\n")


def write(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def apart(rows: Rows, *others: Rows) -> Rows:
    """The rows that share no line, in any language, with the ``others``; case is ignored."""
    seen = {(column, line.lower()) for other in others for row in other for column, line in enumerate(row)}
    return [row for row in rows if not any((column, line.lower()) in seen for column, line in enumerate(row))]


def cut_multi30k(data: Path, place: Path) -> None:
    """Write the parts of Multi30k (``train.de``, ``val.de``, ``test_2016_flickr.de``, …) to folders of ``place``.

    ``full`` has all captions, and ``full-3000`` the first of them. ``third-parent``, ``third-source`` and
    ``third-target`` are thirds, ``low-parent`` and ``low-10000`` (with ``low-3000`` and ``low-1000`` at its beginning)
    two parts; those with the same first word but ``full`` share no caption in any language.
    """
    rows: Rows = list(zip(*(read(data / f"train.{language}") for language in LANGUAGES), strict=True))
    first, second, third = rows[:9667], rows[9667:19333], rows[19333:]
    second = apart(second, first)
    low = apart(rows[19000:], rows[:19000])
    parts = {
        "full": rows,
        "full-3000": rows[:3000],
        "third-parent": first,
        "third-source": second,
        "third-target": apart(third, first, second),
        "low-parent": rows[:19000],
        "low-10000": low,
        "low-3000": low[:3000],
        "low-1000": low[:1000],
    }
    for name, chosen in parts.items():
        for column, language in enumerate(LANGUAGES):
            write(place / name / f"train.{language}", [row[column] for row in chosen])
    for name, part in (("dev", "val"), ("test", "test_2016_flickr")):
        for language in LANGUAGES:
            write(place / f"{name}.{language}", read(data / f"{part}.{language}"))


def cut_tatoeba(data: Path, place: Path) -> None:
    """Write parts of Tatoeba (``train.fr-en.tsv``, ``train.de-en.tsv``, ``dev.de``, …) to ``place``.

    The German pairs of ``train-1000.de-en.tsv`` and the others share no English sentence with the French ones; case and
    punctuation are ignored. ``mono.de`` has all German sentences.
    """
    french, german = ([line.split("\t") for line in read(data / f"train.{pair}.tsv")] for pair in ("fr-en", "de-en"))
    seen = {fold(row[1]) for row in french}
    rest = [row for row in german if fold(row[1]) not in seen]
    random.Random(1).shuffle(rest)
    write(place / "train.fr-en.tsv", ["\t".join(row) for row in french])
    for count in (1000, 3000, 10000):
        write(place / f"train-{count}.de-en.tsv", ["\t".join(row) for row in rest[:count]])
    sentences = [row[0] for row in german]
    random.Random(2).shuffle(sentences)
    write(place / "mono.de", sentences)
    for name in ("dev", "test"):
        for language in ("en", "de", "fr"):
            write(place / f"{name}.{language}", read(data / f"{name}.{language}"))


def fold(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()
