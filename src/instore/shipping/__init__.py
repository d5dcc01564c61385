"""A class on its way to where it runs: pickled, with its packages, or in an image."""
