"""Every object of a source through a transform into a destination."""
