"""Backups of a site: the log, the journal and what lies beside them, in parts that may be kept for different times.

A backup is logical (COPY within one snapshot), so that any PostgreSQL can be restored into any newer one, personal keys
are a part of their own, and a restore may end at any position of the log.
"""
