"""What people write in `mappings/` and in the environment: read once, checked whole, or refused."""

from bridge.config.files import BRIDGE_FILE
from bridge.config.in_use import InUse
from bridge.config.kept import troubles
from bridge.config.loading import Loaded, load, require
from bridge.config.options import OPTIONS, Option, Settings, settings, unknown_variables

__all__ = [
    "BRIDGE_FILE",
    "OPTIONS",
    "InUse",
    "Loaded",
    "Option",
    "Settings",
    "load",
    "require",
    "settings",
    "troubles",
    "unknown_variables",
]
