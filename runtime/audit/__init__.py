"""Evidence that the log is what it was: events hashed into blocks, blocks into a tree, and its root signed.

`merkle`, `leaf`, `block` and `export` need no database: they are what somebody outside checks the site with.
"""
