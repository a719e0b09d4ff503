"""The formats in which weights may be stored. In memory weights are float32, in which everything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from continual_mt.errors import CorruptionError

StoredPrecision = Literal["float32", "float16", "bfloat16", "int8"]
PRECISIONS: tuple[StoredPrecision, ...] = get_args(StoredPrecision)
VALUE_BYTES: Mapping[StoredPrecision, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
"""The size of a stored value, in int8 without the scales of its rows."""


def read_precision(description: Mapping[str, object], name: str) -> StoredPrecision:
    """Return the precision in a description, which comes from the piece ``name``; float32 is never written there.

    Raises CorruptionError if it is missing or has another value.
    """
    for precision in PRECISIONS[1:]:
        if description.get("precision") == precision:
            return precision
    raise CorruptionError(
        f"{name}: invalid precision {description.get('precision')!r}; expected {' or '.join(PRECISIONS[1:])}"
    )


def precision_entry(precision: StoredPrecision) -> dict[str, StoredPrecision]:
    """Return the entry of a precision in a JSON description; empty for float32, as before there were others."""
    return {} if precision == "float32" else {"precision": precision}
