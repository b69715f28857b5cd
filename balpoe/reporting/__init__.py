"""What people see: progress and results, from data to the screen."""
