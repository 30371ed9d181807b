"""Addresses: which are taken."""

from __future__ import annotations

import pytest

from domain.emails import BadEmail, check_email


@pytest.mark.parametrize("email", ["a+b@x.org", "A@X.ORG", "first.last@mail.example.co.uk", f"{'a' * 64}@x.org"])
def test_plain_addresses_are_taken(email: str) -> None:
    check_email(email)


@pytest.mark.parametrize(
    "email",
    [
        "", "a", "a@", "@x.org", "a@x", "a@x.", "a@.org", "a@-x.org", f"{'a' * 65}@x.org", f"a@{'x' * 250}.org",
        '"a b"@x.org', "a@[127.0.0.1]", "a@x.org\r\nBcc: b@x.org", "a@x.org, b@x.org", "a@x.org b@x.org", "ä@x.org",
        "a@ä.org", "a@@x.org",
    ],
)  # fmt: skip
def test_addresses_that_mail_systems_read_in_two_ways_are_refused(email: str) -> None:
    with pytest.raises(BadEmail):
        check_email(email)
