"""What builds a transform's image."""
