"""WikiArt's public JSON listings as a table of URLs.

The pictures come from three JSON pages of the site. The site does not document their form, which is
known from public programs:
- `/en/paintings-by-style/NAME?json=2&page=N` (and -genre, -media): `Paintings` (null after the last
  page) of title, year, artistName, image, paintingUrl, with `AllPaintingsCount` and `PageSize` (60);
  the site shows no more than about 3,600 of a listing;
- `/en/App/Painting/PaintingsByArtist?artistUrl=NAME&json=2`: all pictures of an artist, with title,
  yearAsString, artistName and image, but without each one's page;
- `/en/App/Artist/AlphabetJson?v=new`: the artists, with the url of each.
`image` may end in a size, such as `!Large.jpg`; without it, it is the full picture.

Users must check the site's terms and the rights in the pictures, many of which are in copyright. The
recorded licence is `unknown` unless the user gives one.
"""

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin

from impasto.errors import ImpastoError
from impasto.fetching.client import Client, FetchError, switched_off
from impasto.fetching.folder import fetching_into
from impasto.fetching.politeness import Politeness
from impasto.fetching.table import (
    PictureOptions,
    WantedPicture,
    WantedPictures,
    polite_client,
)
from impasto.fetching.wanted import read_table
from impasto.files import write_json, write_text
from impasto.formatting import counted

HOME = "https://www.wikiart.org"
_KINDS = ("style", "genre", "media")
_BYTES = 50_000_000
_PAGES = 10_000
"""Most pages of a listing, in case it never ends."""


