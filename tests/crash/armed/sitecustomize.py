"""Found by every Python that is started with this folder on its path: arms its crash point."""

from crash.points import arm

arm()
