"""The bridge for any WSGI server: `application` receives and delivers in each server process.

Settings come from the environment, as for `aha-bridge serve`, which includes a server of its own.
"""

import os

from bridge import config, logs
from bridge.web.hosted import Hosted

_settings = config.settings(os.environ)
logs.configure(_settings.log)

application = Hosted(_settings, os.environ)
