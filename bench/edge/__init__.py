"""The edge's speed and size: `python -m bench.edge`."""
