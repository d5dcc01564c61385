"""instore beside the official SDK's servers, in one run: `make bench`, or `python -m bench --list`."""
