"""AIStore's import paths, for code that is written against its SDK, with or without the SDK beside it."""
