"""Who may ask the server: at which names it is known, and what a browser must know off this machine."""

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from functools import cache

LEAST_TOKEN = 16


@dataclass(frozen=True)
class Rules:
    """What the guard lets through.

    hosts: names that the server is asked by, in lower case; None for any address of this machine, and its own names.
    token: what a browser must know; None where nothing is asked for, which is for loopback alone.
    """

    hosts: frozenset[str] | None
    token: str | None

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value of what a browser that knew the token holds instead; another server's has another name."""
        assert self.token is not None
        value = hmac.new(self.token.encode(), b"snellen view", hashlib.sha256).hexdigest()
        return f"snellen-{hashlib.sha256(value.encode()).hexdigest()[:8]}", value

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server: no page of another name that leads to it (DNS rebinding)."""
        name = host_name(host)
        if self.hosts is not None:
            return name in self.hosts
        return is_address(name) or name in own_names()


def rules_for(host: str, token: str | None) -> Rules:
    """The rules of a server that listens at `host`; off loopback, a token is made up where none is given."""
    if is_loopback(host):
        return Rules(frozenset({"localhost", "127.0.0.1", "[::1]", _plain(host)}), token)
    return Rules(None if is_any(host) else frozenset({_plain(host)}), token or secrets.token_urlsafe(24))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine seen from itself alone.

    >>> is_loopback("127.0.0.2"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_any(host: str) -> bool:
    """Whether a host stands for every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without its port; "" for one that is none.

    >>> host_name("LocalHost:8765"), host_name("[::1]:80"), host_name("a@b"), host_name("evil.example/")
    ('localhost', '[::1]', '', '')
    """
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", header.lower())
    return found[1].rstrip(".") if found else ""


def is_address(name: str) -> bool:
    """Whether a name in a Host header is an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def own_names() -> frozenset[str]:
    """The names of this machine."""
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


def _plain(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host else host.lower()


def same(given: str, secret: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
