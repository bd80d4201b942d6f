"""Which addresses a source may connect to."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from vestnik.quiz.sources.addresses import ForbiddenAddress, Guard, is_public, names_loopback, origin_of


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_these_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1",
        "0.0.0.0",  # noqa: S104 - refused
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "203.0.113.1",
        "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254",  # clouds' metadata
        "::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "100::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost", "", "8.8.8.8.", "８.8.8.8",
    ],
)  # fmt: skip
def test_these_are_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_an_ipv6_one_is_judged_alike(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8090/x", "https://[::1]/", "http://localhost:1/", "http://LOCALHOST/"]
)
def test_these_name_loopback(url: str) -> None:
    assert names_loopback(URL(url))


@pytest.mark.parametrize("url", ["http://localhost.example.org/", "http://10.0.0.1/", "http://loopback/", "http://0/"])
def test_these_do_not(url: str) -> None:
    assert not names_loopback(URL(url))


def test_an_origin_is_host_and_port() -> None:
    assert origin_of(URL("https://Quiz.Example.org./x")) == ("quiz.example.org", 443)


class Names(AbstractResolver):
    """A name server that says something else each time."""

    def __init__(self, *addresses: list[str]) -> None:
        self._addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses.pop(0)
        ]

    async def close(self) -> None: ...


def to(host: str, port: int) -> tuple[int, int, int, str, tuple[object, ...]]:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))


async def test_a_name_that_becomes_private_is_refused_when_it_is_resolved() -> None:
    guard = Guard(Names(["8.8.8.8"], ["127.0.0.1"]))
    assert (await guard.resolve("quiz.example.org", 80))[0]["host"] == "8.8.8.8"
    with pytest.raises(ForbiddenAddress, match=r"quiz.example.org leads to 127.0.0.1, which is not public"):
        await guard.resolve("quiz.example.org", 80)


async def test_a_name_with_addresses_of_both_kinds_is_refused() -> None:
    with pytest.raises(ForbiddenAddress):
        await Guard(Names(["8.8.8.8", "10.0.0.1"])).resolve("quiz.example.org", 80)


def test_a_socket_to_a_private_address_is_never_made() -> None:
    guard = Guard(Names())
    for host in ("127.0.0.1", "169.254.169.254", "2130706433", "::1"):
        with pytest.raises(ForbiddenAddress):
            guard.socket(to(host, 80))
    guard.socket(to("8.8.8.8", 80)).close()


def test_only_the_exempt_port_of_an_exempt_address_is_let_through() -> None:
    guard = Guard(Names(), [("127.0.0.1", 8090)])
    guard.socket(to("127.0.0.1", 8090)).close()
    with pytest.raises(ForbiddenAddress):
        guard.socket(to("127.0.0.1", 6379))


async def test_an_exempt_name_may_lead_to_a_private_address_and_no_other_name_to_the_same() -> None:
    guard = Guard(Names(["10.0.0.1"], ["10.0.0.1"]), [("intranet", 80)])
    await guard.resolve("intranet", 80)
    guard.socket(to("10.0.0.1", 80)).close()
    with pytest.raises(ForbiddenAddress):
        await guard.resolve("evil.example.org", 80)
