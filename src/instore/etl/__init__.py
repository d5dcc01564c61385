"""An ETL as its target sees it: its server's process, and the ways to have an object transformed by it."""
