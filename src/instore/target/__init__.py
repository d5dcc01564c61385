"""The store's side of the wire: objects, the processes that transform them, and the job that brings the two together.

Knows `instore.protocol` and `instore.errors`, never the server: the two meet on the wire alone.
"""
