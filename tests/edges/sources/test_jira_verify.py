"""Signatures of Jira's webhooks."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import sources
from bridge.errors import BadSignature
from bridge.model import Request

SECRET = "It's a Secret to Everybody"
SIGNATURE = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"

jira = sources.get("jira")


def request(body: bytes = b"Hello World!", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(id="1", hook="h", site="s", received=0, headers=named, query={}, body=body)


def signed(method: str, secret: str = SECRET, body: bytes = b"Hello World!") -> str:
    return f"{method}={hmac.new(secret.encode(), body, method).hexdigest()}"


@pytest.mark.parametrize(
    "signature",
    [
        SIGNATURE,
        SIGNATURE.upper(),
        f" {SIGNATURE} ",
        signed("sha384"),
        signed("sha512"),
    ],
)
def test_the_right_signature_passes(signature):
    jira.verify([SECRET], request(x_hub_signature=signature))


def test_while_a_secret_is_being_replaced_either_signs():
    for secret in ("old", "new"):
        jira.verify(["old", "new"], request(x_hub_signature=signed("sha256", secret)))
    with pytest.raises(BadSignature):
        jira.verify(["old", "new"], request(x_hub_signature=signed("sha256", "other")))


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_no_signature_is_required(secrets):
    jira.verify(secrets, request())
    jira.verify(secrets, request(x_hub_signature="sha256=00"))


def test_an_empty_secret_signs_nothing():
    with pytest.raises(BadSignature):
        jira.verify(["", SECRET], request(x_hub_signature=signed("sha256", "")))


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "missing"),
        ({"x_hub_signature": ""}, "missing"),
        ({"x_hub_signature": signed("sha1")}, "sha1, which is not safe"),
        ({"x_hub_signature": signed("md5")}, "md5, which is not safe"),
        ({"x_hub_signature": SIGNATURE.partition("=")[2]}, "is not sha256="),
        ({"x_hub_signature": "sha256"}, "does not match"),
        ({"x_hub_signature": "sha256="}, "does not match"),
        ({"x_hub_signature": "sha256=é"}, "does not match"),
        ({"x_hub_signature": "crc32=00"}, "is not sha256="),
        ({"x_hub_signature": SIGNATURE[:-1] + "8"}, "does not match"),
        ({"x_hub_signature": signed("sha256", body=b"Hello World! ")}, "does not match"),
    ],
)
def test_any_other_is_refused_with_the_reason(headers, says):
    with pytest.raises(BadSignature, match=says):
        jira.verify([SECRET], request(**headers))


@given(
    st.binary(), st.text(min_size=1).filter(lambda s: s.isascii()), st.sampled_from([256, 384, 512])
)
def test_it_is_the_bytes_that_are_signed(body, secret, bits):
    digest = hmac.new(secret.encode(), body, getattr(hashlib, f"sha{bits}")).hexdigest()
    jira.verify([secret], request(body, x_hub_signature=f"sha{bits}={digest}"))
    with pytest.raises(BadSignature):
        jira.verify([secret], request(body + b" ", x_hub_signature=f"sha{bits}={digest}"))


@given(st.text())
def test_no_header_makes_it_fail_in_another_way(header):
    with pytest.raises(BadSignature):
        jira.verify([SECRET], request(b"other", x_hub_signature=header))


def test_there_is_no_handshake():
    assert jira.handshake(request()) is None
