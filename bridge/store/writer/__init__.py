"""The one thread of a process that writes, and what it does without a database."""
