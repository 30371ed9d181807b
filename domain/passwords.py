"""Which passwords are taken. Their hashes lie beside the event store; no event knows one."""

from __future__ import annotations

from domain.errors import Malformed

#: NIST SP 800-63B section 5.1.1: length, and nothing that everybody tries first; no rules about digits and signs.
PASSWORD_MIN = 8
PASSWORD_MAX = 256
_COMMON_PASSWORDS = frozenset(
    "00000000 000000000 0123456789 01234567 0987654321 11111111 111111111 1111111111 11223344 112233445566 12121212"
    " 12341234 123123123 12344321 12345678 123456789 1234567890 12345679 123456abc 1234qwer 12qwaszx 1q2w3e4r"
    " 1q2w3e4r5t 1qaz2wsx 1qazxsw2 22222222 55555555 66666666 77777777 87654321 88888888 987654321 99999999"
    " aa123456 aaaaaaaa abc12345 abcd1234 abcdefgh access14 alexander asdf1234 asdfasdf asdfghjk asdfghjkl babygirl"
    " baseball basketball bigdaddy bittorrent blink182 butterfly changeme charlie1 chocolate christian cocacola"
    " computer corvette danielle dolphins dragon123 drowssap elephant facebook fernando firebird football garfield"
    " gfhjkm123 godzilla hello123 iloveyou iloveyou1 internet jennifer jessica1 letmein1 liverpool loveyou1 marlboro"
    " mercedes metallica michelle midnight minecraft monkey123 mustang1 myspace1 nicholas p@ssw0rd p@ssword pa55word"
    " passw0rd password password! password1 password12 password123 passwort pokemon1 princess princess1 q1w2e3r4"
    " qazwsxedc qqqqqqqq qwer1234 qwert123 qwerty12 qwerty123 qwertyui qwertyuiop qwertz123 rangers1 samantha samsung1"
    " scorpion secret123 slipknot snowball starwars steelers sunshine superman swordfish trustno1 unicorn1 victoria"
    " welcome1 welcome123 whatever william1 wolverine zaq12wsx zaq1zaq1 zxcvbnm1 zxcvbnm123".split()
)


class WeakPassword(Malformed):
    """Too short, too long, the account's own name or address, or one that everybody tries first."""


def check_password(password: str, username: str, email: str) -> None:
    """Raises `WeakPassword`. The password is taken as it was sent: no trimming, no Unicode normalisation."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise WeakPassword(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    folded = password.casefold()
    if folded in {username.casefold(), email.casefold(), email.partition("@")[0].casefold()}:
        raise WeakPassword("a password is not your name or address")
    if folded in _COMMON_PASSWORDS:
        raise WeakPassword("this password is among the first that anybody would try")
