"""What the web platform needs to know about its surroundings, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from sandbox.home import home

SHORTEST_SECRET = 32
VISIBLE_SEED = 7  # of Run, and of `grade` unless told otherwise: everybody may know it


class ConfigError(RuntimeError):
    """A setting is missing or unusable; the message says which and what to do."""


@dataclass(frozen=True)
class Config:
    """database_url is anything libpq understands; public_url is None when any address will do."""

    database_url: str
    secret_key: str
    public_url: str | None = None
    proxies: int = 0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read DATABASE_URL, OFFSETZERO_SECRET_KEY, OFFSETZERO_URL and OFFSETZERO_PROXIES.

        Raises ConfigError.
        """
        return cls(
            database_url=database_url(environ),
            secret_key=_secret_key(environ),
            public_url=_public_url(environ),
            proxies=_proxies(environ),
        )

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https; only then can cookies be Secure and `__Host-`."""
        return (self.public_url or "").startswith("https://")


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """Where the platform's PostgreSQL is. Raises ConfigError when DATABASE_URL is not set."""
    try:
        return environ["DATABASE_URL"]
    except KeyError:
        raise ConfigError(
            "DATABASE_URL is not set. Give the address of the platform's PostgreSQL, or use "
            "'offsetzero serve', which brings its own."
        ) from None


def histories(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder where workers keep the histories of graded runs."""
    return Path(environ.get("OFFSETZERO_HISTORIES") or home().state / "histories")


def _secret_key(environ: Mapping[str, str]) -> str:
    key = environ.get("OFFSETZERO_SECRET_KEY", "")
    if len(key) < SHORTEST_SECRET:
        raise ConfigError(
            f"OFFSETZERO_SECRET_KEY must have at least {SHORTEST_SECRET} characters, the same on "
            "every web machine. Make one with: openssl rand -hex 32"
        )
    return key


def _public_url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("OFFSETZERO_URL", "").rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
        raise ConfigError(
            f"OFFSETZERO_URL is {url!r}; it must look like https://hiring.example.org"
        )
    return url or None


def _proxies(environ: Mapping[str, str]) -> int:
    text = environ.get("OFFSETZERO_PROXIES", "0")
    if not text.isdigit():
        raise ConfigError(
            f"OFFSETZERO_PROXIES is {text!r}; it must be the number of proxies in front of us"
        )
    return int(text)
