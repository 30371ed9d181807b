"""Long runs that the suite only takes a slice of: `python -m tests.campaigns.NAME`."""
