"""Uploads and what staff decide about them: into the queue, out of it, promotion, deletion."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from domain.base import Aggregate
from domain.categories import Category, UnknownCategory, category_id
from domain.claims import Claim, claim_id
from domain.factors import MAX_UPLOAD_PERCENT, Factors
from domain.metainfo import MAX_BYTES, Metainfo, announce_hashes, parse
from domain.metainfo.bencode import encode
from domain.permissions import Permission
from domain.torrents import DuplicateTorrent, Torrent, TorrentState
from runtime.blobs import keeping
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Member, Requires, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import NoSuchThing, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/torrents", tags=["torrents"], route_class=CommandRoute)

Uploader = Annotated[Caller, Requires(Permission.UPLOAD)]
Moderator = Annotated[Caller, Requires(Permission.TORRENTS_MODERATE)]
FreeleechGiver = Annotated[Caller, Requires(Permission.TORRENTS_FREELEECH)]


class UploadTorrent(BaseModel):
    """A multipart form; without `name` the title is the torrent's own name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: UploadFile
    name: str = ""
    description: str = ""
    category: str = Field(max_length=64)
    tags: list[str] = Field([], description="one field each, or separated by commas", max_length=50)
    anonymous: bool = False


UploadForm = Annotated[UploadTorrent, Form(media_type="multipart/form-data")]


class Uploaded(Receipt):
    """`private_added`: the file was not private, so clients have to take ours; its hashes are given here."""

    status: TorrentState
    info_hash_v1: str | None
    info_hash_v2: str | None
    private_added: bool


class Decided(Receipt):
    """What was decided and what the torrent is now."""

    status: TorrentState


class RejectTorrent(Command):
    reason: str


class DeleteTorrent(Command):
    reason: str


class GrantFreeleech(Command):
    until: Timestamp


class Promote(Command):
    """Uploads count 100 to 200 %, downloads 0 to 100 %; or neither counts at all (neutral)."""

    upload_percent: int = Field(100, ge=0, le=MAX_UPLOAD_PERCENT)
    download_percent: int = Field(100, ge=0, le=100)
    until: Timestamp | None = Field(None, description="null until it is ended")

    @property
    def promised(self) -> Factors:
        return Factors(self.upload_percent, self.download_percent)


@router.post("", status_code=201)
def upload_torrent(command: UploadForm, caller: Uploader, store: StoreDep) -> Uploaded:
    """Share a torrent. Trusted uploaders' are approved at once, others wait for staff."""
    metainfo = parse(command.file.file.read(MAX_BYTES + 1))
    if store.find(Category, category_id(command.category)) is None:
        raise UnknownCategory("no category has this slug")
    torrent_id = new_id()
    claims = [_claim(key, torrent_id, caller, store) for key in _claimed_hashes(metainfo)]
    stored = _stored_form(metainfo)
    torrent = Torrent.upload(
        torrent_id,
        metainfo,
        uploader_id=caller.user_id,
        name=command.name.strip() or metainfo.name,
        description=command.description.strip(),
        category=command.category,
        tags=[tag for field in command.tags for tag in field.split(",")],
        anonymous=command.anonymous,
        metainfo_sha256=sha256(stored).hexdigest(),
        trusted=caller.can(Permission.UPLOAD_TRUSTED),
    )
    return store.save(
        torrent,
        *claims,
        answer=Uploaded,
        beside=keeping(stored),
        status=torrent.state,
        info_hash_v1=torrent.info_hash_v1,
        info_hash_v2=torrent.info_hash_v2,
        private_added=metainfo.private_added,
    )


@router.post("/{torrent_id}/approve")
def approve_torrent(torrent_id: Id, staff: Moderator, store: StoreDep) -> Decided:
    """List a torrent that waits in the queue, or that was rejected."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.approve(by=staff.user_id)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.post("/{torrent_id}/reject")
def reject_torrent(torrent_id: Id, command: RejectTorrent, staff: Moderator, store: StoreDep) -> Decided:
    """Keep a torrent out of the lists; its uploader sees the reason."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.reject(command.reason)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.delete("/{torrent_id}")
