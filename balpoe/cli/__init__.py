"""The command line: `balpoe COMMAND`."""

from balpoe.cli.main import main

__all__ = ["main"]
