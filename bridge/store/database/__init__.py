"""The two databases: connecting, statements, errors, clocks; nothing of the domain."""