def delete_torrent(torrent_id: Id, command: DeleteTorrent, caller: Member, store: StoreDep, now: Clock) -> Decided:
    """Staff delete any torrent, uploaders their own within a day. Its info-hash stays taken."""
    torrent = store.edit(Torrent, torrent_id)
    if not sees(caller, torrent):
        raise NoSuchThing("no such torrent")
    staff = caller.can(Permission.TORRENTS_MODERATE)
    torrent.delete(command.reason, by=caller.user_id, staff=staff, now=now)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.post("/{torrent_id}/freeleech")
def grant_freeleech(
    torrent_id: Id, command: GrantFreeleech, staff: FreeleechGiver, store: StoreDep, now: Clock
) -> Decided:
    """Downloads of this torrent are not charged until then. Replaces any other promotion of it."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.grant_freeleech(command.until, now=now)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.delete("/{torrent_id}/freeleech")
def end_freeleech(torrent_id: Id, staff: FreeleechGiver, store: StoreDep, now: Clock) -> Decided:
    """Downloads are charged again from now on: ends a promotion by which they are not."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.end_freeleech(now=now)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.put("/{torrent_id}/promotion")
def promote_torrent(torrent_id: Id, command: Promote, staff: FreeleechGiver, store: StoreDep, now: Clock) -> Decided:
    """Count bytes on this torrent otherwise than in full. Replaces the promotion before, freeleech too."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.promote(command.promised, command.until, now=now)
    return store.save(torrent, answer=Decided, status=torrent.state)


@router.delete("/{torrent_id}/promotion")
def end_promotion(torrent_id: Id, staff: FreeleechGiver, store: StoreDep, now: Clock) -> Decided:
    """Bytes on this torrent count in full from now on."""
    torrent = store.edit(Torrent, torrent_id)
    torrent.end_promotion(now=now)
    return store.save(torrent, answer=Decided, status=torrent.state)


def _claimed_hashes(metainfo: Metainfo) -> list[tuple[str, str]]:
    """Kind and key of each claim: what clients announce, and the whole version 2 hash that 20 bytes only begin."""
    keys = [("info_hash", announced.hex()) for announced in announce_hashes(metainfo)]
    return keys + ([("info_hash_v2", metainfo.info_hash_v2.hex())] if metainfo.info_hash_v2 else [])


def _claim(key: tuple[str, str], torrent_id: UUID, caller: Caller, store: Store) -> Aggregate:
    taken = store.find(Claim, claim_id(*key))
    if taken is None:
        return Claim.make(claim_id(*key), key[0], torrent_id)
    other = store.find(Torrent, taken.holder_id) if taken.holder_id else None
    if other is not None and sees(caller, other):
        raise DuplicateTorrent(f"this torrent exists: /torrents/{other.id}")
    raise DuplicateTorrent("this torrent exists")


def sees(caller: Caller, torrent: Torrent) -> bool:
    """Whether the torrent is there for this caller."""
    return torrent.seen_by(caller.user_id, staff=caller.can(Permission.TORRENTS_MODERATE))


def visible_torrent(torrent_id: UUID, caller: Caller, store: Store) -> Torrent:
    """The torrent; raises `NoSuchThing` for one that the caller may not see."""
    torrent = store.get(Torrent, torrent_id)
    if not sees(caller, torrent):
        raise NoSuchThing("no such torrent")
    return torrent


def _stored_form(metainfo: Metainfo) -> bytes:
    """What every user's copy is made from: the info dictionary and the piece layers, without any announce URL."""
    layers = [] if metainfo.piece_layers is None else [encode(b"piece layers"), metainfo.piece_layers]
    return b"".join([b"d", encode(b"info"), metainfo.info, *layers, b"e"])
