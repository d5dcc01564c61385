"""The ETL server, in the order of a request: its source, the user's code, where the result goes."""
