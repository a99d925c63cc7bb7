"""What `http.py` and the room `fetching/` share: the environment's proxies, and `Retry-After`."""

import urllib.request
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3 import Retry, exceptions

from impasto.errors import ImpastoError

_FAR = 10**9
"""Most seconds of a `Retry-After`. urllib3's own limit is six hours."""


def proxy_for(url: str) -> str:
    """The environment's proxy for an address; empty if there is none."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if proxy and urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    return proxy


def connections(proxy: str, **options: Any) -> urllib3.PoolManager:
    """A pool of HTTP connections.

    Args:
        proxy: the proxy's address; empty: none.
        options: of urllib3's `PoolManager`.

    Raises:
        ImpastoError: the proxy's kind is not supported.
    """
    if not proxy:
        return urllib3.PoolManager(**options)
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        login = urllib3.util.parse_url(address).auth
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(address, proxy_headers=headers, **options)
    except (exceptions.HTTPError, ValueError) as error:
        # Without the address, which may contain a password.
        raise ImpastoError(
            "the environment names a proxy that cannot be used (http and https can); see the "
            "variables http_proxy, https_proxy and all_proxy"
        ) from error


def retry_after(header: str | None) -> float | None:
    """The seconds to wait by a `Retry-After` header, which has seconds or a date; None if it is
    neither."""
    if header is None:
        return None
    try:
        return float(Retry(retry_after_max=_FAR).parse_retry_after(header))
    except (exceptions.InvalidHeader, ValueError, OverflowError):
        return None
