"""`python -m bridge` is `aha-bridge`."""

from bridge.cli import main

main(prog_name="aha-bridge")
