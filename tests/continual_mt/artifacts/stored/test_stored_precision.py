from __future__ import annotations

import pytest

from continual_mt.artifacts.stored.stored_precision import PRECISIONS, VALUE_BYTES, precision_entry, read_precision
from continual_mt.errors import CorruptionError


def test_descriptions_name_every_precision_but_float32() -> None:
    assert precision_entry("float32") == {}
    for precision in PRECISIONS[1:]:
        assert precision_entry(precision) == {"precision": precision}
        assert read_precision(precision_entry(precision), "parent.json") == precision
    assert [VALUE_BYTES[precision] for precision in PRECISIONS] == [4, 2, 2, 1]


@pytest.mark.parametrize("value", ["float32", "float64", 16, None])
def test_another_value_is_refused(value: object) -> None:
    with pytest.raises(CorruptionError) as caught:
        read_precision({"precision": value}, "module.json")
    assert str(caught.value) == f"module.json: invalid precision {value!r}; expected float16 or bfloat16 or int8"
