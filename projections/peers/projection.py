"""The tables that the announce journal adds up to; the modules beside this one declare what changes them."""

from __future__ import annotations

from runtime.projection import Projection

peers = Projection(
    "peers",
    "peer",
    "transfer",
    "user_stats",
    "torrent_stats",
    "torrent_history",
    "user_history",
    "user_history_clock",
    "torrent_size",
    "site_history",
    "site_swarm",
    "snatch",
    "projected_segment",
    "promotion_window",
    "credit_group",
    "credit_member",
    "credit_membership",
    "deleted_torrent",
    causes=True,  # of when the store took them
    keyed_last=("transfer",),
)
