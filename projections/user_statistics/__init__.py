"""Uploads, requests, bounties, points, reports and sign-ins of each user and of the site, counted and explained."""

from projections.user_statistics import counting
from projections.user_statistics.projection import user_statistics

__all__ = ["counting", "user_statistics"]
