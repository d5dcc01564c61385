"""What runs for longer than a request."""
