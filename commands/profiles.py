"""What users say of themselves, the picture that they choose, and what staff take away again."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import APIRouter, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from commands.users import outranked
from domain.permissions import Permission
from domain.profiles import AVATAR_BYTES_MAX, AVATAR_SIDE, Profile, ProfilePart, profile_id
from runtime.blobs import keeping
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.pictures import PictureTooLarge, made_anew
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/users", tags=["profiles"], route_class=CommandRoute)

Author = Annotated[Caller, Requires(Permission.POST)]
Editor = Annotated[Caller, Requires(Permission.USERS_EDIT_PROFILES)]


class DescribeOneself(Command):
    """All of it; what is left out is empty. The text is Markdown without HTML."""

    title: str = ""
    bio: str = ""


class ChooseAvatar(BaseModel):
    """A multipart form with a PNG, JPEG, GIF or WebP of at most 2 MiB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: UploadFile


AvatarForm = Annotated[ChooseAvatar, Form(media_type="multipart/form-data")]


class AvatarChosen(Receipt):
    """Where the picture is."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"avatar"})

    avatar: str


class ClearProfile(Command):
    parts: list[ProfilePart] = Field(min_length=1, max_length=len(ProfilePart))
    reason: str


@router.put("/me/profile")
def describe_oneself(command: DescribeOneself, caller: Author, store: StoreDep) -> Receipt:
    """Set the caller's title and what it says about itself."""
    profile = _profile(store, caller.user_id)
    profile.describe(command.title.strip(), command.bio.strip())
    return store.save(profile)


@router.put("/me/avatar")
def choose_avatar(command: AvatarForm, caller: Author, store: StoreDep, now: Clock) -> AvatarChosen:
    """Set the caller's picture. It is decoded and made anew, at most 256 pixels wide and high, without its metadata."""
    data = command.file.file.read(AVATAR_BYTES_MAX + 1)
    if len(data) > AVATAR_BYTES_MAX:
        raise PictureTooLarge(f"a picture has at most {AVATAR_BYTES_MAX} bytes")
    profile = _profile(store, caller.user_id)
    profile.check_avatars(now=now)
    picture = made_anew(data, AVATAR_SIDE)
    name = sha256(caller.user_id.bytes + picture).hexdigest()  # that two show the same is nobody's business
    # Under the user's data key: the store forgets nothing, and an erased person's picture is to be gone.
    sealed = store.history.keyring.seal(caller.user_id, b64encode(picture).decode(), f"avatar/{name}").encode()
    profile.choose_avatar(name, sha256(sealed).hexdigest(), now=now)
    return store.save(
        profile,
        answer=AvatarChosen,
        beside=keeping(sealed),
        id=caller.user_id,
        version=profile.version,
        avatar=f"/api/v1/avatars/{name}",
    )


@router.delete("/me/avatar")
def remove_avatar(caller: Author, store: StoreDep) -> Receipt:
    """Show no picture of the caller any more."""
    profile = _profile(store, caller.user_id)
    profile.remove_avatar()
    return store.save(profile)


@router.post("/{user_id}/profile/clear")
def clear_profile(user_id: Id, command: ClearProfile, staff: Editor, store: StoreDep) -> Receipt:
    """Take away parts of the profile of a user of a lower level."""
    outranked(staff, user_id, store)
    profile = _profile(store, user_id)
    profile.clear(command.parts, command.reason)
    return store.save(profile)


def _profile(store: Store, user_id: UUID) -> Profile:
    return store.edit_or_open(Profile, profile_id(user_id), lambda: Profile.open(user_id))
