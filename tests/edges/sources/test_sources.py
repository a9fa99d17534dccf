"""The folder of sources is their list."""

import pytest

from bridge import sources
from bridge.errors import NotFound


def test_a_file_name_is_a_registration():
    assert "jira" in sources.names()
    assert list(sources.names()) == sorted(sources.names())


def test_every_source_has_the_three_functions():
    for name in sources.names():
        source = sources.get(name)
        assert all(map(callable, (source.verify, source.handshake, source.read)))


@pytest.mark.parametrize("name", ["", "Jira", "jira.effects", "..model", "nothing"])
def test_no_other_module_can_be_had(name):
    with pytest.raises(NotFound, match="jira"):
        sources.get(name)
