"""The known word that a misspelt one probably stands for."""

from bridge.core.nearest import nearest


def test_the_word_most_alike_is_found_whatever_the_case():
    assert nearest("PRIORTY", ["Status", "Priority"]) == "Priority"
    assert nearest("jira-mian", ["jira-main", "jira-mobile"]) == "jira-main"


def test_a_word_that_is_like_none_has_no_nearest():
    assert nearest("zzz", ["abc"]) is None
    assert nearest("abc", []) is None


def test_the_first_in_alphabetical_order_wins_when_two_are_as_near():
    assert nearest("ab", ["abd", "abc"]) == nearest("ab", ["abc", "abd"])


def test_an_endless_word_is_not_compared():
    assert nearest("x" * 10_000, ["x" * 9_999]) is None
