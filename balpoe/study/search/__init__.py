"""What to try next, when to stop a trial and when the search ends."""
