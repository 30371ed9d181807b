"""Profiles as they are shown."""

from __future__ import annotations

from domain.erasures import Erasure
from domain.profiles import Profile
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

profiles = Projection("profiles", "profile")


@profiles.on(Profile.Opened)
def opened(fact: Fact[Profile.Opened], db: Writer) -> None:
    db.execute(
        "INSERT INTO profile (user_id, title, bio, version, changed_pos) VALUES (%s, '', '', %s, %s)",
        (fact.event.user_id, fact.version, fact.position),
    )


@profiles.on(Profile.Described)
def described(fact: Fact[Profile.Described], db: Writer) -> None:
    db.update(
        "UPDATE profile SET title = %s, bio = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.title, fact.event.bio, fact.version, fact.position, fact.event.user_id),
    )


@profiles.on(Profile.AvatarChosen)
def avatar_chosen(fact: Fact[Profile.AvatarChosen], db: Writer) -> None:
    _show_avatar(fact, fact.event.sha256, fact.event.blob_sha256, db)


@profiles.on(Profile.AvatarRemoved)
def avatar_removed(fact: Fact[Profile.AvatarRemoved], db: Writer) -> None:
    _show_avatar(fact, None, None, db)


@profiles.on(Profile.Cleared)
def cleared(fact: Fact[Profile.Cleared], db: Writer) -> None:
    gone = fact.event.parts
    if "avatar" in gone:
        _show_avatar(fact, None, None, db)
    db.update(
        "UPDATE profile SET title = CASE WHEN %s THEN '' ELSE title END, bio = CASE WHEN %s THEN '' ELSE bio END,"
        " version = %s, changed_pos = %s WHERE user_id = %s",
        ("title" in gone, "bio" in gone, fact.version, fact.position, fact.event.user_id),
    )


@profiles.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    db.execute(
        "UPDATE profile SET title = '', bio = '', avatar = NULL, avatar_blob = NULL WHERE user_id = %s",
        (fact.event.user_id,),
    )


def _show_avatar(fact: AnyFact, sha256: str | None, blob_sha256: str | None, db: Writer) -> None:
    db.update(
        "UPDATE profile SET avatar = %s, avatar_blob = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (sha256, blob_sha256, fact.version, fact.position, fact.event.user_id),
    )
