"""The text of the pairs, as the data folder has it."""

from __future__ import annotations

from pathlib import Path


def files(data: Path, pair: str, part: str) -> dict[str, str]:
    """The keys of a corpus: ``part`` is train, dev, test, or flores.

    A parent's pair has train as one file of tab-separated text, and no flores.
    """
    source, target = pair.split("-")
    if (data / "tatoeba" / f"train.{pair}.tsv.gz").exists():
        folder = data / "tatoeba"
        if part == "train":
            return {"tsv": str(folder / f"train.{pair}.tsv.gz")}
        return {"source": str(folder / f"{part}.{source}.gz"), "target": str(folder / f"{part}.{target}.gz")}
    both = "-".join(sorted((source, target), key=lambda tag: (tag not in ("en", "es", "fr"), tag)))
    folder = data / "lowresource" / ("flores200" if part == "flores" else both)
    name = "devtest" if part == "flores" else part
    return {"source": str(folder / f"{name}.{source}.gz"), "target": str(folder / f"{name}.{target}.gz")}
