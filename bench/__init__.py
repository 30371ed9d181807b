"""Benchmarks: `python -m bench.NAME`, each prints its figures as ratios to a reference measured in the same run."""
