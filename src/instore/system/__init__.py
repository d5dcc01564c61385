"""What the operating system gives: threads, limits, files, text for terminals."""
