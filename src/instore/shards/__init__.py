"""Shards: archives whose members are objects. Read and written as streams (docs/shards.md)."""
