from continual_mt.suggest import suggest

KNOWN = ("updates", "batch_tokens", "seed")


def test_the_most_similar_word_is_suggested() -> None:
    assert suggest("update", KNOWN) == " (did you mean updates?)"


def test_no_suggestion_if_no_word_is_similar() -> None:
    assert suggest("colour", KNOWN) == suggest("update", ()) == ""


def test_only_the_beginning_of_a_long_word_is_compared() -> None:
    assert suggest("x" * 10_000_000, ["x" * 80]) == f" (did you mean {'x' * 80}?)"
