"""The web of languages: where each language lies, and which pairs are drawn between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, degrees, hypot, pi, sin
from typing import Literal

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages
from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair, SideName
from dashboards.views.views import PairCell, PairMatrix
from registry.records.names import ModuleName

TRAINED: tuple[RecipeKind, ...] = ("original", "supervised", "bridge")
Role = Literal["parent", "source", "target", "both"]
EXPLAINED = (
    "An arc runs from the source to the target. The wider it is, the better the pair; a dotted one has no score."
)
_TURN = 2 * pi
_FEW, _TILT = 6, pi / 4
"""So few added languages, and the parent's, are turned against each other, or else many would lie on one line."""
_PARENT_RADIUS = 0.3
_MOST_PARENT_RADIUS = 0.62
_PARENT_SPACING = 0.17
"""Between neighbouring languages of the parent, unless its circle would then be too large."""


@dataclass(frozen=True)
class Node:
    """A language; the outer circle has radius 1 around 0, 0, and ``angle`` is in degrees, anticlockwise from the right.

    ``role`` is ``parent`` for the parent's own languages, else the ends on which modules bring the language.
    """

    language: str
    role: Role
    x: float
    y: float
    angle: float


@dataclass(frozen=True)
class Web:
    """The languages of a parent and its modules, and all pairs of them that can be run."""

    metric: str
    nodes: Mapping[str, Node]
    cells: Mapping[tuple[str, str], PairCell]

    @classmethod
    def of(cls, matrix: PairMatrix, parent: ParentLanguages) -> Web:
        """Arrange the languages of a matrix: the parent's in the centre, sources on the left, targets on the right."""
        ends = tuple(zip(ENDS, (matrix.sources, matrix.targets), strict=True))
        inner = {end: [one for one in found if one in parent.tags(end)] for end, found in ends}
        own = {*parent.tags("source"), *parent.tags("target")}
        outer = {end: [one for one in found if one not in own] for end, found in ends}
        around = _roles(outer)
        tilt = _TILT if len(around) <= _FEW else 0.0
        placed = [*_inner(_roles(inner), tilt), *_circle(around, 1.0, tilt / 2)]
        return cls(matrix.metric, {node.language: node for node in placed}, matrix.cells)

    def shown(self, language: str | None = None, pairs: Collection[Pair] = ()) -> list[PairCell]:
        """Return the pairs that are drawn: the trained ones, all of a chosen language, and ``pairs``."""
        return [
            cell
            for cell in self.cells.values()
            if cell.kind in TRAINED or language in (cell.pair.source, cell.pair.target) or cell.pair in pairs
        ]

    def neighbours(self, language: str) -> set[str]:
        """Return a language and those with which it makes a pair that can be run."""
        return {language}.union(*(pair for pair in self.cells if language in pair))


def made_of(recipe: AnyRecipe) -> tuple[Pair, ...]:
    """Return the pairs that a recipe rests on: those of its modules, and the legs of a pivot."""
    legs = [leg.pair for leg in recipe.legs] if len(recipe.legs) > 1 else []
    modules = [ModuleName.parse(key.name).pair for key in recipe.modules]
    return tuple(dict.fromkeys((recipe.pair, *legs, *modules)))


def _roles(found: Mapping[SideName, Sequence[str]]) -> dict[str, Role]:
    sources, targets = set(found["source"]), set(found["target"])
    roles: dict[str, Role] = {}
    for language in sorted(sources | targets):
        roles[language] = "target" if language not in sources else "both" if language in targets else "source"
    return roles


def _inner(roles: Mapping[str, Role], tilt: float) -> Iterable[Node]:
    """Place the parent's languages: targets on the left, to which added sources lead, and sources on the right."""
    radius = min(_MOST_PARENT_RADIUS, max(_PARENT_RADIUS, len(roles) * _PARENT_SPACING / _TURN))
    for node in _circle(roles, radius, pi - tilt):
        yield Node(node.language, "parent", node.x, node.y, node.angle)


def _circle(roles: Mapping[str, Role], radius: float, start: float) -> Iterable[Node]:
    """Place languages on a circle at equal distances, targets around the angle ``start``, sources opposite to them."""
    sources, targets, both = (
        [language for language in roles if roles[language] == role] for role in ("source", "target", "both")
    )
    above = (len(both) + 1) // 2
    # An empty place where there is one more above than below, so that the sources are opposite to the targets.
    below = [*both[above:], *[None] * (2 * above - len(both))]
    # Anticlockwise, so that the languages on the right and on the left are read downwards.
    order = [*targets[::-1], *both[:above][::-1], *sources, *below]
    first = start - (len(targets) - 1) / 2 * _TURN / max(1, len(order))
    for number, language in enumerate(order):
        if language is not None:
            angle = first + number * _TURN / len(order)
            x, y = radius * cos(angle), radius * sin(angle)
            yield Node(language, roles[language], x, y, degrees(angle) % 360)


def curve(start: Node, end: Node, steps: int) -> Sequence[tuple[float, float]]:
    """Return points on the arc of an edge: a quadratic Bézier curve that bends to the left of its direction.

    So the two directions of a pair do not cover each other. Arcs between two outer languages bend to the centre.
    """
    across, up = end.x - start.x, end.y - start.y
    length = hypot(across, up) or 1.0
    inwards = 0.45 if "parent" not in (start.role, end.role) else 0.0
    bend = 0.16 if inwards == 0 else 0.08
    x = (start.x + end.x) / 2 * (1 - inwards) - bend * up
    y = (start.y + end.y) / 2 * (1 - inwards) + bend * across
    margin = min(0.04 / length, 0.2)  # so that the line starts and ends at the edge of a node, not at its centre
    points = []
    for step in range(steps):
        t = margin + (1 - 2 * margin) * step / (steps - 1)
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        points.append((a * start.x + b * x + c * end.x, a * start.y + b * y + c * end.y))
    return points
