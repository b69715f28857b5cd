"""How commands end: the statuses that the README explains."""

NOTHING_COMPLETE = 1
USERS_ERROR = 2
OUR_ERROR = 70
"""Also where a driver died without a word: nobody knows better."""
SIGNALLED = 128
"""Added to the number of a signal, it is the status of a process that the signal ended."""
