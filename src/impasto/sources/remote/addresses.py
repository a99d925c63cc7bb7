"""Parse the addresses of sources."""

import re
from os import PathLike
from urllib.parse import urlsplit

from impasto.errors import ImpastoError
from impasto.files import expand_home
from impasto.sources.remote.path import Place, RemotePath
from impasto.sources.remote.store import cleaned

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SAME = {"s3a": "s3", "gcs": "gs"}
"""By other name of a scheme: its usual name."""


def place_at(source: str | PathLike[str]) -> Place:
    """The place of a source: a path on disk, or a `RemotePath`.

    Args:
        source: a path or an address. A `Path` is never an address.

    Raises:
        ImpastoError: the address is invalid or has credentials, its scheme is unknown, or a package is
            not installed.
    """
    found = _SCHEME.match(source) if isinstance(source, str) else None
    if found is None:
        return expand_home(source)
    assert isinstance(source, str)
    scheme, rest = found[1].lower(), source[found.end() :]
    scheme = _SAME.get(scheme, scheme)
    if scheme in ("http", "https"):
        return _on_the_web(f"{scheme}://{rest}")
    from impasto.sources.remote.filesystems import LOGIN, SCHEMES, FilesystemStore

    if scheme not in SCHEMES:
        raise ImpastoError(
            f"nothing is read from {scheme}://; a source lies on disk, or at s3://, gs://, hf:// or "
            "https://"
        )
    if "@" in rest.partition("/")[0]:
        raise ImpastoError(
            f"{cleaned(source)} has credentials in it; leave them out of the address, and "
            f"{LOGIN.get(scheme, 'use none')}"
        )
    store = FilesystemStore(scheme, rest)
    if not store.key:
        raise ImpastoError(f"{scheme}:// names nothing; give a bucket or folder in it")
    return RemotePath(store, store.key)


def _on_the_web(address: str) -> RemotePath:
    """The place at an address of a web server.

    Raises:
        ImpastoError: the address has no valid host or port.
    """
    from impasto.sources.remote.http import HttpStore

    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ImpastoError(f"{cleaned(address)} is no address of a server")
    store = HttpStore(address)
    return RemotePath(store, store.key)
