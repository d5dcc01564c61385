"""An ETL as its target sees it: its server's process, and the ways to ask it for an object."""
