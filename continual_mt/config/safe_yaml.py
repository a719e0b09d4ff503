"""Read YAML from untrusted sources: plain values only, and with limits on the time and memory it can take."""

from __future__ import annotations

from typing import Any

import yaml

MAXIMUM_DEPTH = 40
MAXIMUM_VALUES = 100_000
MAXIMUM_NUMBER = 100
_SHOWN = 400


def load_yaml(text: str) -> Any:
    """Parse a text. Raises ValueError if it is invalid YAML or exceeds a limit."""
    try:
        return _Loader(text).get_single_data()
    # PyYAML raises all of these, for example for "!!int x", "!!bool x", "!!timestamp x" and impossible dates.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(shown(" ".join(str(error).split()))) from error


def shown(text: str) -> str:
    """Shorten a user's text and escape its control characters, which a terminal would obey."""
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


class _Loader(yaml.SafeLoader):
    """A safe loader with limits that rejects duplicate keys, of which PyYAML silently drops the first."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _values(node, {}) > MAXIMUM_VALUES:
            words = f"more than {MAXIMUM_VALUES:,} values once aliases are expanded, or an alias that contains itself"
            raise yaml.composer.ComposerError(None, None, words, node.start_mark)
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            words = f"nested deeper than {MAXIMUM_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, words, parent.start_mark if parent else None)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag != self.DEFAULT_SCALAR_TAG and len(node.value) > MAXIMUM_NUMBER:
            words = f"a number of {len(node.value):,} digits. Fix: put quotes around text"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                words = f"duplicate key {shown(key.value)}"
                raise yaml.constructor.ConstructorError(None, None, words, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a node with all aliases expanded; above the limit if it contains itself."""
    if id(node) not in known:
        known[id(node)] = MAXIMUM_VALUES + 1
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]
