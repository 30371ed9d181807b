"""Open-loop load on an edge by clients that count their bytes, and a check of every byte at the end."""
