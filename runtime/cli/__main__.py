"""`python -m runtime.cli`: what `tracker` is where the package is not installed."""

from runtime.cli.main import main

main()
