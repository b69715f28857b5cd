"""The mathematics of the method: pure functions without files, clocks or services."""
