"""The words of `type`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.transforms import TRANSFORMS

DOC = {
    "type": "doc",
    "content": [{"type": "paragraph", "content": [{"type": "text", "text": "hi"}]}],
}


@pytest.mark.parametrize(
    ("word", "value", "result"),
    [
        ("text", "as it is", "as it is"),
        ("text", 5, "5"),
        ("text", 5.0, "5"),
        ("text", 5.5, "5.5"),
        ("text", 1e300, "1e+300"),
        ("text", True, "true"),
        ("text", False, "false"),
        ("text", DOC, "hi"),
        ("number", 5, 5),
        ("number", 5.5, 5.5),
        ("number", " 5 ", 5),
        ("number", "-5.50", -5.5),
        ("number", "1e3", 1000.0),
        ("integer", "5.0", 5),
        ("integer", -3.0, -3),
        ("boolean", True, True),
        ("boolean", " YES ", True),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("boolean", "off", False),
        ("date", "2024-05-01", "2024-05-01"),
        ("date", "2024-05-01T23:30:00.000-0800", "2024-05-01"),
        ("date", 1714550400000, "2024-05-01"),
        ("datetime", "2024-05-01T23:30:00.123-0800", "2024-05-01T23:30:00.123-08:00"),
        ("datetime", "2024-05-01T23:30:00Z", "2024-05-01T23:30:00.000+00:00"),
        ("datetime", "2024-05-01", "2024-05-01T00:00:00.000+00:00"),
        ("datetime", 1714550400123, "2024-05-01T08:00:00.123+00:00"),
        ("datetime", 0, "1970-01-01T00:00:00.000+00:00"),
    ],
)
def test_conversions(word, value, result):
    converted = TRANSFORMS[word](value)
    assert converted == result
    assert type(converted) is type(result)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text", {"name": "x"}),
        ("text", ["x"]),
        ("number", "5,5"),
        ("number", "five"),
        ("number", ""),
        ("number", "٣"),
        ("number", "9" * 400),
        ("number", "9" * 40),
        ("number", 2**63),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", True),
        ("number", {"value": 5}),
        ("integer", 5.5),
        ("integer", "5.5"),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", {}),
        ("date", "01/May/24"),
        ("date", ""),
        ("date", 10**18),
        ("date", -(10**18)),
        ("date", True),
        ("datetime", "yesterday"),
        ("datetime", ["2024-05-01"]),
    ],
)
def test_conversions_that_are_refused(word, value):
    with pytest.raises(ValueError, match=r"\w"):
        TRANSFORMS[word](value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(TRANSFORMS)), json_values)
def test_a_conversion_returns_a_value_or_a_reason_and_is_stable(word, value):
    convert = TRANSFORMS[word]
    try:
        once = convert(value)
    except ValueError:
        return
    assert convert(once) == once
