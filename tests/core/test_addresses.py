"""Which hosts are not on the open internet."""

import pytest

from bridge.core.addresses import is_private


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fd00::1",
        "fe80::1%eth0",
        "ff02::1",
        "::ffff:10.0.0.1",
        "localhost",
        "aha.localhost",
        "aha.local",
        "aha.internal",
    ],
)
def test_private(host):
    assert is_private(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "acme.aha.io", "local.aha.io"]
)
def test_public(host):
    assert not is_private(host)
