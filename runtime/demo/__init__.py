"""`tracker demo`: the history of a site that never was, made by the site's own commands and journal."""

from runtime.demo.command import demo_command

__all__ = ["demo_command"]
