"""What a filter is compiled against: its text, the site, and the warnings gathered on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from bridge.core.jql.errors import complaint
from bridge.errors import BadFilter
from bridge.model import Site


@dataclass(kw_only=True)
class CompileContext:
    """One compilation of one filter."""

    text: str
    site: Site
    #: What a body cannot decide may be looked up in Jira.
    lookup: bool
    #: Offset and message of what `check` should say.
    warnings: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, offset: int, message: str) -> BadFilter:
        """Make the error for a place of the filter."""
        return complaint(self.text, offset, message)

    def warn(self, offset: int, message: str) -> None:
        """Keep something `check` should say of a place of the filter."""
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
