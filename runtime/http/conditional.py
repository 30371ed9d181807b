"""Answers that whoever asks may have already: entity tags, and what is asked about them (RFC 9110 section 13.1)."""

from __future__ import annotations

import re
from hashlib import sha256

#: What can be in a list of tags; a tag that nobody made is equal to none.
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def entity_tag(content: bytes) -> str:
    """Equal for equal bytes, and for no others."""
    return f'"{sha256(content).hexdigest()[:32]}"'


def has_it(if_none_match: str | None, tag: str) -> bool:
    """Whether one of the tags that were sent is this one; a proxy that compresses makes them weak, which does not count
    here."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)
