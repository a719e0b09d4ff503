from __future__ import annotations

from experiments.paper.lexicon import LEAST_CAPTIONS, counted_lexicon


def test_words_that_are_each_others_best_are_counted() -> None:
    german = ["Ein Hund läuft.", "Ein Hund schläft!", "Ein Mann läuft."] * LEAST_CAPTIONS
    french = ["Un chien court.", "Un chien dort!", "Un homme court."] * LEAST_CAPTIONS
    assert counted_lexicon(german, french) == [
        "Ein\tUn",
        "Hund\tchien",
        "Mann\thomme",
        "läuft\tcourt",
        "schläft\tdort",
    ]


def test_rare_words_and_numbers_are_left_out() -> None:
    german = ["Hund 7"] * LEAST_CAPTIONS + ["Katze"] * (LEAST_CAPTIONS - 1)
    french = ["chien 7"] * LEAST_CAPTIONS + ["chat"] * (LEAST_CAPTIONS - 1)
    assert counted_lexicon(german, french) == ["Hund\tchien"]


def test_words_that_meet_by_chance_are_no_pair() -> None:
    """Each is the only one that the other meets, in 2 captions of 10; in 4 of 10 they are a pair."""

    def found(common: int) -> list[str]:
        alone = ["-"] * (LEAST_CAPTIONS - common)
        return counted_lexicon(["Hund"] * LEAST_CAPTIONS + alone, alone + ["chien"] * LEAST_CAPTIONS)

    assert found(common=2) == []
    assert found(common=4) == ["Hund\tchien"]
