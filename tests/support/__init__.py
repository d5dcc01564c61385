"""What the tests run against: real server processes, and small peers of their own."""
