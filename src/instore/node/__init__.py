"""The REST node: one process that answers as an AIStore cluster does, above the stores of `target`."""
