"""The rules by which one of several versions stands for its pair."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.languages import Pair
from continual_mt.model.scopes import SCOPES, Scope
from registry.queries.version_selection import NEWEST, SelectionPolicy, selected_modules

DE, CS = Pair("de", "en"), Pair("cs", "en")


class Version(NamedTuple):
    pair: Pair
    version: int
    scope: Scope = "xattn"
    is_bridge: bool = False


def chosen(versions: list[Version], choice: SelectionPolicy = NEWEST) -> list[int]:
    return [version.version for version in selected_modules(versions, choice)]


THREE = [Version(DE, 1), Version(DE, 2), Version(DE, 3)]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (NEWEST, 3),
        (SelectionPolicy(by_test={DE: [1, 2]}), 1),
        (SelectionPolicy(by_test={DE: [2]}), 2),
        (SelectionPolicy(by_test={CS: [1]}), 3),
        (SelectionPolicy(champions={DE: 2}, by_test={DE: [1]}), 2),
        (SelectionPolicy(pinned={DE: 1}, champions={DE: 2}, by_test={DE: [3]}), 1),
        (SelectionPolicy(pinned={CS: 1}, champions={CS: 1}), 3),
    ],
)
def test_pin_before_champion_before_test_before_newest(choice: SelectionPolicy, expected: int) -> None:
    assert chosen(THREE, choice) == [expected]


def test_scratch_lets_the_first_of_the_others_take_part() -> None:
    versions = [Version(DE, 1), Version(DE, 2), Version(DE, 3, "scratch")]
    assert chosen(versions) == [3, 2]
    assert chosen(versions, SelectionPolicy(by_test={DE: [3, 1]})) == [3, 1]
    assert chosen(versions, SelectionPolicy(by_test={DE: [1]})) == [1]


def test_a_version_that_was_fixed_stands_alone() -> None:
    versions = [Version(DE, 1), Version(DE, 2, "scratch")]
    assert chosen(versions, SelectionPolicy(pinned={DE: 2})) == [2]
    assert chosen(versions, SelectionPolicy(champions={DE: 2})) == [2]


def test_a_version_that_is_gone_stands_for_nothing() -> None:
    assert chosen(THREE, SelectionPolicy(pinned={DE: 9})) == []


versions_of_two_pairs = st.lists(
    st.builds(Version, st.sampled_from([DE, CS]), st.integers(1, 9), st.sampled_from(SCOPES)),
    unique_by=lambda version: (version.pair, version.version),
)


@given(versions_of_two_pairs, st.randoms(use_true_random=False))
def test_the_order_in_which_versions_come_does_not_matter(versions: list[Version], order: random.Random) -> None:
    mixed = list(versions)
    order.shuffle(mixed)
    assert selected_modules(mixed) == selected_modules(versions)


@given(versions_of_two_pairs)
def test_every_trained_pair_is_stood_for(versions: list[Version]) -> None:
    found = selected_modules(versions)
    assert {version.pair for version in found} == {version.pair for version in versions}
    for pair in (DE, CS):
        of_pair = [version for version in found if version.pair == pair]
        scopes = [version.scope == "scratch" for version in of_pair if not version.is_bridge]
        assert scopes in ([], [True], [False], [True, False])
        assert [version.is_bridge for version in of_pair[len(scopes) :]] in ([], [True])


def test_a_bridge_comes_last_and_first_where_it_is_fixed() -> None:
    versions = [Version(DE, 1), Version(DE, 2), Version(DE, 3, is_bridge=True)]
    assert chosen(versions) == [2, 3]
    assert chosen(versions, SelectionPolicy(champions={DE: 3})) == [3, 2]
    assert chosen(versions, SelectionPolicy(pinned={DE: 1})) == [1]
