"""Bodies are read as JSON parsers read them, and half a character as U+FFFD."""

import gzip
import json
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import bodies

texts = st.text(st.characters(exclude_categories=[])).map(lambda text: json.dumps({"a": text}))


@given(texts)
def test_every_half_and_nothing_else_is_replaced(written):
    found = bodies.read(written.encode())
    text = json.loads(written)["a"]
    # Python's own parser keeps halves; two that came from a pair are one character to it.
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert found.value == {"a": expected}
    assert bool(found.note) is (expected != text)


@pytest.mark.parametrize("end", [b"\\", b'\\"', b'"', b"\\ud8", b'"}}'])
def test_a_body_that_is_no_json_is_refused_quickly(end):
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(b'{"a":"\\ud83d' + b"x" * 1_000_000 + end)


@pytest.mark.parametrize("raw", [b"", b"{", b'"\xed\xa0\xbd"', b"NaN"])
def test_a_body_without_a_lone_half_is_not_repaired(raw):
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(raw)


def test_a_body_of_nothing_but_halves_is_refused():
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(b'"' + b"\\ud83d" * 10_001 + b'"')
    assert bodies.read(b'"' + b"\\ud83d" * 10_000 + b'"').value == "\ufffd" * 10_000


def many(count):
    """Make a body of so many values in all."""
    return b'{"a":[' + b",".join([b"{}"] * (count - 2)) + b"]}"


TOO_MUCH = {
    "one value too many": (many(bodies.MAX_VALUES + 1), "more than 500000 values"),
    "30 MB of empty objects": (b"[" + b"{}," * 10_000_000 + b"{}]", "more than 500000 values"),
    "as many texts": (b'["",' + b'"",' * bodies.MAX_VALUES + b'""]', "more than 500000 values"),
    "texts, and no JSON": (
        b'""' * (2 * bodies.MAX_VALUES + 1) + b"," * (bodies.MAX_VALUES + 1),
        "more than 500000 values",
    ),
    "digits without end": (b'{"a": -%s}' % (b"7" * 100_000), "number of more than 1000 digits"),
    "digits of a fraction": (b'{"a": 0.%s}' % (b"0" * 100_000), "number of more than 1000 digits"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_body_that_would_take_much_memory_is_not_read(name):
    raw, why = TOO_MUCH[name]
    with pytest.raises(bodies.TooMuch, match=why):
        bodies.read(raw)


def test_as_many_values_as_may_be_are_read():
    assert len(bodies.read(many(bodies.MAX_VALUES // 2)).value["a"]) == bodies.MAX_VALUES // 2 - 2


@pytest.mark.parametrize(
    "text",
    [
        "," * 600_000,
        "[{" * 300_000,
        '"' * 600_000 + "," * 600_000,
        "\\" * 600_001 + '",[' * 200_000,
        "7" * 100_000,
    ],
)
def test_characters_inside_a_text_are_not_values(text):
    assert bodies.read(orjson.dumps({"a": text})).value == {"a": text}


# Packed


@given(st.binary(max_size=10_000))
def test_a_compressed_body_is_decompressed(body):
    assert bodies.gunzip(gzip.compress(body), 10_000) == body


def test_no_more_is_unpacked_than_may_be():
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(bodies.TooMuch, match="unpacks to more than 1000 bytes"):
        bodies.gunzip(bomb, 1000)
    assert bodies.gunzip(bomb, 10_000_000) == bytes(10_000_000)


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (gzip.compress(b"{}" * 100)[:-4], "it ends too early"),
        (b"", "it ends too early"),
        (gzip.compress(b"{}") + b"more", "something follows its end"),
        (b"{}", "incorrect header"),
    ],
    ids=["cut", "empty", "followed", "plain"],
)
def test_a_body_that_is_no_gzip_is_refused(packed, why):
    with pytest.raises(zlib.error, match=why):
        bodies.gunzip(packed, 1000)
