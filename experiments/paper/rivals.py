"""What a user would do instead of a zero-shot pair: a model of the pair alone, a bridge, both sides new, or a pivot.

Each has as many sentence pairs as an addition of its table. The zero-shot pair runs through additions of `WINNER`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.config.hyperparameters import Initialisation
from continual_mt.evaluation.significance import compare
from continual_mt.languages import NewSide
from continual_mt.model.architecture import Group
from continual_mt.model.scopes import Scope
from experiments.paper.final import addition
from experiments.paper.run import Run
from experiments.paper.search import best_rates
from experiments.paper.settings import (
    BEAM,
    RESOURCES,
    SEARCHED,
    SEEDS,
    TEXTS,
    ZERO_SHOT,
    Setting,
    by_group,
    training,
)
from experiments.run import Row

SUPERVISED = ("scratch", "both-new", "bridge")
"""The rivals that are trained on text of the pair itself."""
WINNER: tuple[Scope, Initialisation] = ("half", "lexical")


def rivals(run: Run) -> None:
    """Train and test the rivals of the zero-shot pairs of both sizes of text, and compare each with its pivot."""
    for table in ("thirds", "full"):
        run.parent(TEXTS[table][0])
        for pair in ZERO_SHOT:
            rival = Rival(run, table, pair)
            rival.alone(pair)
            rival.both_new()
            rival.bridge()
            for seed in SEEDS[WINNER]:
                rival.pivot(seed)


@dataclass(frozen=True)
class Rival:
    """The rivals of one zero-shot pair."""

    run: Run
    table: str
    pair: str

    @property
    def parent(self) -> str:
        return TEXTS[self.table][0]

    @property
    def text(self) -> str:
        """The text of the pair itself: that of the target's addition."""
        return TEXTS[self.table][1]["target"]

    def alone(self, pair: str) -> str:
        """Train and test a model of a pair alone, with the paper's architecture; returns the parent that it is."""
        name, made = self.run.parent_of(pair, self.text)
        labels = {**self._labels("scratch"), "pair": pair}
        if not self.run.is_known(**labels):
            recipe = self.run.driver.registry.recipe_catalog.recipe(*pair.split("-"), parent=name, kind="original")
            self.run.append({**made, **self.run.scored(recipe), **labels})
        return name

    def both_new(self) -> None:
        """Test both sides from noise with the cross-attention, against the frozen body."""
        rates = {**self._rates("source", "random"), **self._rates("target", "random")}
        self._added("both-new", "supervised", {"both_new": True, "initialisation": "random"}, rates)

    def bridge(self) -> None:
        """Test the cross-attention alone, trained between the sides that the zero-shot pair joins."""
        rate = self._rates("target", "lexical")["cross_attention"]
        self._added("bridge", "bridge", {"bridge": True, "on": self._joined(1)}, {"cross_attention": rate})

    def pivot(self, seed: int) -> None:
        """Test the pivot through English, and compare the zero-shot pair with it.

        Its first leg is the addition of the zero-shot pair, its second a model alone of the text of the target: no
        addition to a parent of fr-en translates from English.
        """
        source, target = self.pair.split("-")
        second = self.alone(f"en-{target}")
        kind = f"pivot:{self.parent}/{source}-en+{second}/en-{target}"
        first, joined = self._joined(seed)
        recipes = {"pivot": self._recipe(kind, first), "zero-shot": self._recipe("zero-shot", first, joined)}
        assert isinstance(recipes["pivot"], Pivot)
        self.run.scored(recipes["pivot"].first)  # the second leg translates what it wrote
        for name, recipe in recipes.items():
            labels = self._labels(name, seed)
            if not self.run.is_known(**labels):
                self.run.append({**self.run.scored(recipe), **labels})
        labels = {**self._labels("zero-shot", seed), "part": "significance", "than": "pivot"}
        if not self.run.is_known(**labels):
            test = self.run.test(self.pair)
            pivot, zero_shot = (self.run.hypotheses(recipes[name]) for name in ("pivot", "zero-shot"))
            (found,) = compare(pivot, zero_shot, test.references, test.pair.target, ("bleu",))
            self.run.append({"difference": round(found.difference, 2), "p": round(found.p_value, 4), **labels})

    def _labels(self, kind: str, seed: int = 1) -> Row:
        return {"part": "rival", "table": self.table, "pair": self.pair, "rival": kind, "seed": seed}

    def _rates(self, side: NewSide, start: Initialisation) -> Mapping[Group, float]:
        """The rates of `xattn` for a new language on one side."""
        return by_group(best_rates(self.run, Setting("paper-full", SEARCHED[side], "full", "xattn", start)))

    def _joined(self, seed: int) -> tuple[str, str]:
        """The modules that make the zero-shot pair."""
        source, target = ZERO_SHOT[self.pair]
        first, second = (addition(self.run, self.table, one, *WINNER, seed)["module"] for one in (source, target))
        return str(first), str(second)

    def _added(self, name: str, kind: str, keys: Mapping[str, Any], rates: Mapping[Group, float]) -> None:
        labels = self._labels(name)
        if self.run.is_known(**labels):
            return
        text = {"train": self.run.corpus(self.pair, self.text), "dev": self.run.corpus(self.pair, "dev")}
        values = {"parent": self.parent, "pair": self.pair, "scope": "xattn", "seed": 1, "beam": BEAM, **text, **keys}
        record, made = self.run.train({**values, "resources": RESOURCES, "training": training(rates, "xattn")})
        self.run.append({**made, **self.run.scored(self._recipe(kind, record.full_name)), **labels})

    def _recipe(self, kind: str, *modules: str) -> AnyRecipe:
        catalog = self.run.driver.registry.recipe_catalog
        return catalog.recipe(*self.pair.split("-"), parent=self.parent, kind=kind, modules=modules)
