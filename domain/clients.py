"""Which program a peer runs, read from its peer_id (BEP 20); whatever it claims, nothing hangs on it."""

from __future__ import annotations

import re

UNKNOWN = "unknown"

#: Azureus style: `-XXnnnn-`, two letters and four digits of version.
_AZUREUS = {
    b"AG": "Ares",
    b"AZ": "Vuze",
    b"BC": "BitComet",
    b"BG": "BTGetit",
    b"BI": "BiglyBT",
    b"BL": "BitLord",
    b"BN": "Baidu Netdisk",
    b"BT": "BitTorrent",
    b"BW": "BitTorrent Web",
    b"CT": "CTorrent",
    b"DE": "Deluge",
    b"FD": "Free Download Manager",
    b"FL": "Flud",
    b"FW": "FrostWire",
    b"HL": "Halite",
    b"JT": "JavaTorrent",
    b"KT": "KTorrent",
    b"LP": "Lphant",
    b"LR": "LibreTorrent",
    b"LT": "libtorrent",
    b"PI": "PicoTorrent",
    b"RT": "Retriever",
    b"SD": "Thunder",
    b"TB": "Torch",
    b"TL": "Tribler",
    b"TR": "Transmission",
    b"TX": "Tixati",
    b"UM": "uTorrent Mac",
    b"UT": "uTorrent",
    b"UW": "uTorrent Web",
    b"WD": "WebTorrent Desktop",
    b"WW": "WebTorrent",
    b"XL": "Xunlei",
    b"lt": "rTorrent",
    b"qB": "qBittorrent",
}
#: Shadow style: a letter, then versions as base-64 digits.
_SHADOW = {b"A": "ABC", b"M": "Mainline", b"O": "Osprey", b"R": "Tribler", b"S": "Shadow", b"T": "BitTornado"}

_AZUREUS_FORM = re.compile(rb"-([A-Za-z]{2})([0-9A-Za-z]{3}[0-9A-Za-z.-])-")
_MAINLINE_FORM = re.compile(rb"M(\d)-(\d{1,2})-(\d{1,2})-")
_SHADOW_FORM = re.compile(rb"([AORST])([0-9A-Za-z.]{3})---")


def client(peer_id: bytes) -> str:
    """Name and version for people, such as `qBittorrent 5.1.0`; `unknown` when the form says nothing."""
    if found := _AZUREUS_FORM.match(peer_id):
        name = _AZUREUS.get(found[1])
        return f"{name} {_version(found[1], found[2])}" if name else UNKNOWN
    if found := _MAINLINE_FORM.match(peer_id):
        return "Mainline " + ".".join(part.decode() for part in found.groups())
    if found := _SHADOW_FORM.match(peer_id):
        return f"{_SHADOW[found[1]]} " + ".".join(str(_digit(byte)) for byte in found[2])
    return UNKNOWN


def _version(code: bytes, digits: bytes) -> str:
    numbers = [_digit(byte) for byte in digits]
    if code == b"TR" and numbers[0] < 4:  # Transmission wrote 3.00 as 3000 before it wrote 4.1.0 as 4100
        return f"{numbers[0]}.{numbers[1]}{numbers[2]}"
    shown = numbers if numbers[3] else numbers[:3]
    return ".".join(map(str, shown))


def _digit(byte: int) -> int:
    """0-9, then A-Z as 10 and above; what says "development version" in the last place counts as nothing."""
    character = chr(byte)
    return int(character, 36) if character.isalnum() and not character.islower() else 0
