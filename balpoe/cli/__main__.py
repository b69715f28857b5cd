"""`python -m balpoe.cli COMMAND`."""

from balpoe.cli.main import main

main()
