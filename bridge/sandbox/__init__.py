"""A stand-in for Aha! to try the bridge against: it writes every comment each time it is sent.

Like the real one it does not recognise a comment that it has already written, answers 200 even to
a body that it cannot use, and 410 to a token that it does not know.

    records  what one body makes it write, and what each record holds afterwards
    faults   what it does wrong on request: delays, failures, lost answers
    state    the stand-in itself, without HTTP
    app      its HTTP routes: the webhook, lists of what it wrote as JSON, /sandbox/control
    page     the HTML page at /sandbox
    server   the stand-in as a server in a thread
"""

from bridge.sandbox.faults import Faults
from bridge.sandbox.records import Integration
from bridge.sandbox.server import Sandbox

__all__ = ["Faults", "Integration", "Sandbox"]
