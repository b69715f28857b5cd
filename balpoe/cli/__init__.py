"""The command line: `balpoe VERB`."""

from balpoe.cli.main import main

__all__ = ["main"]
