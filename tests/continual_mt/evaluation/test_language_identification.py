from __future__ import annotations

import os
import subprocess
import sys

import pytest

from continual_mt.errors import LanguageError
from continual_mt.evaluation.language_identification import (
    are_off_target,
    check_known,
    is_known,
    is_wrong_language,
    known_languages,
    labels_of,
    off_target_rate,
    shortened,
    signature,
)


@pytest.mark.parametrize("language", ["de", "es", "fr", "pt", "en"])
def test_the_wrong_language_exceeds_the_references_on_real_text(
    language: str, django_catalogs: dict[str, list[str]]
) -> None:
    """Catalogs are short, so that references are off target, too; another language is so far more often."""
    right, wrong = django_catalogs[language], django_catalogs["en" if language != "en" else "de"]
    of_references, rate = off_target_rate(right, language), off_target_rate(wrong, language)
    assert of_references < 50 < 90 < rate
    assert is_wrong_language(rate, of_references, len(right))
    assert not is_wrong_language(of_references, of_references, len(right))


def test_equal_texts_have_equal_results(django_catalogs: dict[str, list[str]]) -> None:
    lines = django_catalogs["de"][:50]
    assert are_off_target(lines, "de") == [found for line in lines for found in are_off_target([line], "de")]


def test_a_line_without_a_language_is_not_in_another() -> None:
    lines = ["", "   ", "12", "2024-01-01", "!?", "42 %"]
    assert are_off_target(lines, "de") == [False] * len(lines)
    assert off_target_rate([*lines, "Two men are playing football in the park."], "de") == pytest.approx(100 / 7)


@pytest.mark.parametrize(
    ("language", "labels"),
    [
        ("pt_BR", {"pt"}),
        ("zh_Hant", {"zh", "yue", "wuu"}),
        ("cmn", {"zh"}),
        ("yue", {"yue"}),
        ("nb", {"no"}),
        ("nn", {"nn"}),
        ("no", {"no", "nn"}),
        ("ar", {"ar", "ary", "arz"}),
        ("gn", {"gug"}),
        ("fil", {"tl"}),
        ("swh", {"sw"}),
        ("hr", {"hr"}),
        ("sr_Latn", {"sr"}),
        ("ms", {"ms"}),
        ("wo", set()),
        ("bm", set()),
    ],
)
def test_the_labels_that_are_right_for_a_language(language: str, labels: set[str]) -> None:
    assert labels_of(language) == labels
    assert is_known(language) == bool(labels)


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    message = r"^off-target rate: py3langid .* does not identify wo; expected one of its 139 languages: ace, af, am, "
    with pytest.raises(LanguageError, match=message):
        check_known("wo")
    with pytest.raises(LanguageError, match=message):
        off_target_rate(["Nanga def"], "wo")


@pytest.mark.parametrize(
    ("rate", "of_references", "sentences", "is_marked"),
    [
        (100.0, None, 1000, False),  # an earlier score without the rate of the references
        (40.0, 38.0, 1000, False),  # too small an excess
        (6.1, 1.0, 1000, True),
        (5.9, 1.0, 1000, False),
        (100 / 3, 0.0, 12, False),  # 4 of 12 lines may be chance
        (50.0, 0.0, 12, True),
        (100.0, 0.0, 3, False),
        (1.0, 40.0, 1000, False),
    ],
)
def test_an_excess_has_to_be_large_and_beyond_chance(
    rate: float, of_references: float | None, sentences: int, is_marked: bool
) -> None:
    assert is_wrong_language(rate, of_references, sentences) is is_marked


def test_the_signature_names_library_version_and_languages() -> None:
    found = signature()
    assert (found["library"], found["languages"].split(",")) == ("py3langid", list(known_languages()))
    assert len(known_languages()) == 139
    whole = "nrefs:1|" + "|".join(f"{name}:{value}" for name, value in found.items())
    assert shortened(whole) == f"nrefs:1|library:py3langid|languages:139|version:{found['version']}"
    assert shortened("nrefs:1|case:mixed|tok:13a") == "nrefs:1|case:mixed|tok:13a"
    assert shortened("s") == "s"


def test_importing_and_training_metrics_do_not_load_the_library() -> None:
    """Neither does development BLEU, which training workers compute."""
    code = (
        "import sys; import continual_mt.inference.translator; from continual_mt.evaluation import metrics; "
        "metrics.tokenized_bleu(['a b c d'], ['a b c d'], '13a'); metrics.bleu(['a b c d'], ['a b c d'], 'de'); "
        "assert 'py3langid' not in sys.modules; metrics.score(['a b c d'], ['a b c d'], 'de'); "
        "assert 'py3langid' in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
