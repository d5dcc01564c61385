"""Fuzzers for what parses bytes from the wire: `make fuzz` runs them long, the tests run them for a moment."""
