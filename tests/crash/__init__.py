"""Kills the bridge at named points and at random, and checks its guarantees from outside.

The load's journal holds every accepted request, and the sink's every request that Aha! received;
both are compared with the bridge's rows.
"""
