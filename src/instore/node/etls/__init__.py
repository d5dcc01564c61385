"""The ETLs of a node: their servers, their single objects, their errors."""
