"""A report is upheld, appealed against, dismissed and closed."""

from __future__ import annotations

from uuid import uuid4

from domain.moderation import Case, Outcome
from tests.history.past import Past


def tell(past: Past) -> None:
    for reporter, _, torrent in past.with_others:
        moderator_id = uuid4()
        case = Case.open(uuid4(), "torrent", torrent.id, torrent.uploader_id)
        case.file_report(uuid4(), reporter.id, "dupe", "seen before")
        case.claim(moderator_id)
        case.comment(moderator_id, "looking")
        case.decide(moderator_id, Outcome.UPHELD, "it is one")
        case.appeal(torrent.uploader_id, "it is not")
        case.decide(moderator_id, Outcome.DISMISSED, "right")
        case.close(moderator_id)
        past.save(case, actor=moderator_id)
