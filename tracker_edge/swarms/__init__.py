"""Who is on which torrent right now: peers in memory, a projection of the journal that answers in O(numwant)."""

from tracker_edge.swarms.swarm import NO_SLOT, TOO_MANY_PEERS, Swarm
from tracker_edge.swarms.table import Gone, Seen, Session, Swarms

__all__ = ["NO_SLOT", "TOO_MANY_PEERS", "Gone", "Seen", "Session", "Swarm", "Swarms"]
