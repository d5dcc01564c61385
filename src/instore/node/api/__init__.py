"""The node's handlers, by resource."""
