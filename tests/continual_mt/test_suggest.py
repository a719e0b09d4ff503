from continual_mt.suggest import suggest

KNOWN = ("updates", "batch_tokens", "seed")


def test_the_closest_is_named() -> None:
    assert suggest("update", KNOWN) == " (did you mean updates?)"


def test_nothing_is_guessed_where_nothing_is_close() -> None:
    assert suggest("colour", KNOWN) == suggest("update", ()) == ""


def test_of_a_very_long_word_the_beginning_is_compared() -> None:
    assert suggest("x" * 10_000_000, ["x" * 80]) == f" (did you mean {'x' * 80}?)"
