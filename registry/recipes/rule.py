"""The rule by which one of a pair's recipes is chosen, where the caller has not named one.

1. What the caller names.
2. The alias ``champion``. Both decide which recipes there are, and come first: see
   `registry.queries.version_selection`.
3. On a test set that the caller names, the highest BLEU wins. The recipe that would be taken otherwise, of those with a
   score there, gives way only to what is better by paired bootstrap, p < 0.05.
4. Where none of the pair's recipes has a score on that test set, the kind of recipe wins that is better, by pooled
   paired bootstrap and with the same level, on those pairs of the parent where both kinds have one.
5. The order of the kinds: original, supervised, bridge, pivot, zero-shot; of several versions the newest.

The functions are pure, but for the evidence that they ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.significance import SIGNIFICANCE_LEVEL
from registry.recipes.evidence import Evidence, Place

PREFERENCE: tuple[RecipeKind, ...] = ("original", "supervised", "bridge", "pivot", "zero-shot")


@dataclass(frozen=True)
class Decision:
    """The recipe that was chosen, and why, as the rest of a sentence."""

    chosen: AnyRecipe
    reason: str


def decide(
    ordered: Sequence[AnyRecipe], evidence: Evidence | None, fixed: str | None = None, left_out: str = ""
) -> Decision:
    """Choose one of a pair's recipes, at least one, which come in the order of point 5.

    ``fixed`` tells why the first of them is taken without evidence, as a module is that the caller names, and
    ``left_out`` which recipes are no candidates.
    """
    if fixed is not None:
        return Decision(ordered[0], fixed)
    if len(ordered) == 1:
        return Decision(ordered[0], left_out or "nothing else can be run")
    decision = None if evidence is None else by_score(ordered, evidence) or by_kind(ordered, evidence)
    return decision or by_order(ordered)


def by_score(ordered: Sequence[AnyRecipe], evidence: Evidence) -> Decision | None:
    """Point 3: choose on a test set of this very pair; None if no recipe has a score on it."""
    evidence.read(ordered)
    place = evidence.place(ordered)
    if place is None:
        return None
    values = {recipe.digest: value for recipe in ordered if (value := evidence.score(recipe, place)) is not None}
    scored = [recipe for recipe in ordered if recipe.digest in values]
    first, best = scored[0], max(scored, key=lambda recipe: values[recipe.digest])
    if len(scored) == 1 and any(evidence.score(recipe) is not None for recipe in ordered if recipe is not first):
        several = f"test sets named {evidence.test}, or with different beams"
        return Decision(ordered[0], f"the recipes were scored on different {several}, so that none is compared")
    if len(scored) == 1:
        return Decision(first, f"it alone has a score on {evidence.test}")
    if best is first:
        return Decision(first, f"it has the highest BLEU on {evidence.test}, {values[first.digest]:.1f}")
    return _challenged(first, best, evidence, place)


def _challenged(first: AnyRecipe, best: AnyRecipe, evidence: Evidence, place: Place) -> Decision:
    """The better one if the difference is beyond chance, else the first."""
    test = evidence.test
    lower, higher = evidence.score(first, place), evidence.score(best, place)
    comparison = evidence.comparison(first, best, place)
    if comparison is None:
        return Decision(
            first,
            f"the translations of {test} were not kept, so that nothing shows whether BLEU {higher:.1f} of "
            f"{in_few_words(best)} is better than its {lower:.1f} by more than chance",
        )
    p_value = f"p = {comparison.p_value:.3f}"
    if comparison.difference > 0 and comparison.p_value < SIGNIFICANCE_LEVEL:
        return Decision(
            best, f"its BLEU on {test} is {higher:.1f}, that of {in_few_words(first)} {lower:.1f}, {p_value}"
        )
    return Decision(
        first,
        f"BLEU {higher:.1f} of {in_few_words(best)} on {test} is not beyond chance above its {lower:.1f}, {p_value}",
    )


def by_kind(ordered: Sequence[AnyRecipe], evidence: Evidence) -> Decision | None:
    """Point 4: choose between kinds by what they reached on other pairs; None if no two were scored on one."""
    first = ordered[0]
    kinds = [kind for kind in dict.fromkeys(recipe.kind for recipe in ordered) if kind != first.kind]
    found = {kind: pooled for kind in kinds if (pooled := evidence.between_kinds(first.kind, kind)) is not None}
    if not found:
        return None
    kind, pooled = max(found.items(), key=lambda item: (item[1].is_second_better, item[1].difference))
    pairs = "one pair" if pooled.pairs == 1 else f"{pooled.pairs} pairs"
    on = f"on {evidence.test}, in the mean of {pairs} with scores of both"
    difference = f"{abs(pooled.difference):.1f} BLEU, p = {pooled.p_value:.3f}"
    if pooled.is_second_better:
        chosen = next(recipe for recipe in ordered if recipe.kind == kind)
        return Decision(chosen, f"{on}, {kind} is better than {first.kind} by {difference}")
    if pooled.difference > 0:
        return Decision(first, f"{on}, {kind} is not beyond chance better than {first.kind}: {difference}")
    return Decision(first, f"{on}, {kind} is worse than {first.kind} by {difference}")


def by_order(ordered: Sequence[AnyRecipe]) -> Decision:
    """Point 5."""
    first, others = ordered[0], ordered[1:]
    reasons = []
    if any(other.kind == first.kind for other in others):
        reasons.append("it comes first of the pivots" if first.kind == "pivot" else "it is the newest version")
    if after := list(dict.fromkeys(other.kind for other in others if other.kind != first.kind)):
        reasons.append(f"{first.kind} comes before {' and '.join(after)}")
    return Decision(first, "; ".join(reasons))


def in_few_words(recipe: AnyRecipe) -> str:
    """A recipe in few words: its kind, and the module of a trained pair or the language of a pivot."""
    if isinstance(recipe, Pivot):
        return f"pivot through {recipe.language}"
    if recipe.kind in ("supervised", "bridge") and recipe.modules:
        return f"{recipe.kind} {_own_module(recipe)}"
    return recipe.kind


def _own_module(recipe: AnyRecipe) -> str:
    """The module that was trained on the recipe's pair: others are of other pairs."""
    names = [key.name for key in recipe.modules]
    return next((name for name in names if f"/{recipe.pair}:" in name), names[0])
