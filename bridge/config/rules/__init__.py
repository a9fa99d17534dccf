"""Rules across files: errors that no file has on its own."""

from __future__ import annotations

from collections.abc import Callable

from bridge.config.documents import Findings
from bridge.config.draft import ConfigurationDraft
from bridge.config.rules.destinations import (
    former_names_are_free,
    one_callback_one_destination,
    one_workspace_one_user,
)
from bridge.config.rules.hooks import (
    one_token_one_hook,
    signatures_are_checked,
    sites_are_explicit,
    sites_have_hooks,
)
from bridge.config.rules.overlaps import effects_go_once
from bridge.config.rules.routes import (
    everything_is_used,
    lookups_are_not_there_yet,
    names_exist,
    nothing_is_open_by_accident,
    workspaces_can_be_written,
)

#: In order; the last ones only run when there is no error so far.
RULES: tuple[Callable[[ConfigurationDraft, Findings], None], ...] = (
    one_token_one_hook,
    sites_have_hooks,
    one_callback_one_destination,
    one_workspace_one_user,
    former_names_are_free,
    names_exist,
    workspaces_can_be_written,
    lookups_are_not_there_yet,
    effects_go_once,
    sites_are_explicit,
    nothing_is_open_by_accident,
    signatures_are_checked,
    everything_is_used,
)
