"""Exit statuses of the commands."""

NOTHING_COMPLETE = 1
USER_ERROR = 2
INTERNAL_ERROR = 70
"""A bug in balpoe, or a driver that died without an exit message."""
SIGNALLED = 128
"""Plus the number of the signal: the status of a process that was ended by it."""
