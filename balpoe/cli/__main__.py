"""`python -m balpoe.cli VERB`."""

from balpoe.cli.main import main

main()
