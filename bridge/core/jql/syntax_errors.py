"""The parser's errors, worded like Jira's, with the operator or word that the author may mean."""

from __future__ import annotations

from typing import Final

from bridge.core.jql.lexicon import KEYWORDS, RESERVED
from bridge.core.jql.messages import bad_filter, did_you_mean, shorten
from bridge.core.jql.tokens import Token
from bridge.errors import BadFilter

OPERATORS: Final = (
    "'=', '!=', '<', '>', '<=', '>=', '~', '!~', 'IN', 'NOT IN', 'IS', 'IS NOT', "
    "'WAS', 'WAS NOT', 'WAS IN', 'WAS NOT IN' and 'CHANGED'"
)
#: Operators of other languages -> the operator of JQL.
_FOREIGN: Final = {
    "==": "=",
    "===": "=",
    "<>": "!=",
    "=!": "!=",
    "=~": "~",
    "=<": "<=",
    "=>": ">=",
    "contains": "~",
    "like": "~",
    "equals": "=",
    "has": "=",
}
_WORDS: Final = ("in", "is", "was", "changed")


def unexpected(text: str, token: Token, expecting: str, role: str = "") -> BadFilter:
    """Return the error for an unexpected token; in quotes it could be a `role`."""
    if token.kind == "end":
        message = f"Expecting {expecting} before the end of the query."
    elif role and token.kind in RESERVED:
        message = (
            f"'{token.text}' is a reserved JQL word. "
            f"You must surround it in quotation marks to use it as a {role}."
        )
    else:
        message = f"Expecting {expecting} but got '{shorten(token.text)}'."
        if role and token.kind in KEYWORDS:
            message += (
                f" You must surround '{token.text}' in quotation marks to use it as a {role}."
            )
    return bad_filter(text, token.start, message)


def no_operator(text: str, token: Token) -> BadFilter:
    """Return the error for a token in the position of an operator."""
    got = (
        "before the end of the query" if token.kind == "end" else f"but got '{shorten(token.text)}'"
    )
    meant = _FOREIGN.get(token.text.lower(), "")
    guess = f" Did you mean '{meant}'?" if meant else did_you_mean(token.text, _WORDS)
    message = f"Expecting operator {got}. The valid operators are {OPERATORS}.{guess}"
    return bad_filter(text, token.start, message)


def unexpected_after_clause(text: str, tokens: list[Token], at: int, expecting: str) -> BadFilter:
    """Return the error for a token after a complete clause; mostly a value needs quotes."""
    token, before = tokens[at], tokens[at - 1]
    error = unexpected(text, token, expecting)
    if token.kind == "word" and before.kind in ("word", "number"):
        both = f'"{before.text} {token.text}"'
        error = bad_filter(
            text, token.start, f"{error} A value of several words needs quotes: {both}."
        )
    return error


def no_operand(text: str, token: Token, written: str, expecting: str) -> BadFilter:
    """Return the error for a token after an operator, which may be of another language."""
    meant = _FOREIGN.get(written + token.text)
    if meant:
        message = f"There is no operator '{written}{token.text}'. Did you mean '{meant}'?"
        return bad_filter(text, token.start, message)
    return unexpected(text, token, expecting, "value")
