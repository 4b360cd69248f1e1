"""What an exception derives from, also one of a well-known library that is not read."""

from __future__ import annotations

from skillrun.repo.calls import Handler
from skillrun.repo.python import Project

# Library exceptions and what they derive from, so that a base class in `autoretry_for` is
# understood.
_KNOWN_BASES = {
    "requests.HTTPError": ("requests.RequestException", "builtins.OSError"),
    "requests.Timeout": ("requests.RequestException", "builtins.OSError"),
    "requests.ConnectionError": ("requests.RequestException", "builtins.OSError"),
    "requests.RequestException": ("builtins.OSError",),
    "httpx.HTTPStatusError": ("httpx.HTTPError",),
    "httpx.ConnectError": (
        "httpx.HTTPError",
        "httpx.RequestError",
        "httpx.TransportError",
        "httpx.NetworkError",
    ),
    "httpx.TimeoutException": ("httpx.HTTPError", "httpx.RequestError", "httpx.TransportError"),
    "smtplib.SMTPException": ("builtins.OSError",),
    "smtplib.SMTPRecipientsRefused": ("smtplib.SMTPException", "builtins.OSError"),
    "smtplib.SMTPAuthenticationError": (
        "smtplib.SMTPResponseException",
        "smtplib.SMTPException",
        "builtins.OSError",
    ),
    "json.JSONDecodeError": ("builtins.ValueError",),
    "json.decoder.JSONDecodeError": ("builtins.ValueError",),
}
_SHORTER = {
    "requests.exceptions.": "requests.",
    "requests.models.": "requests.",
    "httpx._exceptions.": "httpx.",
}
_NOT_ORDINARY = ("builtins.SystemExit", "builtins.KeyboardInterrupt", "builtins.GeneratorExit")


def ancestors(project: Project, exception: str) -> frozenset[str]:
    """An exception's classes as far as they can be told; `Exception` for any class from outside the
    repository.
    """
    names = [short(name) for name in project.ancestors(exception)]
    known = []
    for name in names:
        for base in _KNOWN_BASES.get(name, ()):
            known.append(base)
    known += [short(base) for name in known for base in project.ancestors(name)]
    if set(names) & set(_NOT_ORDINARY):
        ordinary = set()
    else:
        ordinary = {"builtins.Exception", "builtins.BaseException"}
    return frozenset({*names, *known} | ordinary)


def has_known_bases(exception: str) -> bool:
    """Whether it is an exception of an installed package whose base classes are written here."""
    return exception in _KNOWN_BASES


def takes_any(clause: Handler, bases: frozenset[str]) -> bool:
    """Whether an `except` clause takes an exception whose classes are these, see `ancestors`."""
    return clause.bare or not bases.isdisjoint(map(short, clause.exceptions))


def short(name: str) -> str:
    """requests.exceptions.HTTPError and requests.HTTPError are one."""
    for prefix, shorter in _SHORTER.items():
        if name.startswith(prefix):
            return shorter + name[len(prefix) :]
    return name
