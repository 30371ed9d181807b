"""The second factor: codes of an authenticator (RFC 6238) and recovery codes, each good once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pyotp
from psycopg import Connection, Cursor

from runtime.keyring import Sealer

#: Names the key that seeds are sealed with.
PURPOSE = "totp seeds"
#: RFC 6238 section 5.2: one step of 30 s, and one more either way for clocks that differ.
STEP_S = 30
WINDOW = 1
RECOVERY_CODES = 10
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_RECOVERY = re.compile(r"[a-z2-7]{16}", re.ASCII)


def new_seed() -> str:
    """160 random bits (RFC 4226 section 4) in base32."""
    return pyotp.random_base32()


def otpauth_uri(seed: str, account: str, issuer: str) -> str:
    """What authenticators read from a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=issuer)


def matching_step(seed: str, code: str, now: datetime, after: int = 0) -> int | None:
    """The time step whose code this is, within the window and later than step `after`; None when there is none."""
    if not _CODE.fullmatch(code):
        return None
    present, hotp = int(now.timestamp()) // STEP_S, pyotp.HOTP(seed)
    steps = range(max(present - WINDOW, after + 1), present + WINDOW + 1)
    found = [step for step in steps if hmac.compare_digest(hotp.at(step), code)]
    return found[0] if found else None


def enrol(db: Connection[Any], sealer: Sealer, user_id: UUID, seed: str) -> bool:
    """Keep a seed that waits for its first code; False when the user's second factor is on already."""
    kept = db.execute(
        "INSERT INTO credentials.totp (user_id, sealed_seed) VALUES (%s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET sealed_seed = EXCLUDED.sealed_seed, last_step = 0"
        " WHERE totp.confirmed_at IS NULL",
        (user_id, sealer.seal(seed.encode())),
    )
    return kept.rowcount > 0


def confirm(db: Cursor[Any], sealer: Sealer, user_id: UUID, code: str, now: datetime) -> bool:
    """Turn a waiting seed on with its first code; False when there is none or the code is wrong."""
    row = _locked(db, user_id)
    if row is None or row[2] is not None:
        return False
    step = matching_step(sealer.open(bytes(row[0])).decode(), code, now)
    if step is None:
        return False
    db.execute("UPDATE credentials.totp SET confirmed_at = %s, last_step = %s WHERE user_id = %s", (now, step, user_id))
    return True


def is_recovery_code(code: str) -> bool:
    """Whether it has the form of a recovery code, which is not that of an authenticator's."""
    return _RECOVERY.fullmatch(_plain(code)) is not None


def recovery_codes_left(db: Cursor[Any], user_id: UUID) -> int:
    row = db.execute(
        "SELECT count(*) FROM credentials.recovery_code WHERE user_id = %s AND used_at IS NULL", (user_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def use_code(db: Cursor[Any], sealer: Sealer, user_id: UUID, code: str, now: datetime) -> bool:
    """Burn a code of the authenticator or a recovery code; False when it is wrong or was used."""
    recovery = _plain(code)
    if is_recovery_code(code):
        used = db.execute(
            "UPDATE credentials.recovery_code SET used_at = %s"
            " WHERE user_id = %s AND code_sha = %s AND used_at IS NULL",
            (now, user_id, _sha(recovery)),
        )
        return used.rowcount > 0
    row = _locked(db, user_id)
    if row is None or row[2] is None:
        return False
    step = matching_step(sealer.open(bytes(row[0])).decode(), code, now, after=row[1])
    if step is None:
        return False
    db.execute("UPDATE credentials.totp SET last_step = %s WHERE user_id = %s", (step, user_id))
    return True


def new_recovery_codes() -> list[str]:
    """80 random bits each, as `xxxx-xxxx-xxxx-xxxx`."""
    texts = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(text[n : n + 4] for n in range(0, 16, 4)) for text in texts]


def keep_recovery_codes(db: Cursor[Any], user_id: UUID, codes: Sequence[str]) -> None:
    """Replace the user's recovery codes."""
    db.execute("DELETE FROM credentials.recovery_code WHERE user_id = %s", (user_id,))
    db.executemany(
        "INSERT INTO credentials.recovery_code (user_id, code_sha) VALUES (%s, %s)",
        [(user_id, _sha(code.replace("-", ""))) for code in codes],
    )


def forget(db: Cursor[Any], user_id: UUID) -> None:
    """Remove the user's seed and recovery codes."""
    db.execute("DELETE FROM credentials.totp WHERE user_id = %s", (user_id,))
    db.execute("DELETE FROM credentials.recovery_code WHERE user_id = %s", (user_id,))


def _plain(code: str) -> str:
    return code.replace("-", "").lower()


def _locked(db: Cursor[Any], user_id: UUID) -> Any:
    """The sealed seed, the last step used and when it was confirmed, locked: one code at a time."""
    return db.execute(
        "SELECT sealed_seed, last_step, confirmed_at FROM credentials.totp WHERE user_id = %s FOR UPDATE", (user_id,)
    ).fetchone()


def _sha(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
