"""The inputs of one compilation (text, site, look-ups) and the warnings it collects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from bridge.core.jql.messages import bad_filter
from bridge.errors import BadFilter
from bridge.model import Site


@dataclass(kw_only=True)
class CompileContext:
    """One compilation of one filter for one site."""

    text: str
    site: Site
    #: Whether clauses that a body cannot decide may be looked up in Jira.
    lookup: bool
    #: Warnings for `check`: the offset in the text, and the message.
    warnings: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, offset: int, message: str) -> BadFilter:
        """Return the error for an offset in the filter, to raise."""
        return bad_filter(self.text, offset, message)

    def warn(self, offset: int, message: str) -> None:
        """Add a warning about an offset in the filter."""
        self.warnings.append((offset, message))

    @cached_property
    def zone(self) -> tzinfo:
        """The site's time zone."""
        try:
            return ZoneInfo(self.site.timezone)
        except (KeyError, ValueError, OSError) as error:
            message = f"The site's time zone '{self.site.timezone}' is not known."
            raise self.refuse(0, message) from error

    @property
    def monday(self) -> bool:
        """Whether the site's weeks start on Monday."""
        return self.site.week_starts.casefold() == "monday"

    @cached_property
    def custom_fields(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the site's custom fields by their names in lower case."""
        found: dict[str, set[str]] = {}
        for name, identity in self.site.fields.items():
            found.setdefault(name.casefold(), set()).add(identity)
        return {name: tuple(sorted(ids)) for name, ids in found.items()}
