"""Everything about me: asking for an archive, and noting that a worker has put it together."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.second_factor import must_be_recent
from domain.exports import ARCHIVE_LIFE, Export, export_id
from domain.passwords import PASSWORD_MAX
from runtime.archives import keep_archive
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Clock, StoreDep
from runtime.http.types import Command
from runtime.platform import Platform
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/users/me/export", tags=["exports"], route_class=CommandRoute)


class RequestExport(Command):
    password: Annotated[str | None, Field(max_length=PASSWORD_MAX)] = None


@router.post("", status_code=202)
def request_export(caller: AccountOwner, store: StoreDep, now: Clock, command: RequestExport | None = None) -> Receipt:
    """Have one archive made of everything that the site has about the caller; who signed in a while ago shows the
    password again. It can be fetched for three days."""
    must_be_recent(store, caller, command.password if command else None, now)
    export = store.find(Export, export_id(caller.user_id)) or Export.open(caller.user_id)
    export.request()
    return store.save(export)


def finish_export(platform: Platform, store: Store, user_id: UUID, archive: bytes, now: datetime) -> None:
    """Keep the archive for its owner to fetch; nothing happens when nobody waits for it any more."""
    export = store.get(Export, export_id(user_id))
    export.built(len(archive), now=now)

    def keep(cursor: Cursor[Any]) -> None:
        keep_archive(cursor, platform.keyring, user_id, archive, now + ARCHIVE_LIFE)

    if export.pending_events:
        store.save(export, beside=keep)
