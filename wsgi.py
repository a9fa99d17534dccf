"""The bridge for any WSGI server: `application` receives and delivers from the first import on.

Settings come from the environment, as for `aha-bridge serve`, which needs no other server.
"""

import atexit
import os

from bridge import config, logs
from bridge.app import Bridge
from bridge.web import create

_settings = config.settings(os.environ)
logs.configure(_settings.log)
_bridge = Bridge(_settings, os.environ)
_bridge.start()
atexit.register(_bridge.stop)

application = create(_bridge)
