"""The bridge is killed at named points and at random, and its promises are checked from outside.

What was promised is in the load's own journal, what Aha! was told in the sink's, and both are
compared with the bridge's rows.
"""
