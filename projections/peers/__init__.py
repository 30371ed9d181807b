"""Sessions, credit, swarms and snatches: the announce journal in the order of the log, added up."""

from projections.peers import journal, windows
from projections.peers.projection import peers

__all__ = ["journal", "peers", "windows"]
