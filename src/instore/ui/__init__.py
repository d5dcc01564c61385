"""The page in a browser: its files, and what serves them."""
