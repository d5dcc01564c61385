"""`python -m instore`."""

from instore.cli import main

main()