def list_wikiart(
    listing: str,
    folder: Path,
    options: PictureOptions | None = None,
    pages: int | None = None,
    home: str = HOME,
    politeness: Politeness | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> WantedPictures:
    """The pictures of a WikiArt listing, for `fetch_table`; also written to `urls.csv`.

    Pictures already in `urls.csv`, from an earlier listing, stay in it. A picture in both is one
    row with both labels, such as style and genre; two styles are joined, as `ukiyo-e|shin-hanga`,
    in the order of the listings.

    An interrupted listing is continued by the next call.

    Args:
        listing: `artist/NAME`, `style/NAME`, `genre/NAME`, `media/NAME`, named as in the site's
            addresses, or `all` for all artists in turn.
        folder: of `urls.csv`; made if it does not exist.
        options: None: the defaults.
        pages: most pages of the listing, of about 60 pictures each; with `all`, most artists.
        home: another address of the site, for tests.
        politeness: None: of the options' rate and retries.
        tell: called with the number of pages (with `all`, artists) listed, and their total.

    Raises:
        ImpastoError: the listing is unknown, or the site does not give it.
    """
    options = options or PictureOptions()
    politeness = politeness or Politeness(options.rate, options.retries)
    kind, name = kind_and_name(listing)
    if pages is not None and pages < 1:
        raise ImpastoError(f"pages cannot be {pages}; at least 1")
    path = folder / "urls.csv"
    if switch := switched_off("IMPASTO_OFFLINE"):
        if not path.exists():
            raise ImpastoError(f"{switch} is set, and {path} is not there; unset it to list")
        return read_table(path)
    with fetching_into(folder):
        site = _Site(home, folder / ".listing", polite_client(options, politeness), politeness)
        if options.refresh:
            site.delete_pages()
        rows: dict[str, WantedPicture] = {}
        for row in site.rows(kind, name, pages, tell):
            rows.setdefault(row.url, row)
        if not rows:
            site.delete_pages()
            raise ImpastoError(
                f"wikiart:{listing} names no pictures; names are as in the addresses of "
                f"{home}, such as style/impressionism or artist/claude-monet"
            )
        before = read_table(path) if path.exists() else WantedPictures([])
        table = _merged(before, list(rows.values()), kind, name)
        table.notes = [*site.notes, *table.notes]
        write_text(path, _csv(table))
        site.delete_pages()
    return table


def kind_and_name(listing: str) -> tuple[str, str]:
    """Split `style/NAME` and the like; `all` has an empty name.

    Raises:
        ImpastoError: there is no such kind of listing.
    """
    kind, _, name = listing.partition("/")
    if not (kind in (*_KINDS, "artist") and name) and listing != "all":
        raise ImpastoError(
            f"unknown listing 'wikiart:{listing}'; there is wikiart:artist/NAME, style/NAME, "
            "genre/NAME, media/NAME and wikiart:all"
        )
    return kind, name


def _merged(
    before: WantedPictures, listed: list[WantedPicture], kind: str, name: str
) -> WantedPictures:
    """Merge a table's rows with a listing's, one row for each picture."""
    rows: dict[str, WantedPicture] = {}
    for row in before.rows:
        rows.setdefault(_normalised(row.url), row)
    several: list[str] = []
    for row in listed:
        known = rows.get(_normalised(row.url), row)
        cells = {**known.cells, **{column: text for column, text in row.cells.items() if text}}
        if known.cells.get("source", "").startswith(f"{row.cells['source']}/"):
            cells["source"] = known.cells["source"]  # the picture's page, not only its artist's
        if kind in _KINDS:
            classes = [text for text in known.cells.get(kind, "").split("|") if text]
            if name.casefold() not in map(str.casefold, classes):
                classes.append(name)
            cells[kind] = "|".join(classes)
            several += [cells[kind]] if len(classes) > 1 else []
        rows[_normalised(row.url)] = WantedPicture(known.url, cells, known.sha256)
    columns = dict.fromkeys((*before.columns, *([kind] if kind in _KINDS else [])))
    notes = []
    if several:
        notes.append(
            f"{counted(len(several), 'picture')} of {kind} {name} with another {kind} too, such as "
            f"{several[0]}; impasto pack takes the first"
        )
    return WantedPictures(list(rows.values()), tuple(columns), notes)


def _normalised(url: str) -> str:
    """An address for comparison. The site has a picture on several hosts (uploads3.wikiart.org,
    uploads7.wikiart.org), under names plain or percent-encoded."""
    address = re.sub(r"^https?://uploads\d*\.wikiart\.org/", f"{HOME}/", url)
    return unquote(address)


class _Site:
    """The site's listings.

    Each page is requested once. Pages are kept in a hidden folder until the listing is complete, so
    that an interrupted one can be continued.
    """

    def __init__(self, home: str, pages: Path, client: Client, politeness: Politeness) -> None:
        self._home, self._pages = home.rstrip("/"), pages
        self._client, self._politeness = client, politeness
        self.notes: list[str] = []

    def delete_pages(self) -> None:
        shutil.rmtree(self._pages, ignore_errors=True)

    def rows(
        self, kind: str, name: str, pages: int | None, tell: Callable[[int, int], None]
    ) -> Iterator[WantedPicture]:
        """The pictures of a listing; one may come several times."""
        if kind in _KINDS:
            yield from self._by_page(kind, name, pages, tell)
        elif kind == "artist":
            yield from self._of_artist(name)
        else:
            artists = self._json("/en/App/Artist/AlphabetJson?v=new")
            found = [_text(artist.get("url")) for artist in _objects(artists)]
            names = [name for name in found if name][:pages]
            for number, artist in enumerate(names, start=1):
                yield from self._of_artist(artist)
                tell(number, len(names))

    def _by_page(
        self, kind: str, name: str, pages: int | None, tell: Callable[[int, int], None]
    ) -> Iterator[WantedPicture]:
        seen: set[str] = set()
        most = min(pages or _PAGES, _PAGES)
        for number in range(1, most + 1):
            page = self._json(f"/en/paintings-by-{kind}/{quote(name)}?json=2&page={number}")
            answer = page if isinstance(page, dict) else {}
            paintings = _objects(answer.get("Paintings"))
            count, size = answer.get("AllPaintingsCount"), answer.get("PageSize")
            if isinstance(count, int) and isinstance(size, int) and size > 0:
                tell(number, max(number, min(most, -(-count // size))))
            rows = [row for item in paintings if (row := self._row(item, {kind: name}))]
            news = [row for row in rows if row.url not in seen]
            if not news:
                if isinstance(count, int) and count > len(seen) > 0:
                    self.notes.append(
                        f"the site lists {len(seen):,} of {counted(count, 'picture')} of {kind} "
                        f"{name}; their artists' listings have the others"
                    )
                return
            seen.update(row.url for row in news)
            yield from news

    def _of_artist(self, name: str) -> Iterator[WantedPicture]:
        answer = self._json(f"/en/App/Painting/PaintingsByArtist?artistUrl={quote(name)}&json=2")
        for item in _objects(answer):
            if row := self._row({"artistUrl": f"/en/{name}", **item}, {}):
                yield row

    def _row(self, item: dict[str, Any], more: dict[str, str]) -> WantedPicture | None:
        """A listed painting as a row; None if it has no picture."""
        image = item.get("image")
        if not isinstance(image, str) or not image:
            return None
        years = (item.get(key) for key in ("yearAsString", "year", "completitionYear"))
        page = _text(item.get("paintingUrl")) or _text(item.get("artistUrl"))
        cells = {
            "title": _text(item.get("title")),
            "artist": _text(item.get("artistName")),
            "year": next((text for year in years if (text := _text(year))), ""),
            "source": urljoin(f"{self._home}/en/", page),
        }
        return WantedPicture(urljoin(f"{self._home}/", image.partition("!")[0]), {**cells, **more})

    def _json(self, path: str) -> Any:
        """The content of a JSON page of the site; None if there is no such page.

        Raises:
            ImpastoError: it does not answer, or not in JSON.
        """
        url = self._home + path
        kept = self._pages / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        try:
            return json.loads(kept.read_bytes())
        except (OSError, ValueError):
            pass
        try:
            answer = json.loads(
                self._politeness.with_retries(url, lambda: self._client.read(url, _BYTES)[1])
            )
        except FetchError as error:
            if error.status == 404:
                return None
            raise ImpastoError(f"cannot list {url}: {error}; try again later") from error
        except (ValueError, RecursionError) as error:
            raise ImpastoError(
                f"cannot list {url}: the site answered with a page, not with its JSON listing; "
                "it may refuse programs now, so try again later"
            ) from error
        write_json(kept, answer)
        return answer


def _objects(answer: Any) -> list[dict[str, Any]]:
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []


def _text(value: Any) -> str:
    return re.sub(r"\s+", " ", str(value)).strip() if isinstance(value, (str, int)) else ""


def _csv(table: WantedPictures) -> str:
    text = io.StringIO()
    licence = ["licence"] if any(row.cells.get("licence") for row in table.rows) else []
    header = ["url", "title", "artist", "year", "source", *licence, *table.columns]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        writer.writerow([row.url, *(row.cells.get(name, "") for name in header[1:])])
    return text.getvalue()
