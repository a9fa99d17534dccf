"""Whether the sites of bridge.yaml are the installations that the hooks' bodies name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from bridge.store import Named, Store

#: The beginning of an installation's address at Atlassian's gateway. It has an address of its own,
#: too, so that the two together are one Jira.
_GATEWAY = "api.atlassian.com/ex/"


def warnings(store: Store) -> tuple[str, ...]:
    """Describe sites that do not fit the installations, one sentence each; raises `Down`."""
    return describe(store.origins())


def describe(origins: Iterable[Named]) -> tuple[str, ...]:
    """Describe each site that is two installations, and each installation that is two sites."""
    several = list(origins)
    return (*_two_of_one_site(several), *_two_sites_of_one(several))


def _two_of_one_site(several: list[Named]) -> Iterator[str]:
    by_site: defaultdict[tuple[str, bool], list[Named]] = defaultdict(list)
    for each in several:
        by_site[each.site, each.origin.startswith(_GATEWAY)].append(each)
    for (site, _), group in by_site.items():
        if len({each.origin for each in group}) > 1:
            names = " and ".join(f"{each.origin} (hook {each.hook})" for each in group)
            yield (
                f"the site {site} receives bodies of {names}: if these are two installations,"
                " a change of one can be taken for a duplicate of the other's. Give their hooks"
                " different sites"
            )


def _two_sites_of_one(several: list[Named]) -> Iterator[str]:
    by_origin: defaultdict[str, list[Named]] = defaultdict(list)
    for each in several:
        by_origin[each.origin].append(each)
    for origin, group in by_origin.items():
        if len({each.site for each in group}) > 1:
            names = " and ".join(f"{each.site} (hook {each.hook})" for each in group)
            yield (
                f"the sites {names} receive bodies of one installation, {origin}: a change that"
                " arrives through hooks of both is written twice. Give their hooks the same site"
            )
