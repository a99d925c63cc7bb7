"""A check of the built site: each link and picture is there, and nothing comes from the network."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Tags whose address the browser fetches by itself.
_FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}


class _Page(HTMLParser):
    """The anchors of a page, and the addresses in it, each with whether it is fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        for name in ("id", "name"):
            value = found.get(name)
            if value:
                self.anchors.add(value)
        address = found.get("href" if tag == "a" else _FETCHED.get(tag, ""))
        if address:
            self.addresses.append((address, tag != "a"))


def faults(site: Path) -> list[str]:
    """A line for each address in the pages below `site` that leads nowhere, or that a browser would
    fetch from the network."""
    pages = {
        path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    found: list[str] = []
    for path, page in sorted(pages.items()):
        for address, fetched in page.addresses:
            parts = urlsplit(address)
            where = f"{path.relative_to(site.resolve())}: {address}"
            if parts.scheme or parts.netloc:
                if fetched and parts.scheme != "data":
                    found.append(f"{where} is fetched from the network")
                continue
            below = site if parts.path.startswith("/") else path.parent
            target = (below / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            anchor = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{where} is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{where} has no such anchor")
    return found
