"""The tables that hold what is counted of users; the modules beside this one declare what changes them."""

from __future__ import annotations

from runtime.projection import Projection

user_statistics = Projection(
    "user_statistics",
    "user_statistics",
    "statistics_fact",
    "statistics_history",
    "statistics_history_clock",
    "counted_torrent",
    "counted_account",
    "counted_fill",
    causes=True,  # of when the store took them
)
