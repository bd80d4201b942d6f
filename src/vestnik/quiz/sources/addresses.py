"""Which addresses a source may connect to: the public ones. Looked at when the connection is made, not before.

A name that is checked and then resolved again can have become another address (DNS rebinding), and a page can redirect
or link to where only this machine can go: its own services, the router, the cloud's metadata. So the address that the
socket is opened to is what counts (OWASP API7).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from vestnik.settings.values import is_loopback_host

#: Beyond what Python knows as not global: networks that translate to IPv4, special assignments that older tables lack,
#: and the public address under which Azure's virtual machines reach their host.
_ALSO_REFUSED = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "3fff::/20")))
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")

Origin = tuple[str, int]  # host in lower case, port


class ForbiddenAddress(OSError):
    """The text says what was refused."""


def is_public(address: str) -> bool:
    """Of an address as a socket takes it; False for everything that is none."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _embedded(ip)
    if inner is not None:
        return is_public(str(inner))
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _ALSO_REFUSED)


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a router or the kernel makes of an IPv6 one."""
    if isinstance(ip, IPv4Address):
        return None
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def origin_of(url: URL) -> Origin:
    return (url.host or "").lower().rstrip("."), url.port or 0


def names_loopback(url: URL) -> bool:
    """The operator wrote `127.0.0.1`, `[::1]` or `localhost`: no name server has a say in that."""
    return is_loopback_host(origin_of(url)[0])


class Guard(AbstractResolver):
    """Lets connections through to public addresses, and to the origins that the operator exempted.

    It resolves names, and is asked once more for each socket: literal addresses are never resolved.
    """

    def __init__(self, resolver: AbstractResolver, exempt: Iterable[Origin] = ()) -> None:
        self._resolver = resolver
        self._exempt = frozenset(exempt)
        self._admitted: set[tuple[str, int]] = {o for o in self._exempt if _is_literal(o[0])}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises ForbiddenAddress when any of the addresses is: a name that has both kinds is a trap."""
        found = await self._resolver.resolve(host, port, family)
        if (host.lower().rstrip("."), port) in self._exempt:
            self._admitted.update((result["host"], port) for result in found)
            return found
        for result in found:
            if not is_public(result["host"]):
                raise ForbiddenAddress(f"{host} leads to {result['host']}, which is not public")
        return found

    def socket(self, address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """aiohttp's `socket_factory`. Raises ForbiddenAddress."""
        family, kind, protocol, _, (host, port, *_) = address
        if not is_public(str(host)) and (host, port) not in self._admitted:
            raise ForbiddenAddress(f"{host} is not public")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        await self._resolver.close()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
