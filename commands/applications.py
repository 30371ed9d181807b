"""What is done with applications: filing them, letting the applicant in, or telling why not."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.claims import hold, let_go
from commands.invites import held_for, mail_invite
from domain.applications import LINK_MAX, LINKS_MAX, TEXT_MAX, AlreadyApplied, Application
from domain.claims import Claim, personal_claim_id
from domain.emails import check_email, email_key
from domain.invites import Invite
from domain.permissions import Permission
from domain.registration import check_applying, check_inviting
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Caller, Clock, Requires, SecretsDep, SettingsDep, StoreDep
from runtime.http.types import Command, Id
from runtime.mail import post
from runtime.mail_bounds import Occasion
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["auth"], route_class=CommandRoute)

Reviewer = Annotated[Caller, Requires(Permission.APPLICATIONS_REVIEW)]


class Apply(Command):
    """Who the applicant is and why it wants to come, with links to what it tells of."""

    email: str
    text: Annotated[str, Field(max_length=TEXT_MAX)]
    links: list[Annotated[str, Field(max_length=LINK_MAX)]] = Field(default=[], max_length=LINKS_MAX)


class RejectApplication(Command):
    reason: str


@router.post("/auth/applications", status_code=201)
def apply(command: Apply, store: AnonymousStore, settings: SettingsDep, secrets: SecretsDep) -> Receipt:
    """Ask to be let in, where the site takes applications; one at a time for an address. The answer comes by mail.
    Whether the address has an account is nothing that this tells."""
    check_applying(settings.registration.mode)
    check_email(command.email)
    application = Application.file(new_id(), new_id(), command.email, command.text, command.links)
    claim = hold(
        store,
        _claim_id(secrets.site, command.email),
        "application",
        application.id,
        AlreadyApplied("an application for this address is open"),
    )
    return store.acting_as(application.applicant_id).save(application, *claim)


@router.post("/applications/{application_id}/approve")
def approve_application(
    application_id: Id, staff: Reviewer, store: StoreDep, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> Receipt:
    """Let the applicant in: mail an invite to the address, for the account that the application named."""
    check_inviting(settings.registration.mode)
    application = store.edit(Application, application_id)
    expires_at = now + timedelta(days=settings.registration.invite_days)
    invite = Invite.send(new_id(), application.applicant_id, application.email, expires_at)
    application.approve(invite.id)
    changed = [invite, *held_for(store, secrets.site, invite), *_released(store, secrets.site, application)]
    return store.save(application, *changed, beside=lambda cursor: mail_invite(cursor, settings, invite, now))


@router.post("/applications/{application_id}/reject")
def reject_application(
    application_id: Id,
    command: RejectApplication,
    staff: Reviewer,
    store: StoreDep,
    settings: SettingsDep,
    secrets: SecretsDep,
) -> Receipt:
    """Tell the applicant by mail why not. Another application may follow."""
    application = store.edit(Application, application_id)
    application.reject(command.reason)

    def tell(cursor: Cursor[Any]) -> None:
        text = f"Your application was not accepted.\n\n{command.reason}\n"
        to, subject = application.email, "Your application"
        post(cursor, settings, to=to, subject=subject, text=text, occasion=Occasion.NAMED)

    return store.save(application, *_released(store, secrets.site, application), beside=tell)


def _released(store: Store, site_secret: bytes, application: Application) -> list[Claim]:
    return let_go(store, _claim_id(site_secret, application.email), application.id)


def _claim_id(site_secret: bytes, email: str) -> UUID:
    return personal_claim_id(site_secret, "application", email_key(email))
