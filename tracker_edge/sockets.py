"""The sockets that an edge listens on."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

from runtime.settings import SettingsError

#: Clients' connections at a time, for each process.
MAX_CONNECTIONS = 8192
#: Files that may be open besides: the journal's, the store's, those of the edges beside this one.
OTHER_FILES = 128


def room_for_clients() -> int:
    """How many clients may be connected: no more than leave the others their files, whatever this process may open.

    Its limit is raised as far as it may be by itself.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(soft, wanted) - OTHER_FILES)


async def bound(
    hosts: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM, *, shared: bool = False
) -> list[socket.socket]:
    """A socket for each address of each host (separated by commas), IPv4 and IPv6 apart; raises `SettingsError`.

    `shared` sockets take a share of the connections: the others are those of other processes of the same user.
    """
    loop = asyncio.get_running_loop()
    wanted = [
        (family, address)
        for host in hosts.split(",")
        for family, _, _, _, address in await loop.getaddrinfo(host.strip(), port, type=kind)
    ]
    found: list[socket.socket] = []
    for family, address in dict.fromkeys(wanted):
        listener = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:  # of UDP it would let two processes take one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
        except OSError as error:
            for one in (*found, listener):
                one.close()
            name = "HTTP_PORT" if kind == socket.SOCK_STREAM else "UDP_PORT"
            raise SettingsError(f"APP__EDGE__{name}: port {port}: {os.strerror(error.errno or 0)}") from None
        found.append(listener)
    return found
