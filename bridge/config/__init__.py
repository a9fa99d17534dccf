"""Mapping files and settings: read once, checked as a whole, or refused with every problem."""

from bridge.config.files import BRIDGE_FILE
from bridge.config.last_good import reload_errors
from bridge.config.live import LiveConfiguration
from bridge.config.loading import Loaded, load, require
from bridge.config.options import OPTIONS, Option, Settings, settings, unknown_variables

__all__ = [
    "BRIDGE_FILE",
    "OPTIONS",
    "LiveConfiguration",
    "Loaded",
    "Option",
    "Settings",
    "load",
    "reload_errors",
    "require",
    "settings",
    "unknown_variables",
]
