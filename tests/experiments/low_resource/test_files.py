from __future__ import annotations

from pathlib import Path

import pytest

from experiments.low_resource.text import files


@pytest.mark.parametrize(
    ("pair", "part", "names"),
    [
        ("ha-en", "train", ("lowresource/en-ha/train.ha.gz", "lowresource/en-ha/train.en.gz")),
        ("fr-wo", "dev", ("lowresource/fr-wo/dev.fr.gz", "lowresource/fr-wo/dev.wo.gz")),
        ("es-gn", "flores", ("lowresource/flores200/devtest.es.gz", "lowresource/flores200/devtest.gn.gz")),
        ("fr-en", "test", ("tatoeba/test.fr.gz", "tatoeba/test.en.gz")),
    ],
)
def test_both_directions_read_the_folder_of_their_pair(
    tmp_path: Path, pair: str, part: str, names: tuple[str, str]
) -> None:
    (tmp_path / "tatoeba").mkdir()
    (tmp_path / "tatoeba" / "train.fr-en.tsv.gz").touch()
    source, target = names
    assert files(tmp_path, pair, part) == {"source": str(tmp_path / source), "target": str(tmp_path / target)}


def test_the_training_text_of_a_parent_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "tatoeba").mkdir()
    (train := tmp_path / "tatoeba" / "train.fr-en.tsv.gz").touch()
    assert files(tmp_path, "fr-en", "train") == {"tsv": str(train)}
