"""The fault table: every door, source, shape and next hop, with everything that can go wrong on the way."""
