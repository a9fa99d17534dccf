"""What is said of a filter that cannot be used, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from jql_samples import SITE

from bridge.core import jql
from bridge.core.jql.field_defs import FIELDS
from bridge.core.jql.function_defs import FUNCTIONS
from bridge.core.jql.messages import did_you_mean
from bridge.errors import BadFilter


def complaint(text: str, lookup: bool = True) -> BadFilter:
    with pytest.raises(BadFilter) as caught:
        jql.compile(text, SITE, lookup=lookup)
    return caught.value


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        (
            "invalid query",
            8,
            "Expecting operator but got 'query'. The valid operators are '=', '!='",
        ),
        (
            "project = CF",
            10,
            "but got 'CF'. You must surround 'CF' in quotation marks to use it as",
        ),
        (
            "project = ",
            10,
            "Expecting either a value, list or function before the end of the query.",
        ),
        (
            "status = End to End",
            9,
            "'End' is a reserved JQL word. You must surround it in quotation",
        ),
        ("status", 6, "Expecting operator before the end of the query"),
        ("user = x", 0, "'user' is a reserved JQL word. You must surround it in quotation marks"),
        ("and = x", 0, "Expecting a field name but got 'and'. You must surround 'and' in"),
        (
            "status = In Progress",
            9,
            "but got 'In'. You must surround 'In' in quotation marks to use it",
        ),
        ("project = Teams Space", 16, 'A value of several words needs quotes: "Teams Space".'),
        (
            "project = X labels = y",
            12,
            "Expecting 'AND', 'OR' or the end of the query but got 'labels'.",
        ),
        ("project = X)", 11, "Expecting 'AND', 'OR' or the end of the query but got ')'."),
        ("(project = X", 12, "Expecting ')', 'AND' or 'OR' before the end of the query."),
        ("a = b@c", 5, r"The character '@' is a reserved JQL character. You must enclose it in a"),
        ("a = b@c", 5, r"or use the escape '\u0040' instead."),
        ('a = "b', 4, 'The quoted string "b has not been completed.'),
        ('a = "' + "b" * 99, 4, "b… has not been completed."),
        (r'a = "b\q"', 6, r"'\q' is an illegal JQL escape sequence."),
        (r"a = b\q", 5, r"'\q' is an illegal JQL escape sequence."),
        ('a = "b\tc"', 6, "The character U+0009 must be written as an escape, inside quotes."),
        ("a = \x01", 4, "The character U+0001 must be written as an escape"),
        ("status == Open", 8, "There is no operator '=='. Did you mean '='?"),
        ("status <> Open", 8, "There is no operator '<>'. Did you mean '!='?"),
        ("status =! Open", 8, "There is no operator '=!'. Did you mean '!='?"),
        ("summary contains x", 8, "Did you mean '~'?"),
        ("status iss EMPTY", 7, "Did you mean 'is'?"),
        ("status in Open", 10, "Write it in parentheses: (Open)."),
        ("summary in test", 11, "Operator 'in' does not support the non-list value 'test'."),
        ("cf[x] = 1", 3, "Expecting the number of a custom field but got 'x'."),
        ("cf[1234567890123456] = 1", 3, "No custom field has so long a number."),
        ("status was in", 13, "Expecting a list in parentheses or a function before the end"),
        ("a = f(,)", 6, "Expecting an argument or ')' but got ','."),
        ("a[] = b", 2, "Expecting the key of a property but got ']'."),
        ("order b", 6, "Expecting 'BY' but got 'b'."),
        ("project = X order by a b", 23, "Expecting ',', 'ASC', 'DESC' or the end of the query"),
        (f"a {'b' * 99} c", 2, "but got 'bbbbb"),
        (
            "universe = 42",
            0,
            "Field 'universe' does not exist or you do not have permission to view",
        ),
        ("universe = 42", 0, "A custom field needs a line in the `fields` of the site acme."),
        ("asignee = x", 0, "Did you mean 'assignee'?"),
        ('"Story Point" = 5', 0, "Did you mean 'Story Points'?"),
        ("customfield_10016 = 5", 0, "Did you mean 'cf[10016]'?"),
        (
            "summary = test",
            8,
            "The operator '=' is not supported by the 'summary' field. Did you mean '~'",
        ),
        ("status ~ foo", 7, "Did you mean '='? It takes: !=, =, changed, in"),
        ("type changed", 5, "The operator 'changed' is not supported by the 'issuetype' field."),
        ("votes is EMPTY", 6, "The operator 'is' is not supported by the 'votes' field."),
        ("votes = EMPTY", 6, "does not support searching for EMPTY values this way."),
        ("votes in (1, EMPTY)", 6, "does not support searching for EMPTY values this way."),
        ("resolution < Unresolved", 11, "does not support searching for EMPTY values this way."),
        (
            "assignee in membrsOf(x)",
            12,
            "Unable to find JQL function 'membrsOf()'. Did you mean 'membersOf'?",
        ),
        (
            "assignee = membersOf(x)",
            11,
            "Operator '=' does not support the list value 'membersOf(x)'",
        ),
        ("created > now(1)", 10, "Function 'now' expects '0' arguments but received '1'."),
        ("assignee in membersOf()", 12, "expects '1 or more' arguments but received '0'."),
        (
            "status in openSprints()",
            10,
            "The function 'openSprints' cannot be used with the field 'status'.",
        ),
        ("assignee = currentUser()", 11, "depends on who is logged in"),
        ("lastCommentedBy = currentUser()", 18, "depends on who is logged in"),
        ("lastViewed > -1d", 0, "The field 'lastViewed' depends on who is logged in"),
        (
            "created > soon",
            10,
            "Date value 'soon' for field 'created' is invalid. Valid formats include",
        ),
        ("created > -1M", 10, "There is no unit for months: use startOfMonth(-1) or weeks."),
        ("created > startOfDay(x)", 10, "The increment 'x' of 'startOfDay' is invalid"),
        ("votes > many", 8, "The value 'many' for field 'votes' is not a number."),
        ("timeSpent > lots", 12, "is not a duration such as '4h' or '2d 30m'."),
        (
            "priority > Hihg",
            11,
            "The value 'Hihg' does not exist for the field 'priority'. Did you mean 'High'?",
        ),
        ("key = nothing", 6, "The issue key 'nothing' for field 'key' is invalid."),
        ("key > nothing", 6, "The issue key 'nothing' for field 'key' is invalid."),
        ("cf[1] > b", 8, "The value 'b' for field 'cf[1]' is no number and no date."),
        ("summary[x] = 5", 0, "The field 'summary' has no properties."),
        ("nothing[x] = 5", 0, "Field 'nothing' does not exist"),
        ("summary ~ 'a~'", 10, "cannot be done faithfully here: it asks for a fuzzy"),
        ("status changed during (now())", 22, "DURING needs two dates in parentheses"),
        ("status changed after (now())", 21, "'(now())' is not a date."),
        ("status changed by EMPTY", 18, "BY needs a user."),
        ("order by nothing", 9, "Field 'nothing' does not exist"),
    ],
)
def test_messages(text: str, offset: int, words: str) -> None:
    found = complaint(text)
    assert words in str(found)
    assert found.offset == offset
    assert found.text == text


def test_the_caret_stands_under_the_spot() -> None:
    shown = jql.caret(complaint("project = X\r\nAND\tstatus == Open\r\nAND a = b")).split("\n")
    assert shown == [
        "There is no operator '=='. Did you mean '='? (line 2, character 13)",
        "AND\tstatus == Open",
        "   \t        ^",
    ]


def test_the_end_of_an_empty_line_can_be_pointed_at() -> None:
    assert jql.caret(complaint("status\n")).split("\n")[1:] == ["", "^"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("project\u00a0= PLAT", "There is a non-breaking space (U+00A0) at line 1, character 8"),
        ("project = PLAT\u00a0AND status = x", "a non-breaking space (U+00A0)"),
        ("project = “Teams in Space”", "There is a curly quote (U+201C) at line 1, character 11"),
        (
            "\ufeffproject = X",
            "There is an invisible byte order mark (U+FEFF) at line 1, character 1",
        ),
    ],
)
def test_pasted_characters_are_named(text: str, words: str) -> None:
    assert words in str(complaint(text))
    assert "type it anew" in str(complaint(text))


def test_pasted_characters_that_do_no_harm_are_a_warning() -> None:
    found = jql.compile("status = “Open”", SITE)
    assert [offset for offset, _ in found.warnings] == [9]
    assert "a curly quote" in found.warnings[0][1]


def test_only_words_of_reasonable_length_are_guessed() -> None:
    assert did_you_mean("x" * 10_000, ["x" * 9_999]) == ""
    assert did_you_mean("zzz", ["abc"]) == ""
    assert did_you_mean("PRIORTY", ["Priority"]) == " Did you mean 'Priority'?"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filter = 12000", "what a saved filter finds is not in the body"),
        ("issueFunction in hasComments()", "what an app's function finds"),
        ("issue in linkedIssues(ABC-1)", "what other issues are linked to"),
        ("issue not in updatedBy(anna)", "who updated what when"),
        ("project in projectsLeadByUser(anna)", "who leads a project"),
        ("project = PLAT or not filter = 5", "what a saved filter finds"),
        ("project.property[a].b = 5", "a property of the project"),
    ],
)
def test_what_no_body_can_decide_is_refused_without_lookup(text: str, words: str) -> None:
    message = str(complaint(text, lookup=False))
    assert "can never be decided by a webhook body" in message
    assert words in message
    assert "`lookup`" in message
    found = jql.compile(text, SITE, lookup=True)
    assert any("is unknown for every body" in warning for _, warning in found.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "assignee in membersOf(x)",
        "issue in (PLAT-1, linkedIssues(PLAT-2))",
        "component in componentsLeadByUser()",
        "fixVersion > 1.0",
        "status was Open",
        "text ~ word",
        "watcher = anna",
    ],
)
def test_what_a_body_may_decide_is_a_warning(text: str) -> None:
    found = jql.compile(text, SITE)
    assert any("unknown for most bodies" in warning for _, warning in found.warnings)
    assert all("`lookup`" in warning for _, warning in found.warnings)


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("project = X ORDER BY created", 12, "ORDER BY does not change"),
        ("sprint = 7", 0, "name it in the site's `fields`"),
        ("created > -6m", 10, "'-6m' is in minutes"),
        ("timeSpent > 2d", 12, "A day counts 8 hours"),
        ("assignee = anna@acme.example", -1, ""),
        ("priority = Urgent", 11, "'Urgent' is not among the site's priorities"),
        ("assignee = 'anna@acme.example'", 11, "account ids"),
    ],
)
def test_warnings(text: str, offset: int, words: str) -> None:
    if offset < 0:
        complaint(text)
        return
    site = SITE if "sprint" not in text else type(SITE)(name="bare")
    assert [(at, words in said) for at, said in jql.compile(text, site).warnings] == [
        (offset, True)
    ]


def test_nothing_to_say_of_a_plain_filter() -> None:
    text = "project = PLAT AND status = Open AND sprint = 7 AND priority in (High, 3) AND due < 1d"
    assert jql.compile(text, SITE).warnings == ()


def test_the_page_about_filters_names_every_field_and_function() -> None:
    page = (Path(__file__).parents[3] / "docs" / "jql.md").read_text("utf-8").casefold()
    names = {name for name in FIELDS if " " not in name} | {f"{name}(" for name in FUNCTIONS}
    assert {name for name in names if f"`{name}" not in page} == set()
