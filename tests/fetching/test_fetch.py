"""Fetching, against a real server on loopback that misbehaves in every way we know of."""

import csv
import email.utils
import functools
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.cli import main
from impasto.collection import PackOptions, pack
from impasto.decoding.plugins import load_plugin
from impasto.errors import ImpastoError, StoppedError
from impasto.fetching import (
    PictureOptions,
    Politeness,
    fetch_file,
    fetch_table,
    list_wikiart,
    read_table,
)
from impasto.fetching import download as download_module
from impasto.fetching import politeness as politeness_module
from impasto.fetching import table as table_module
from impasto.fetching.client import Client, FetchError
from impasto.fetching.completeness import is_whole
from impasto.fetching.download import Download
from impasto.fetching.folder import file_name, slug
from impasto.fetching.politeness import host_of
from impasto.fetching.table import PicturesReport, WantedPicture, WantedPictures
from impasto.readers import read_source
from impasto.sources.file_kinds import RAW
from impasto.sources.remote.connections import retry_after
from tests.helpers.fetching import FakeTime, clear_environment, impasto, run, wait_for
from tests.helpers.nasty_server import (
    Nasty,
    Request,
    broken_off,
    chunked,
    content,
    endless,
    garbage,
    hangs_up,
    in_turn,
    nasty_server,
    redirect,
    says_less,
    slowly,
    stalls,
    status,
    trickles,
    without_length,
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_environment(monkeypatch, tmp_path)


@pytest.fixture
def nasty() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def picture(kind: str = "png", colour: int = 0, size: int = 48) -> bytes:
    """A picture whose pixels, and so bytes, are of its colour's number."""
    file = io.BytesIO()
    pixels = hashlib.sha256(str(colour).encode()).digest() * (size * size * 3 // 32)
    Image.frombytes("RGB", (size, size), pixels).save(file, kind)
    return file.getvalue()


PNG = picture()
UNKNOWN = "no picture: in no format that is known here"


def fetch(
    folder: Path,
    *urls: str | WantedPicture,
    polite: Politeness | None = None,
    robots: bool = False,
    **options: Any,
) -> PicturesReport:
    rows = [row if isinstance(row, WantedPicture) else WantedPicture(row) for row in urls]
    columns = tuple(dict.fromkeys(key for row in rows for key in row.cells if key == "style"))
    return fetch_table(
        WantedPictures(rows, columns),
        folder,
        PictureOptions(rate=0, robots=robots, **options),
        polite or FakeTime().polite(),
    )


def reason(folder: Path, url: str, **options: Any) -> str:
    """Why the one address gives no picture; nothing of it is left."""
    report = fetch(folder, url, **options)
    assert report.there == 0
    assert list(report.failed) == [url]
    assert pictures_in(folder) == []
    return report.failed[url]


def pictures_in(folder: Path) -> list[str]:
    """All files but the tables."""
    names = {path.name for path in folder.iterdir() if path.is_file()}
    return sorted(names - {"metadata.csv", "failed.csv", "urls.csv"})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- A table of URLs -------------------------------------------------------------------------------


def test_a_table_becomes_pictures_with_their_provenance_and_a_collection(
    nasty: Nasty, tmp_path: Path
) -> None:
    bodies = {f"/{number}.jpg": picture("jpeg", number) for number in range(4)}
    for path, body in bodies.items():
        nasty.on(path, content(body, Content_Type="text/html"))
    table = tmp_path / "urls.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["URL", "Title", "artist", "year", "license", "source", "style"])
        for number, path in enumerate(bodies):
            title = ["Nymphéas, effet du soir", "  ", "富嶽三十六景", "Con: / \\ ?"][number]
            url = nasty.address + path
            writer.writerow([url, title, "Müller", "1890", "CC0", "https://x/p", f"s{number % 2}"])
    folder = tmp_path / "pictures"
    report = fetch_table(read_table(table), folder, PictureOptions(rate=0), FakeTime().polite())

    assert (report.there, report.fetched, report.failed) == (4, 4, {})
    rows = rows_of(folder / "metadata.csv")
    assert list(rows[0]) == (
        [
            "file",
            "url",
            "source",
            "title",
            "artist",
            "year",
            "licence",
            "style",
            "sha256",
            "bytes",
            "when",
        ]
    )
    for row, (path, body) in zip(rows, bodies.items(), strict=True):
        assert row["url"] == nasty.address + path
        assert (folder / row["file"]).read_bytes() == body
        assert row["sha256"] == hashlib.sha256(body).hexdigest()
        assert row["bytes"] == str(len(body))
        assert (row["artist"], row["licence"], row["source"]) == ("Müller", "CC0", "https://x/p")
        assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{16}\.jpg", row["file"]), row["file"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["when"])
    assert [row["file"][:-21] for row in rows] == ["nympheas-effet-du-soir", "1", "2", "con"]
    assert not (folder / "failed.csv").exists()

    packed = pack(folder, tmp_path / "packed", PackOptions(resolution=32, labels=("style",)))
    assert len(packed.collection) == 4
    assert [field.classes for field in packed.collection.fields] == [("s0", "s1")]
    assert not packed.left_out

    # Its own metadata is a table by which the same can be fetched again.
    again = tmp_path / "again"
    fetch_table(read_table(folder / "metadata.csv"), again, polite_options(), FakeTime().polite())
    for row, first in zip(rows_of(again / "metadata.csv"), rows, strict=True):
        assert {**row, "when": ""} == {**first, "when": ""}


def polite_options(**options: Any) -> PictureOptions:
    return PictureOptions(rate=0, **options)


def test_what_is_there_is_not_fetched_again_and_what_failed_is(
    nasty: Nasty, tmp_path: Path
) -> None:
    good = nasty.on("/good", content(PNG))
    bad = nasty.on("/bad", in_turn(status(404), content(picture(colour=1))))
    report = fetch(tmp_path, good, bad)
    assert (report.there, report.fetched, report.failed) == (1, 1, {bad: "not found (404)"})
    (row,) = rows_of(tmp_path / "failed.csv")
    assert (row["url"], row["reason"], row["tries"]) == (bad, "not found (404)", "1")

    report = fetch(tmp_path, good, bad)
    assert (report.there, report.fetched, report.failed) == (2, 1, {})
    assert not (tmp_path / "failed.csv").exists()
    assert nasty.paths() == ["/good", "/bad", "/bad"]

    # What is gone, or is not whole any more, is fetched again to the same name.
    first, second = pictures_in(tmp_path)
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes(b"cut")
    report = fetch(tmp_path, good, bad)
    assert (report.there, report.fetched) == (2, 2)
    assert pictures_in(tmp_path) == [first, second]


def test_another_table_adds_to_the_folder_and_to_what_is_known(
    nasty: Nasty, tmp_path: Path
) -> None:
    one = nasty.on("/one", content(PNG))
    two = nasty.on("/two", content(picture(colour=2)))
    gone = nasty.on("/gone", status(410))
    fetch(tmp_path, WantedPicture(one, {"title": "First", "style": "cubism"}), gone)
    fetch(tmp_path, WantedPicture(one, {"title": "", "artist": "A"}), two, licence="CC BY 4.0")
    by_url = {row["url"]: row for row in rows_of(tmp_path / "metadata.csv")}
    assert len(by_url) == 2
    assert by_url[one]["title"] == "First"
    assert (by_url[one]["artist"], by_url[one]["style"]) == ("A", "cubism")
    assert by_url[one]["licence"] == by_url[two]["licence"] == "CC BY 4.0"
    assert by_url[two]["source"] == two
    assert [row["url"] for row in rows_of(tmp_path / "failed.csv")] == [gone]
    assert nasty.paths() == ["/one", "/gone", "/two"]


def test_a_licence_is_unknown_unless_somebody_says_it(nasty: Nasty, tmp_path: Path) -> None:
    fetch(tmp_path, nasty.on("/a", content(PNG)))
    assert rows_of(tmp_path / "metadata.csv")[0]["licence"] == "unknown"


def test_refresh_asks_whether_a_picture_has_changed(nasty: Nasty, tmp_path: Path) -> None:
    same = nasty.on("/same", content(PNG, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    new = nasty.on("/new", in_turn(content(PNG), content(picture("jpeg", 3))))
    gone = nasty.on("/gone", in_turn(content(PNG), status(404)))
    fetch(tmp_path, same, new, gone)
    before = {row["url"]: row for row in rows_of(tmp_path / "metadata.csv")}
    report = fetch(tmp_path, same, new, gone, refresh=True)
    after = {row["url"]: row for row in rows_of(tmp_path / "metadata.csv")}
    told = nasty.headers("/same")[1]["If-Modified-Since"]
    moment = email.utils.parsedate_to_datetime(told)
    assert moment.isoformat().replace("+00:00", "Z") == before[same]["when"]
    assert report.fetched == 1
    assert report.there == 3
    assert after[same] == before[same]
    assert after[new]["file"] == before[new]["file"].replace(".png", ".jpg")
    assert not (tmp_path / before[new]["file"]).exists()
    assert after[gone] == before[gone]  # what was there stays
    assert report.failed == {gone: "not found (404)"}


def test_the_type_is_that_of_the_bytes(nasty: Nasty, tmp_path: Path) -> None:
    kinds = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif", "bmp": "bmp", "tiff": "tif"}
    kinds |= {"avif": "avif", "jpeg2000": "jp2", "heif": "heic", "jxl": "jxl"}
    load_plugin("HEIF")
    load_plugin("JXL")
    urls = [
        nasty.on(f"/{kind}.exe", content(picture(kind), Content_Type="text/plain"))
        for kind in kinds
    ]
    assert fetch(tmp_path, *urls).there == len(kinds)
    suffixes = [row["file"].rpartition(".")[2] for row in rows_of(tmp_path / "metadata.csv")]
    assert suffixes == list(kinds.values())


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"\n <!DOCTYPE html><p>Please log in", "a web page"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"<?xml version='1.0'?><svg/>", "an XML file"),
        (b'{"error": "quota"}', "JSON"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0isom", RAW),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(200), RAW),
        (b"BMW and other cars, no bitmap", UNKNOWN.removeprefix("no picture: ")),
    ],
)
def test_what_is_no_picture_is_refused(
    nasty: Nasty, tmp_path: Path, body: bytes, what: str
) -> None:
    url = nasty.on("/a.jpg", content(body, Content_Type="image/jpeg"))
    assert reason(tmp_path, url) == f"no picture: {what}"
    assert len(nasty.paths()) == 1  # trying again would not help


PASSING = {
    "cut off": broken_off(PNG, len(PNG) // 2),
    "cut off in the first bytes": broken_off(PNG, 5),
    "hangs up": hangs_up,
    "empty": content(b""),
    "no end of chunks": chunked(PNG[:60], end=b""),
    "chunk of no length": chunked(PNG[:60], end=b"zz\r\nabc"),
    "chunk shorter than told": chunked(PNG[:60], end=b"ffff\r\nabc"),
    "length too short": says_less(PNG, len(PNG) - 10),
    "no length, cut off": without_length(PNG[:-10]),
    "429": status(429),
    "500": status(500),
    "503": status(503, b"<html>busy</html>", Retry_After=1),
    "gzip cut off": status(200, gzip.compress(PNG)[:-20], Content_Encoding="gzip"),
    "no status line": garbage(b"\x16\x03\x01 what?\r\n\r\n"),
    "no headers": garbage(b"HTTP/1.1 200 OK\r\n"),
    "gzip damaged": status(200, gzip.compress(PNG)[:20] + b"x" * 50, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again_and_a_lasting_one_given_up(
    nasty: Nasty, tmp_path: Path, fake: FakeTime, fault: str
) -> None:
    nasty.on("/once", in_turn(PASSING[fault], content(PNG)))
    nasty.on("/always", PASSING[fault])
    report = fetch(
        tmp_path, f"{nasty.address}/once", f"{nasty.address}/always", polite=fake.polite()
    )
    assert report.there == 1
    assert list(report.failed) == [f"{nasty.address}/always"]
    (name,) = pictures_in(tmp_path)
    assert (tmp_path / name).read_bytes() == PNG
    # A picture that comes without its end, and then just so again, has none on the server.
    tries = 2 if fault in ("length too short", "no length, cut off") else 4
    assert nasty.paths().count("/always") == tries
    assert rows_of(tmp_path / "failed.csv")[0]["tries"] == str(tries)


def test_a_length_too_long_is_a_picture_cut_short(nasty: Nasty, tmp_path: Path) -> None:
    def lies(request: Request) -> None:
        request.start(200, Content_Length=len(PNG) + 100)
        request.send(PNG)
        request.hang_up()

    why = reason(tmp_path, nasty.on("/a", lies))
    assert why == "cut short: the connection ended early"


def test_a_jpeg_without_an_end_is_cut_short(nasty: Nasty, tmp_path: Path) -> None:
    small = picture("jpeg", 1, 16)
    body = picture("jpeg", 2)
    # A small picture in the header has an end of its own, which is not the picture's.
    header = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    whole = body[:2] + header + body[2:]
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(whole)
    bad.write_bytes(whole[:-20])
    assert is_whole(good, ".jpg")
    assert not is_whole(bad, ".jpg")
    url = nasty.on("/a", without_length(whole[:-20]))
    assert reason(tmp_path / "to", url) == "cut short: the picture (.jpg) has no end"


def test_a_webp_is_whole_by_its_own_length(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(picture("webp"))
    assert is_whole(path, ".webp")
    path.write_bytes(picture("webp")[:-1])
    assert not is_whole(path, ".webp")


def test_what_is_too_large_is_refused(nasty: Nasty, tmp_path: Path) -> None:
    told = nasty.on("/told", content(PNG + b"\0" * 5_000))
    untold = nasty.on("/untold", endless(PNG))
    assert reason(tmp_path, told, most=5_000).startswith("larger than 5,000 bytes")
    assert reason(tmp_path, untold, most=300_000) == "larger than 300,000 bytes"
    bomb = gzip.compress(PNG + b"\0" * 3_000_000)
    nasty.on("/bomb", status(200, bomb, Content_Encoding="gzip"))
    assert reason(tmp_path, f"{nasty.address}/bomb", most=1_000_000) == "larger than 1 MB"


def test_an_endless_stream_that_is_no_picture_ends_at_once(nasty: Nasty, tmp_path: Path) -> None:
    assert reason(tmp_path, nasty.on("/a", endless(b"noise"))) == UNKNOWN


def test_a_picture_may_take_only_so_long(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/a", endless(PNG))
    assert reason(tmp_path, url, seconds=0.0, most=10**12) == "not there after 0 s"


def test_a_gzip_bomb_without_a_limit_is_one_all_the_same(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.fetching.client._BOMB_BYTES", 1_000_000)
    bomb = gzip.compress(b"\0" * 10_000_000)
    nasty.on("/bomb", status(200, bomb, Content_Encoding="gzip"))
    with pytest.raises(ImpastoError, match=r"compressed more than 200 times: a bomb$"):
        fetch_file(f"{nasty.address}/bomb", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_picture_compressed_for_the_way_is_opened(nasty: Nasty, tmp_path: Path) -> None:
    nasty.on("/gzip", status(200, gzip.compress(PNG), Content_Encoding="gzip"))
    nasty.on("/odd", status(200, PNG, Content_Encoding="br"))
    report = fetch(tmp_path, f"{nasty.address}/gzip", f"{nasty.address}/odd")
    (name,) = pictures_in(tmp_path)
    assert (tmp_path / name).read_bytes() == PNG
    assert list(report.failed.values()) == ["compressed by 'br', which was not asked for"]
    assert nasty.headers("/gzip")[0]["Accept-Encoding"] == "identity"


def test_a_server_that_stalls_or_trickles_is_given_up(nasty: Nasty, tmp_path: Path) -> None:
    options: dict[str, Any] = {"timeout": 0.4, "polite": FakeTime().polite(retries=0)}
    stuck = "stuck: less than 1,000 bytes a second, or no end, for 0 s"
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"X: y\r\n" * 1000
    urls = [
        nasty.on("/stalls", stalls(PNG[:20], len(PNG))),
        nasty.on("/silent", stalls(b"", 9)),
        nasty.on("/trickles", trickles(PNG)),
        nasty.on("/headers", trickles(PNG, headers_too=True)),
        nasty.on("/trailers", garbage(trailers, start + b"0\r\n", endless=True)),
        nasty.on("/continue", garbage(b"HTTP/1.1 100 Continue\r\n\r\n" * 500, endless=True)),
    ]
    report = fetch(tmp_path, *urls, **options)
    assert report.failed == dict.fromkeys(urls, stuck)
    assert pictures_in(tmp_path) == []


def test_redirects_are_followed_within_reason(nasty: Nasty, other: Nasty, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    other.on("/real", content(PNG))
    nasty.on("/relative", redirect("away", 301))
    nasty.on("/away", redirect(f"{other.address}/real", 307))
    nasty.on("/ping", redirect("/pong"))
    nasty.on("/pong", redirect("/ping"))
    for number in range(30):
        nasty.on(f"/step{number}", redirect(f"/step{number + 1}"))
    nasty.on("/file", redirect(secret.as_uri()))
    nasty.on("/ftp", redirect("ftp://example.org/a.png"))
    nasty.on("/data", redirect("data:image/png;base64,AAAA"))
    nasty.on("/none", redirect("http://"))
    nasty.on("/odd", redirect("http://[::1/a"))
    nasty.on("/port", redirect("http://127.0.0.1:99999/a"))
    paths = ["relative", "ping", "step0", "file", "ftp", "data", "none", "odd", "port"]
    report = fetch(tmp_path / "to", *(f"{nasty.address}/{path}" for path in paths))
    assert report.there == 1
    refused = "redirected to what is not an http or https address"
    assert list(report.failed.values()) == [
        "redirected in a circle",
        "redirected more than 10 times",
        *[refused] * 3,
        "redirected in a circle",  # an address that leaves out all that is left out
        "redirected to what is not an address",
        refused,
    ]


def test_addresses_that_cannot_be_asked(tmp_path: Path) -> None:
    urls = ["file:///etc/passwd", "ftp://x/a.png", "www.example.org/a.png", "http://", "http://[/a"]
    odd = ["http://127.0.0.1:99999/a", "http://" + "a" * 70 + ".org/b"]
    report = fetch(tmp_path, *urls, *odd, polite=FakeTime().polite(retries=0))
    assert [report.failed[url] for url in urls] == ["not an http or https address"] * 5
    assert len(report.failed) == 7


def test_no_server_there(tmp_path: Path, fake: FakeTime) -> None:
    with nasty_server() as nasty:
        url = f"{nasty.address}/a"
    assert reason(tmp_path, url, polite=fake.polite()) == "no connection"
    assert fake.sleeps == [1.0, 2.0, 4.0]


def test_where_a_redirect_leads_may_be_spelled_in_utf_8(nasty: Nasty, tmp_path: Path) -> None:
    nasty.on("/gr%C3%BCnewald.png", content(PNG))
    to = "/grünewald.png".encode().decode("latin-1")
    assert fetch(tmp_path, nasty.on("/a", redirect(to))).there == 1


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("takes the openssl program to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with nasty_server(tls) as nasty:
        url = nasty.on("/a", content(PNG))
        slow = nasty.on("/slow", trickles(PNG))
        assert reason(tmp_path / "to", url) == "its certificate is not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        polite = FakeTime().polite(retries=0)
        assert fetch(tmp_path / "to", url).there == 1
        report = fetch(tmp_path / "to", slow, timeout=1.0, polite=polite)
        assert report.failed[slow].startswith("stuck")


def test_cookies_are_neither_kept_nor_sent(nasty: Nasty, tmp_path: Path) -> None:
    a = nasty.on("/a", content(PNG, Set_Cookie="id=1; Path=/"))
    b = nasty.on("/b", content(picture(colour=1)))
    fetch(tmp_path, a, b, contact="me@example.org")
    headers = nasty.headers("/b")[0]
    assert "Cookie" not in headers
    assert re.fullmatch(r"impasto/[\d.]+ \(me@example\.org\)", headers["User-Agent"])


def test_a_hash_in_the_table_is_held_to(nasty: Nasty, tmp_path: Path) -> None:
    table = tmp_path / "urls.csv"
    a, b = nasty.on("/a", content(PNG)), nasty.on("/b", content(PNG))
    digest = hashlib.sha256(PNG).hexdigest()
    table.write_text(f"url,sha256\n{a},{digest}\n{b},{'0' * 64}\n")
    report = fetch_table(read_table(table), tmp_path / "to", polite_options(), FakeTime().polite())
    assert report.failed == {b: f"another SHA-256: {digest}, not {'0' * 64}"}
    assert nasty.paths() == ["/a", "/b"] or nasty.paths() == ["/b", "/a"]
    assert report.reasons() == {"another SHA-256": 1}


@pytest.mark.parametrize(
    ("text", "urls", "columns"),
    [
        ("url\nhttp://a\n", ["http://a"], ()),
        ("URL;Genre\nhttp://a;x\n", ["http://a"], ("genre",)),
        ("\ufeffurl\tstyle\nhttp://a\ty\n", ["http://a"], ("style",)),
        ("http://a/1.jpg\nhttp://a/2.jpg\n", ["http://a/1.jpg", "http://a/2.jpg"], ()),
        ("file,url,when,bytes,title\nf.png,http://a,x,1,T\n", ["http://a"], ()),
        (
            "# mine\n\nhttp://a/x,y.jpg\n\n # later\r\nhttp://b\n",
            ["http://a/x,y.jpg", "http://b"],
            (),
        ),
        ('# mine\nurl,style\n#http://a,x\n\nhttp://b,"y\n#z"\n', ["http://b"], ("style",)),
    ],
)
def test_tables_as_they_come(
    tmp_path: Path, text: str, urls: list[str], columns: tuple[str, ...]
) -> None:
    path = tmp_path / "urls.csv"
    path.write_text(text, encoding="utf-8")
    table = read_table(path)
    assert [row.url for row in table.rows] == urls
    assert table.columns == columns


def test_rows_without_an_address_or_with_one_seen_before(tmp_path: Path) -> None:
    path = tmp_path / "urls.csv"
    path.write_text("url,title\nhttp://a,A\nhttp://a,B\n,C\n,\n\n")
    table = read_table(path)
    assert [(row.url, row.cells["title"]) for row in table.rows] == [("http://a", "A")]
    assert table.notes == [
        "1 row with an address that an earlier row has",
        "1 row without an address",
    ]


def test_rows_that_cannot_be_read_are_failures_and_shift_nothing(
    nasty: Nasty, tmp_path: Path
) -> None:
    """A comma without quotes gives a row another number of cells; nobody can tell which is which."""
    a, b, c = (nasty.on(path, content(PNG)) for path in ("/a.jpg", "/b.jpg", "/c,d.jpg"))
    lines = [
        "url,title,artist,style",
        f"{a},Landscape, with cows,A. Painter,Baroque",
        f"{b},Still life,B. Painter,Cubism",
        f'"{c}","Sea, calm",C. Painter,Fauvism',
        f"{c},Sea,D. Painter,Op",
        f'{a}?2,"Untitled,E. Painter,Op',
    ]
    path, folder = tmp_path / "shift.csv", tmp_path / "to"
    path.write_text("\n".join(lines))
    table = read_table(path)
    assert [(row.url, row.cells["style"]) for row in table.rows] == [(b, "Cubism"), (c, "Fauvism")]
    report = fetch_table(table, folder, polite_options(), FakeTime().polite())
    many = "row not readable: row {} of shift.csv has 5 cells where there are 4 columns; "
    many += "quote cells with commas in them"
    assert report.failed == {
        "row 2 of shift.csv": many.format(2),
        "row 5 of shift.csv": many.format(5),
        "row 6 of shift.csv": "row not readable: an open quotation mark in row 6 of shift.csv; close "
        "it, or remove it",
    }
    assert (report.wanted, report.there, report.reasons()) == (5, 2, {"row not readable": 3})
    assert [row["url"] for row in rows_of(folder / "failed.csv")] == list(report.failed)
    assert report.notes == [
        "3 rows of shift.csv not readable, such as: " + many.format(2).partition(": ")[2]
    ]
    packed = read_source(folder, ("artist", "style"))
    assert {e.labels for e in packed.entries} == {
        ("B. Painter", "Cubism"),
        ("C. Painter", "Fauvism"),
    }
    # Put right, they are no failures any more.
    path.write_text("\n".join(lines[:1] + lines[2:4]))
    report = fetch_table(read_table(path), folder, polite_options(), FakeTime().polite())
    assert (report.wanted, report.failed, (folder / "failed.csv").exists()) == (2, {}, False)


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ("Image URL,title,url", "addresses are those in the column 'image url'"),
        ("photo,title,page", None),
        ("Seite,title,Bild", "urls.csv: column 'bild' says which picture is meant"),
    ],
)
def test_the_column_of_addresses(tmp_path: Path, header: str, note: str | None) -> None:
    """It may be called otherwise than url; of two unknown ones, nobody can tell which it is."""
    path = tmp_path / "urls.csv"
    cells = ["http://a/1.jpg", "A", "http://a/page"]
    if header.startswith("Seite"):
        cells = ["7", "A", "http://a/1.jpg"]
    path.write_text(f"{header}\n{','.join(cells)}\n")
    if note is None:
        with pytest.raises(ImpastoError, match="has no column 'url'; it has page, photo, title"):
            read_table(path)
        return
    table = read_table(path)
    assert [row.url for row in table.rows] == ["http://a/1.jpg"]
    assert table.rows[0].cells.get("source", "") == ("http://a/page" if "url" in header else "")
    assert table.notes == [note]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_tables_of_addresses_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "urls.csv"
    text = "sep=;\r\n\r\nurl;title, as written\r\nhttp://a/1;D\u00fcrer, Hase\r\n"
    path.write_bytes(text.encode(encoding))
    assert [(row.url, row.cells) for row in read_table(path).rows] == [
        ("http://a/1", {"title, as written": "D\u00fcrer, Hase"})
    ]
    path.write_bytes(b"PK\x03\x04...xl/workbook.xml")
    with pytest.raises(ImpastoError, match=r"urls\.csv is an Excel workbook: save it as CSV$"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line names the columns, such as url,title"),
        ("title,artist\nA,B\n", "has no column 'url'; it has artist, title"),
        (
            '{"url": "http://a/1.jpg"}\n',
            "is JSON; make it a CSV file with a column url, or a text file",
        ),
        ("url\n", "has no addresses"),
        (
            'url\n"' + "x" * 200_000,
            "has no addresses below its header: row not readable: an open quot",
        ),
        ("http://a/1.jpg, A title\nhttp://a/2.jpg, B, C\n", "begins with a row .*url,title"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "urls.csv"
    path.write_text(text)
    with pytest.raises(ImpastoError, match=message):
        read_table(path)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="is a folder; give a table of URLs"):
        read_table(tmp_path)


def test_somebody_elses_tables_are_left_alone(nasty: Nasty, tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,A\n")
    with pytest.raises(ImpastoError, match="was not written by impasto fetch"):
        fetch(tmp_path, nasty.on("/a", content(PNG)))
    assert (tmp_path / "metadata.csv").read_text() == "file_name,text\na.png,A\n"


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000, "many"])
def test_a_size_that_is_none_in_the_folders_table(nasty: Nasty, tmp_path: Path, size: str) -> None:
    url = nasty.on("/a", content(PNG))
    fetch(tmp_path, url)
    (row,) = rows_of(tmp_path / "metadata.csv")
    table = "file,url,bytes\n" + f"{row['file']},{url},{size}\n"
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    assert fetch(tmp_path, url).fetched == 1
    (row,) = rows_of(tmp_path / "metadata.csv")
    assert int(row["bytes"]) == len(PNG)


def test_a_folder_that_cannot_be_written_is_one_line(nasty: Nasty, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImpastoError, match="cannot write"):
        fetch(tmp_path / "file", nasty.on("/a", content(PNG)))
    with pytest.raises(ImpastoError, match="cannot write"):
        fetch(tmp_path / ("n" * 400), nasty.on("/a", content(PNG)))


def test_a_full_disk_stops_the_fetch(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImpastoError, match="the disk is full"):
        Download(nasty.on("/a", content(PNG)), tmp_path / "a.part").attempt(Client())
    monkeypatch.undo()
    monkeypatch.setattr("impasto.fetching.table.sha256_of_file", full)
    with pytest.raises(OSError, match="No space"):
        fetch(tmp_path, *(f"{nasty.address}/a?{number}" for number in range(50)))
    assert len(nasty.paths()) < 20


@settings(max_examples=100)
@given(st.text(max_size=300))
def test_names_are_safe_everywhere(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{0,60}", slug(text))
    name = file_name("https://example.org/a/" + text.replace("?", "").replace("#", ""))
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name)
    assert name not in ("", ".", "..", "fetched.json")
    assert name == name.strip(" .")
    assert len(name.encode()) <= 210


def test_names_of_files() -> None:
    assert file_name("https://x.org/a/wiki%20art.zip?download=1") == "wiki art.zip"
    assert file_name("https://x.org/") == "download"
    assert file_name("https://x.org/con.txt") == "_con.txt"
    assert file_name("https://x.org/..%2f..%2fetc%2fpasswd") == "-..-etc-passwd"
    assert file_name(f"https://x.org/{'é' * 300}.parquet").endswith("é.parquet")


# --- Politeness ------------------------------------------------------------------------------------


def test_a_host_is_asked_only_so_often(nasty: Nasty, tmp_path: Path, fake: FakeTime) -> None:
    urls = [nasty.on(f"/{number}", content(picture(colour=number))) for number in range(5)]
    fetch(tmp_path, *urls, polite=fake.polite(rate=2.0))
    assert fake.sleeps == [0.5] * 4


def test_redirects_count_as_requests(nasty: Nasty, tmp_path: Path, fake: FakeTime) -> None:
    nasty.on("/b", content(PNG))
    fetch(tmp_path, nasty.on("/a", redirect("/b")), polite=fake.polite(rate=1.0))
    assert fake.sleeps == [1.0]


def test_a_host_is_asked_one_at_a_time_or_as_told(nasty: Nasty, tmp_path: Path) -> None:
    urls = [
        nasty.on(f"/{number}", slowly(content(picture(colour=number)), 0.02))
        for number in range(12)
    ]
    fetch(tmp_path / "one", *urls)
    assert nasty.most_at_once == 1
    fetch(tmp_path / "three", *urls, per_host=3)
    assert nasty.most_at_once in (2, 3)


def test_a_thread_goes_on_where_another_took_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raced(deque[Any]):
        def __bool__(self) -> bool:
            return True

    a, b, c = (table_module.WantedPicture(f"http://host/{name}") for name in "abc")
    settled: list[table_module.WantedPicture] = []
    fetching = object.__new__(table_module._Fetch)
    fetching._politeness = Politeness()
    monkeypatch.setattr(fetching, "_fetch_row", settled.append)
    fetching._work(deque([Raced(), deque([a, b]), deque([c])]))
    assert settled == [a, b, c]


def test_several_hosts_are_asked_at_once(nasty: Nasty, other: Nasty, tmp_path: Path) -> None:
    met = threading.Barrier(2, timeout=20)

    def together(body: bytes) -> Callable[[Request], None]:
        def behave(request: Request) -> None:
            met.wait()
            content(body)(request)

        return behave

    report = fetch(
        tmp_path,
        nasty.on("/a", together(PNG)),
        other.on("/b", together(picture(colour=1))),
    )
    assert report.there == 2


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept_to_by_the_whole_host(
    nasty: Nasty, tmp_path: Path, fake: FakeTime, code: int
) -> None:
    a = nasty.on("/a", in_turn(status(code, Retry_After=17), content(PNG)))
    b = nasty.on("/b", content(picture(colour=1)))
    report = fetch(tmp_path, a, b, polite=fake.polite())
    assert report.there == 2
    assert fake.sleeps == [17.0]


def test_retry_after_may_be_a_date(nasty: Nasty, tmp_path: Path, fake: FakeTime) -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    url = nasty.on("/a", in_turn(status(503, Retry_After=date), content(PNG)))
    fetch(tmp_path, url, polite=fake.polite())
    assert len(fake.sleeps) == 1
    assert 30 < fake.sleeps[0] <= 60


@pytest.mark.parametrize(
    "header",
    ["soon", "-5", "1e9", "Fri, 99 Foo 2020", "٣", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT"],
)
def test_a_retry_after_that_makes_no_sense_is_none(header: str) -> None:
    assert retry_after(header) is None


def test_a_long_retry_after_is_not_shortened() -> None:
    assert retry_after("864000") == 864_000


def test_a_retry_after_in_the_past_is_now() -> None:
    assert retry_after("Mon, 01 Jan 2024 00:00:00 GMT") == 0.0


def test_a_host_that_asks_for_too_long_is_left_alone(
    nasty: Nasty, tmp_path: Path, fake: FakeTime
) -> None:
    urls = [nasty.on(f"/{number}", status(429, Retry_After=86_400)) for number in range(3)]
    report = fetch(tmp_path, *urls, polite=fake.polite())
    assert nasty.paths() == ["/0"]
    assert fake.sleeps == []
    host = nasty.address.removeprefix("http://")
    later = f"not tried: {host} asks to wait 24 h 00 min; run it again later"
    assert list(report.failed.values()) == ["too many requests (429)", later, later]
    assert [row["tries"] for row in rows_of(tmp_path / "failed.csv")] == ["1", "0", "0"]


def test_backoff_doubles_with_a_jitter_and_has_an_end() -> None:
    fake = FakeTime()
    chances = iter([0.0, 0.5, 1.0, *[1.0] * 10])
    polite = Politeness(0, 9, fake.sleep, fake.clock, chance=lambda: next(chances))

    def attempt() -> None:
        polite.wait("http://a/")
        raise FetchError("no", again=True)

    with pytest.raises(FetchError) as caught:
        polite.with_retries("http://a/", attempt)
    assert caught.value.tries == 10
    assert fake.sleeps == [0.5, 1.5, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_any_number_of_retries() -> None:
    fake = FakeTime()
    polite = Politeness(0, 1100, fake.sleep, fake.clock)

    def attempt() -> None:
        raise FetchError("no", again=True, after=0)

    with pytest.raises(FetchError) as caught:
        polite.with_retries("http://a/", attempt)
    assert caught.value.tries == 1101


def test_a_host_that_only_fails_is_left_alone(
    nasty: Nasty, other: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(politeness_module, "_FAILURES", 3)
    bad = [nasty.on(f"/{number}", status(500)) for number in range(6)]
    good = [
        # Pages that are gone say nothing against their host.
        other.on(f"/{number}", status(404) if number < 5 else content(PNG))
        for number in range(6)
    ]
    report = fetch(tmp_path, *bad, *good, polite=FakeTime().polite(retries=0))
    assert nasty.paths() == ["/0", "/1", "/2"]
    assert len(other.paths()) == 6
    assert report.there == 1
    host = nasty.address.removeprefix("http://")
    why = f"not tried: {host} failed 3 times in a row; run it again later"
    assert [report.failed[url] for url in bad[3:]] == [why] * 3


def test_a_success_between_failures_keeps_a_host(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(politeness_module, "_FAILURES", 2)
    urls = [
        nasty.on(f"/{number}", content(picture(colour=number)) if number % 2 else status(500))
        for number in range(8)
    ]
    assert fetch(tmp_path, *urls, polite=FakeTime().polite(retries=0)).there == 4


def test_numbered_hosts_are_one() -> None:
    assert host_of("https://uploads3.wikiart.org/a") == host_of("https://uploads7.wikiart.org/b")
    assert host_of("http://127.0.0.1:8001/") != host_of("http://127.0.0.1:8002/")
    assert host_of("http://10.0.0.1/") != host_of("http://11.0.0.1/")
    assert host_of("https://s3.com/") != host_of("https://s4.com/")


def test_robots_txt_is_kept_to(nasty: Nasty, other: Nasty, tmp_path: Path, fake: FakeTime) -> None:
    rules = b"User-agent: *\nDisallow: /private\nCrawl-delay: 7\nUser-agent: other\nDisallow: /\n"
    nasty.on("/robots.txt", status(200, rules))
    a, b = nasty.on("/a", content(PNG)), nasty.on("/b", content(picture(colour=1)))
    private = nasty.on("/private/c", content(PNG))
    # Nor is it gone round by a redirect.
    sly = other.on("/sly", redirect(private))
    report = fetch(tmp_path, a, b, private, sly, robots=True, polite=fake.polite())
    assert report.there == 2
    asks = "the robots.txt of 127.0.0.1 asks programs not to"
    assert report.failed == {private: asks, sly: asks}
    assert sorted(nasty.paths()) == ["/a", "/b"]
    assert sum(asked.path == "/robots.txt" for asked in nasty.asked) == 1
    assert max(fake.sleeps) == 7.0
    assert fetch(tmp_path, private, robots=False).there == 1


@pytest.mark.parametrize("answer", [status(404), status(403), content(b"<html>no</html>")])
def test_without_robots_txt_all_may_be_fetched(
    nasty: Nasty, tmp_path: Path, answer: Callable[[Request], None]
) -> None:
    nasty.on("/robots.txt", answer)
    assert fetch(tmp_path, nasty.on("/a", content(PNG)), robots=True).there == 1


def test_a_robots_txt_that_cannot_be_read_forbids(nasty: Nasty, tmp_path: Path) -> None:
    nasty.on("/robots.txt", status(500))
    urls = [nasty.on("/a", content(PNG)), nasty.on("/b", content(PNG))]
    report = fetch(tmp_path, *urls, robots=True)
    why = "its robots.txt cannot be read: the server failed (500)"
    assert list(report.failed.values()) == [why, why]
    assert nasty.paths() == []


def test_a_proxy_of_the_environment_is_used(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty.on("/a.png", content(PNG))
    monkeypatch.setenv("http_proxy", nasty.address.replace("http://", "http://me:secret@"))
    assert fetch(tmp_path, "http://pictures.example/a.png").there == 1
    assert nasty.paths() == ["http://pictures.example/a.png"]
    assert nasty.headers("/a.png")[0]["Proxy-Authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(tmp_path, f"{nasty.address}/a.png")
    assert nasty.paths()[1] == "/a.png"
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")
    with pytest.raises(ImpastoError, match="proxy that cannot be used") as caught:
        fetch_file("http://pictures.example/a.png", tmp_path / "socks")
    assert "secret" not in str(caught.value)


# --- Interrupted ------------------------------------------------------------------------------------


def test_killed_and_run_again_everything_is_there_once(nasty: Nasty, tmp_path: Path) -> None:
    count = 24
    bodies = {f"/{number}.png": picture(colour=number) for number in range(count)}
    for path, body in bodies.items():
        nasty.on(path, slowly(content(body), 0.02))
    table, folder = tmp_path / "urls.csv", tmp_path / "to"
    table.write_text("url,title\n" + "".join(f"{nasty.address}{p},Same\n" for p in bodies))
    options = ("--rate", "0", "--no-robots")
    for killed in (7, 16):
        process = impasto(table, folder, *options)
        wait_for(lambda killed=killed: len(nasty.paths()) >= killed)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (folder / "same-0123456789abcdef.part").write_bytes(b"left behind")
    out, err = (process := impasto(table, folder, *options)).communicate()
    assert process.returncode == 0, err
    rows = rows_of(folder / "metadata.csv")
    assert [row["url"] for row in rows] == [nasty.address + path for path in bodies]
    for row, body in zip(rows, bodies.values(), strict=True):
        assert (folder / row["file"]).read_bytes() == body
    assert pictures_in(folder) == sorted(row["file"] for row in rows)
    # Each kill costs at most the one picture that was under way.
    assert count <= len(nasty.paths()) <= count + 2
    assert "24 of 24 pictures are in" in out


def test_ctrl_c_is_one_line_and_nothing_is_half_written(nasty: Nasty, tmp_path: Path) -> None:
    good = nasty.on("/a", content(PNG))
    slow = nasty.on("/b", stalls(picture(colour=1)[:50], 10_000))
    table, folder = tmp_path / "urls.csv", tmp_path / "to"
    table.write_text(f"url\n{good}\n{slow}\n")
    process = impasto(table, folder, "--rate", "0", "--no-robots")
    wait_for(lambda: "/b" in nasty.paths())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    last = "impasto: stopped: 1 of 2 pictures are there; run it again to go on"
    assert [line for line in err.splitlines() if "pictures, " not in line] == [last]
    (row,) = rows_of(folder / "metadata.csv")
    assert pictures_in(folder) == [row["file"]]


def test_ctrl_c_in_a_large_file_keeps_what_arrived(nasty: Nasty, tmp_path: Path) -> None:
    body = os.urandom(300_000)
    start = stalls_at(body, 200_000, '"v1"')
    url = nasty.on("/big.bin", in_turn(start, content(body, '"v1"')))
    process = impasto(url, tmp_path)
    part = tmp_path / "big.bin.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 65_536)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert re.fullmatch(r"impasto: stopped; what arrived is kept in .*, run it again .*", last)
    assert not (tmp_path / "big.bin").exists()
    have = part.stat().st_size
    fetch_file(url, tmp_path)
    assert nasty.headers("/big.bin")[1]["Range"] == f"bytes={have}-"
    assert (tmp_path / "big.bin").read_bytes() == body
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.bin", "fetched.json"]


def stalls_at(body: bytes, at: int, etag: str) -> Callable[[Request], None]:
    def behave(request: Request) -> None:
        request.start(200, Content_Length=len(body), ETag=etag)
        request.send(body[:at])
        request.server.nasty.closing.wait(30)
        request.hang_up()

    return behave


def test_two_fetches_do_not_share_a_folder(nasty: Nasty, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    url = nasty.on("/a", stalls(PNG[:20], len(PNG)))
    polite = FakeTime().polite(retries=0)
    thread = threading.Thread(
        target=lambda: fetch(tmp_path, url, polite=polite, timeout=2.0), daemon=True
    )
    thread.start()
    wait_for(lambda: "/a" in nasty.paths())
    with pytest.raises(ImpastoError, match="another impasto fetch is at work"):
        fetch(tmp_path, url)
    thread.join()
    fetch(tmp_path, nasty.on("/b", content(PNG)))


def test_stopped_from_within(nasty: Nasty, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    table = WantedPictures([WantedPicture(nasty.on("/a", content(PNG)))])
    with pytest.raises(StoppedError, match="run it again to go on"):
        fetch_table(table, tmp_path, polite_options(robots=False), FakeTime().polite(), stop)
    assert fetch(tmp_path, *table.rows).there == 1


# --- A file by its address --------------------------------------------------------------------------

BODY = bytes(range(256)) * 800
SHA = hashlib.sha256(BODY).hexdigest()


def test_a_file_is_fetched_once(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/data/x.zip", content(BODY, '"v1"'))
    told: list[tuple[int, int]] = []
    report = fetch_file(url, tmp_path, tell=lambda done, total: told.append((done, total)))
    assert (report.names, report.fetched, report.bytes) == (["x.zip"], 1, len(BODY))
    assert (tmp_path / "x.zip").read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    record = json.loads((tmp_path / "fetched.json").read_text())["files"]["x.zip"]
    assert (record["url"], record["sha256"], record["bytes"]) == (url, SHA, len(BODY))
    assert fetch_file(url, tmp_path).fetched == 0
    assert len(nasty.paths()) == 1
    (tmp_path / "x.zip").write_bytes(b"damaged")
    assert fetch_file(url, tmp_path).fetched == 1


def test_a_file_goes_on_where_it_was_cut_off(nasty: Nasty, tmp_path: Path, fake: FakeTime) -> None:
    url = nasty.on("/x", in_turn(broken_off(BODY, 70_000, ETag='"v1"'), content(BODY, '"v1"')))
    fetch_file(url, tmp_path, politeness=fake.polite())
    assert (tmp_path / "x").read_bytes() == BODY
    first, second = nasty.headers("/x")
    assert "Range" not in first
    assert (second["Range"], second["If-Range"]) == ("bytes=70000-", '"v1"')


def test_a_file_goes_on_in_another_run(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/x", broken_off(BODY, 70_000, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    with pytest.raises(ImpastoError, match=r"cut short.*; what arrived is kept, run it again"):
        fetch_file(url, tmp_path, politeness=FakeTime().polite(retries=0))
    nasty.on("/x", content(BODY, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    fetch_file(url, tmp_path)
    assert nasty.headers("/x")[1]["Range"] == "bytes=70000-"
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_fetched_anew(nasty: Nasty, tmp_path: Path) -> None:
    new = BODY[::-1]
    url = nasty.on("/x", in_turn(broken_off(BODY, 70_000, ETag='"v1"'), content(new, '"v2"')))
    fetch_file(url, tmp_path, politeness=FakeTime().polite())
    assert (tmp_path / "x").read_bytes() == new


def test_a_server_that_sends_a_part_of_the_changed_file_is_found_out(
    nasty: Nasty, tmp_path: Path
) -> None:
    new = BODY[::-1]

    def ignores_if_range(request: Request) -> None:
        del request.headers["If-Range"]
        content(new, '"v2"')(request)

    url = nasty.on("/x", in_turn(broken_off(BODY, 70_000, ETag='"v1"'), ignores_if_range))
    fetch_file(url, tmp_path, politeness=FakeTime().polite())
    assert (tmp_path / "x").read_bytes() == new
    assert len(nasty.paths()) == 3

    # Without marks only a known hash shows that two parts do not fit.
    nasty.on("/y", in_turn(broken_off(BODY, 70_000), content(new)))
    digest = hashlib.sha256(new).hexdigest()
    fetch_file(f"{nasty.address}/y", tmp_path, digest, politeness=FakeTime().polite())
    assert (tmp_path / "y").read_bytes() == new


def test_a_server_without_ranges_sends_all_again(nasty: Nasty, tmp_path: Path) -> None:
    whole = content(BODY, '"v1"', ranges=False)
    url = nasty.on("/x", in_turn(broken_off(BODY, 70_000, ETag='"v1"'), whole))
    fetch_file(url, tmp_path, politeness=FakeTime().polite())
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(nasty.paths()) == 2


def wrong_part(request: Request) -> None:
    request.start(206, Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}", Content_Length=5)
    request.send(BODY[5:10])


def odd_part(request: Request) -> None:
    request.start(206, Content_Range="bytes all of it", Content_Length=5)
    request.send(BODY[5:10])


def long_part(request: Request) -> None:
    rest = BODY[70_000:] + b"more"
    span = f"bytes 70000-{len(BODY) - 1}/{len(BODY)}"
    request.start(206, Content_Range=span, Content_Length=len(rest), ETag='"v1"')
    request.send(rest)


@pytest.mark.parametrize("part", [wrong_part, odd_part, long_part, status(416)])
def test_a_part_that_does_not_fit_is_thrown_away(
    nasty: Nasty, tmp_path: Path, part: Callable[[Request], None]
) -> None:
    behaviours = broken_off(BODY, 70_000, ETag='"v1"'), part, content(BODY, '"v1"')
    url = nasty.on("/x", in_turn(*behaviours))
    fetch_file(url, tmp_path, politeness=FakeTime().polite())
    assert (tmp_path / "x").read_bytes() == BODY
    assert "Range" not in nasty.headers("/x")[2]


def test_a_part_nobody_asked_for_is_refused(nasty: Nasty, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="another part than was asked for"):
        fetch_file(nasty.on("/x", wrong_part), tmp_path, politeness=FakeTime().polite())


def test_weak_marks_are_no_ground_to_go_on(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/x", in_turn(broken_off(BODY, 70_000, ETag='W/"v1"'), content(BODY)))
    fetch_file(url, tmp_path, politeness=FakeTime().polite())
    assert "Range" not in nasty.headers("/x")[1]


def test_killed_between_the_last_byte_and_the_name(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/x", content(BODY, '"v1"'))
    (tmp_path / "x.part").write_bytes(BODY)
    note = {"url": url, "mark": '"v1"', "sha256": None}
    (tmp_path / "x.part.json").write_text(json.dumps(note))
    fetch_file(url, tmp_path)
    assert (tmp_path / "x").read_bytes() == BODY
    assert nasty.headers("/x")[0]["Range"] == f"bytes={len(BODY)}-"


@pytest.mark.parametrize("note", ["", "[]", '{"url": "http://elsewhere/", "mark": "v"}', "{"])
def test_parts_of_something_else_are_not_gone_on_with(
    nasty: Nasty, tmp_path: Path, note: str
) -> None:
    (tmp_path / "x.part").write_bytes(b"something else")
    (tmp_path / "x.part.json").write_text(note)
    fetch_file(nasty.on("/x", content(BODY, '"v1"')), tmp_path)
    assert (tmp_path / "x").read_bytes() == BODY


def test_progress_makes_the_tries_begin_anew(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_PROGRESS", 10_000)

    def a_little(request: Request) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"ETag": '"v1"', "Content_Length": len(BODY) - start}
        span = {"Content_Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"}
        request.start(206 if start else 200, **headers, **(span if start else {}))
        request.send(BODY[start : start + 20_000])
        if start + 20_000 < len(BODY):
            request.hang_up()

    url = nasty.on("/x", a_little)
    fetch_file(url, tmp_path, politeness=FakeTime().polite(retries=1))
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(nasty.paths()) == 11


def test_a_file_is_held_to_its_hash(nasty: Nasty, tmp_path: Path) -> None:
    url = nasty.on("/x", content(BODY))
    with pytest.raises(ImpastoError, match=f"another SHA-256: {SHA}, not 0000"):
        fetch_file(url, tmp_path, "0" * 64, politeness=FakeTime().polite())
    assert [path.name for path in tmp_path.iterdir()] == []
    assert len(nasty.paths()) == 1  # it would come again as it is
    with pytest.raises(ImpastoError, match="is no SHA-256"):
        fetch_file(url, tmp_path, "abc")
    fetch_file(url, tmp_path, SHA.upper())
    (tmp_path / "fetched.json").unlink()
    assert fetch_file(url, tmp_path, SHA).fetched == 0


def test_another_file_of_that_name_is_not_overwritten(nasty: Nasty, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    url = nasty.on("/x", content(BODY))
    with pytest.raises(ImpastoError, match="is another file; remove it"):
        fetch_file(url, tmp_path)
    with pytest.raises(ImpastoError, match="is another file; remove it"):
        fetch_file(url, tmp_path, SHA)
    assert (tmp_path / "x").read_text() == "mine"
    assert nasty.paths() == []


@pytest.mark.parametrize("files", [["x"], {"x": 1}, None])
def test_somebody_elses_record_is_left_alone(nasty: Nasty, tmp_path: Path, files: object) -> None:
    record = tmp_path / "fetched.json"
    record.write_text(json.dumps({"files": files}))
    (tmp_path / "x").write_bytes(BODY)
    with pytest.raises(ImpastoError, match="was not written by impasto fetch; choose another"):
        fetch_file(nasty.on("/x", content(BODY)), tmp_path)
    assert json.loads(record.read_text()) == {"files": files}


def test_a_page_in_place_of_a_file(nasty: Nasty, tmp_path: Path) -> None:
    page = content(b"<!doctype html><title>Log in</title>", Content_Type="application/zip")
    with pytest.raises(ImpastoError, match="a web page"):
        fetch_file(nasty.on("/x.zip", page), tmp_path)
    fetch_file(nasty.on("/x.html", page), tmp_path)


def test_an_archive_called_compressed_for_the_way_stays_as_it_is(
    nasty: Nasty, tmp_path: Path
) -> None:
    packed = gzip.compress(BODY)
    answer = status(200, packed, Content_Encoding="gzip")
    fetch_file(nasty.on("/x.tar.gz", answer), tmp_path)
    assert (tmp_path / "x.tar.gz").read_bytes() == packed
    fetch_file(nasty.on("/x.csv", answer), tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == BODY


def test_files_without_a_network(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = nasty.on("/x", content(BODY))
    fetch_file(url, tmp_path)
    picture_url = nasty.on("/a", content(PNG))
    fetch(tmp_path, picture_url)
    asked = len(nasty.asked)
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    assert fetch_file(url, tmp_path).names == ["x"]
    assert fetch(tmp_path, picture_url).there == 1
    with pytest.raises(ImpastoError, match="IMPASTO_OFFLINE is set; unset it to fetch"):
        fetch_file(nasty.on("/y", content(BODY)), tmp_path)
    with pytest.raises(ImpastoError, match="x is incomplete or another file, and IMPASTO_OFFLINE"):
        fetch_file(url, tmp_path, "0" * 64)
    with pytest.raises(ImpastoError, match="IMPASTO_OFFLINE is set, and 1 of 2 pictures are not"):
        fetch(tmp_path, picture_url, f"{nasty.address}/b")
    with pytest.raises(ImpastoError, match=r"IMPASTO_OFFLINE is set, and .*urls.csv is not there"):
        list_wikiart("style/cubism", tmp_path, home=nasty.address)
    assert len(nasty.asked) == asked


# --- WikiArt's listing -------------------------------------------------------------------------------


def painting(nasty: Nasty, number: int, **more: object) -> dict[str, object]:
    """As the site lists it, the picture itself served too."""
    nasty.on(f"/images/monet/{number}.jpg", content(picture("jpeg", number)))
    return {
        "id": f"57727{number}",
        "title": f"Water Lilies {number}",
        "year": "1906",
        "width": 48,
        "height": 48,
        "artistName": "Claude Monet",
        "image": f"{nasty.address}/images/monet/{number}.jpg",
        "paintingUrl": f"/en/claude-monet/water-lilies-{number}",
        "artistUrl": "/en/claude-monet",
        **more,
    }


def by_style(nasty: Nasty, name: str, count: int, told: int) -> None:
    def page(request: Request) -> None:
        assert request.query["json"] == "2"
        start = (int(request.query["page"]) - 1) * 2
        paintings = [painting(nasty, n) for n in range(start, min(start + 2, count))]
        listed = {"Paintings": paintings or None, "AllPaintingsCount": told, "PageSize": 2}
        status(200, json.dumps(listed).encode())(request)

    nasty.on(f"/en/paintings-by-style/{name}", page)


def wikiart_of(nasty: Nasty, folder: Path, listing: str, **more: Any) -> PicturesReport:
    polite = FakeTime().polite()
    table = list_wikiart(listing, folder, politeness=polite, home=nasty.address, **more)
    return fetch_table(table, folder, more.get("options"), polite)


def test_a_style_of_wikiart(nasty: Nasty, tmp_path: Path) -> None:
    by_style(nasty, "impressionism", 5, 7)
    report = wikiart_of(nasty, tmp_path, "style/impressionism")
    assert (report.there, report.failed) == (5, {})
    assert report.notes == [
        "the site lists 5 of 7 pictures of style impressionism; their artists' listings have the "
        "others"
    ]
    row = rows_of(tmp_path / "metadata.csv")[4]
    assert row["source"] == f"{nasty.address}/en/claude-monet/water-lilies-4"
    assert (row["title"], row["artist"], row["year"]) == ("Water Lilies 4", "Claude Monet", "1906")
    assert (row["style"], row["licence"]) == ("impressionism", "unknown")
    assert row["file"].startswith("water-lilies-4-")
    assert [row["url"] for row in rows_of(tmp_path / "urls.csv")] == [
        row["url"] for row in rows_of(tmp_path / "metadata.csv")
    ]
    assert not (tmp_path / ".listing").exists()
    packed = pack(tmp_path, tmp_path / "packed", PackOptions(resolution=32, labels=("style",)))
    assert len(packed.collection) == 5


def test_only_so_many_pages(nasty: Nasty, tmp_path: Path) -> None:
    by_style(nasty, "impressionism", 50, 50)
    report = wikiart_of(nasty, tmp_path, "style/impressionism", pages=2)
    assert (report.there, report.notes) == (4, [])


def test_an_artist_of_wikiart(nasty: Nasty, tmp_path: Path) -> None:
    def by_artist(request: Request) -> None:
        assert request.query == {"artistUrl": "claude-monet", "json": "2"}
        image = f"{nasty.address}/images/monet/7.jpg!Large.jpg"
        some = [
            painting(nasty, 7, image=image, year=None, yearAsString="c. 1900", paintingUrl=None),
            {"title": "no picture", "image": None},
            "damaged",
        ]
        status(200, json.dumps(some).encode())(request)

    nasty.on("/en/App/Painting/PaintingsByArtist", by_artist)
    report = wikiart_of(nasty, tmp_path, "artist/claude-monet", options=polite_options())
    assert report.there == 1
    (row,) = rows_of(tmp_path / "metadata.csv")
    assert row["url"] == f"{nasty.address}/images/monet/7.jpg"
    assert (row["year"], row["source"]) == ("c. 1900", f"{nasty.address}/en/claude-monet")


def all_artists(nasty: Nasty) -> None:
    artists = [{"artistName": name.upper(), "url": name} for name in ("a", "b", "c")]
    nasty.on("/en/App/Artist/AlphabetJson", status(200, json.dumps(artists).encode()))

    def by_artist(request: Request) -> None:
        number = ord(request.query["artistUrl"])
        status(200, json.dumps([painting(nasty, number), painting(nasty, 1)]).encode())(request)

    nasty.on("/en/App/Painting/PaintingsByArtist", by_artist)


def test_all_of_wikiart_and_a_picture_listed_twice(nasty: Nasty, tmp_path: Path) -> None:
    all_artists(nasty)
    assert wikiart_of(nasty, tmp_path, "all", pages=2).there == 3
    assert wikiart_of(nasty, tmp_path, "all").there == 4


def test_a_listing_that_breaks_off_goes_on(nasty: Nasty, tmp_path: Path) -> None:
    all_artists(nasty)
    works = nasty.routes["/en/App/Painting/PaintingsByArtist"]
    nasty.on("/en/App/Painting/PaintingsByArtist", in_turn(works, works, status(400)))
    with pytest.raises(ImpastoError, match=r"cannot list .*: refused \(400\); try again later"):
        wikiart_of(nasty, tmp_path, "all")
    nasty.on("/en/App/Painting/PaintingsByArtist", works)
    assert wikiart_of(nasty, tmp_path, "all").there == 4
    listings = [path for path in nasty.paths() if "App" in path]
    assert len(listings) == 5  # the artists, a, b, c refused, c


def test_a_listing_without_an_end_ends(nasty: Nasty, tmp_path: Path) -> None:
    def same(request: Request) -> None:
        status(200, json.dumps({"Paintings": [painting(nasty, 1)]}).encode())(request)

    nasty.on("/en/paintings-by-genre/portrait", same)
    assert wikiart_of(nasty, tmp_path, "genre/portrait").there == 1
    assert sum("page=" in path for path in nasty.paths()) == 2


def listed(nasty: Nasty, listing: str, *paintings: dict[str, object]) -> None:
    """A listing of one page."""
    kind, _, name = listing.partition("/")
    pages = {"1": list(paintings)}

    def page(request: Request) -> None:
        told = {"Paintings": pages.get(request.query["page"]), "AllPaintingsCount": len(paintings)}
        status(200, json.dumps(told).encode())(request)

    nasty.on(f"/en/paintings-by-{kind}/{name}", page)


def style_and_genre(nasty: Nasty) -> list[dict[str, object]]:
    """Pictures 0 to 2 are ukiyo-e, 1 to 3 landscapes, 2 shin-hanga too."""
    paintings = [painting(nasty, number) for number in range(4)]
    large = {"image": f"{nasty.address}/images/monet/%31.jpg!Large.jpg"}
    listed(nasty, "style/ukiyo-e", *paintings[:3])
    listed(nasty, "genre/landscape", {**paintings[1], **large}, *paintings[2:])
    listed(nasty, "style/shin-hanga", paintings[2])
    return paintings


STYLE_AND_GENRE = [
    ("Water Lilies 0", "ukiyo-e", ""),
    ("Water Lilies 1", "ukiyo-e", "landscape"),
    ("Water Lilies 2", "ukiyo-e|shin-hanga", "landscape"),
    ("Water Lilies 3", "", "landscape"),
]


def labels_in(path: Path) -> list[tuple[str, str, str]]:
    return [(row["title"], row["style"], row["genre"]) for row in rows_of(path)]


def test_style_and_genre_of_two_listings_are_of_one_picture(nasty: Nasty, tmp_path: Path) -> None:
    style_and_genre(nasty)
    assert wikiart_of(nasty, tmp_path, "style/ukiyo-e").notes == []
    assert wikiart_of(nasty, tmp_path, "genre/landscape").there == 4
    for _ in range(2):  # asked for again, nothing changes
        report = wikiart_of(nasty, tmp_path, "style/shin-hanga")
        assert report.notes == [
            "1 picture of style shin-hanga with another style too, such as ukiyo-e|shin-hanga; "
            "impasto pack takes the first"
        ]
        assert labels_in(tmp_path / "metadata.csv") == STYLE_AND_GENRE
        assert labels_in(tmp_path / "urls.csv") == STYLE_AND_GENRE
    asked = [path for path in nasty.paths() if path.startswith("/images")]
    assert len(asked) == 4  # each picture once, however a listing writes its address
    labels = ("style", "genre")
    packed = pack(tmp_path, tmp_path / "packed", PackOptions(resolution=32, labels=labels))
    fields = {field.name: field.classes for field in packed.collection.fields}
    assert fields == {"style": ("ukiyo-e",), "genre": ("landscape",)}
    assert packed.collection.labels.tolist() == [[0, -1], [0, 0], [0, 0], [-1, 0]]


def test_the_command_takes_several_listings(
    nasty: Nasty,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    style_and_genre(nasty)
    here = functools.partial(list_wikiart, home=nasty.address)
    monkeypatch.setattr("impasto.fetching.dispatch.list_wikiart", here)
    listings = ("wikiart:style/ukiyo-e", "wikiart:genre/landscape", "wikiart:style/shin-hanga")
    told = ["impasto", "fetch", *listings, str(tmp_path / "to"), "--rate", "0"]
    monkeypatch.setattr(sys, "argv", told)
    with pytest.raises(SystemExit) as ended:
        main()
    out, _ = capsys.readouterr()
    assert ended.value.code == 0
    assert f"4 of 4 pictures are in {tmp_path / 'to'}: 4 fetched" in out
    assert "note: 1 picture of style shin-hanga with another style too" in out
    assert labels_in(tmp_path / "to" / "metadata.csv") == STYLE_AND_GENRE


def test_an_artists_listing_does_not_replace_a_pictures_page(nasty: Nasty, tmp_path: Path) -> None:
    paintings = style_and_genre(nasty)
    short = {key: paintings[0][key] for key in ("title", "artistName", "image")}
    again = json.dumps([{**short, "title": "Nympheas", "yearAsString": ""}]).encode()
    nasty.on("/en/App/Painting/PaintingsByArtist", status(200, again))
    wikiart_of(nasty, tmp_path, "style/ukiyo-e")
    assert wikiart_of(nasty, tmp_path, "artist/claude-monet").there == 3
    row = rows_of(tmp_path / "metadata.csv")[0]
    assert (row["title"], row["year"], row["style"]) == ("Nympheas", "1906", "ukiyo-e")
    assert row["source"] == f"{nasty.address}/en/claude-monet/water-lilies-0"


def test_a_picture_is_known_on_any_of_the_sites_hosts(nasty: Nasty, tmp_path: Path) -> None:
    for listing, host in (("style/ukiyo-e", "uploads3"), ("genre/landscape", "uploads7")):
        image = f"https://{host}.wikiart.org/images/hokusai/wave.jpg!Large.jpg"
        listed(nasty, listing, painting(nasty, 1, image=image))
        table = list_wikiart(listing, tmp_path, politeness=FakeTime().polite(), home=nasty.address)
    (row,) = table.rows
    assert row.url == "https://uploads3.wikiart.org/images/hokusai/wave.jpg"
    assert (row.cells["style"], row.cells["genre"]) == ("ukiyo-e", "landscape")


def test_a_listing_keeps_what_a_table_of_ones_own_says(nasty: Nasty, tmp_path: Path) -> None:
    style_and_genre(nasty)
    mine = "url,title,licence,genre\nhttps://example.org/1.jpg,Mine,CC0,portrait\n"
    (tmp_path / "urls.csv").write_text(mine)
    list_wikiart("style/ukiyo-e", tmp_path, politeness=FakeTime().polite(), home=nasty.address)
    row = rows_of(tmp_path / "urls.csv")[0]
    assert (row["title"], row["licence"], row["genre"]) == ("Mine", "CC0", "portrait")


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("style/", "unknown listing 'wikiart:style/'"),
        ("painter/monet", "there is wikiart:artist/NAME"),
        ("style/none", "names no pictures; names are as in the addresses"),
        ("style/page", "answered with a page, not with its JSON listing"),
        ("style/closed", r"not allowed \(403\)"),
        ("style/private", "asks programs not to"),
        ("style/odd", "names no pictures"),
    ],
)
def test_listings_that_are_none(nasty: Nasty, tmp_path: Path, listing: str, message: str) -> None:
    nasty.on("/robots.txt", status(200, b"User-agent: *\nDisallow: /en/paintings-by-style/private"))
    nasty.on("/en/paintings-by-style/page", status(200, b"<html>Just a moment"))
    nasty.on("/en/paintings-by-style/closed", status(403))
    nasty.on("/en/paintings-by-style/odd", status(200, b'[{"a": [1]}, 2]'))
    with pytest.raises(ImpastoError, match=message):
        wikiart_of(nasty, tmp_path, listing)
    with pytest.raises(ImpastoError, match="pages cannot be 0"):
        wikiart_of(nasty, tmp_path, "style/x", pages=0)


# --- The command -------------------------------------------------------------------------------------


def test_the_command_tells_what_came_of_it(nasty: Nasty, other: Nasty, tmp_path: Path) -> None:
    good, bad = nasty.on("/a.png", content(PNG)), nasty.on("/b.png", content(b"<html>"))
    table, folder = tmp_path / "urls.csv", tmp_path / "to"
    table.write_text(f"url\n{good}\n{bad}\n{good}\n")
    code, out, err = run(table, folder, "--rate", "0")
    assert (code, out.splitlines()) == (
        1,
        [
            f"1 of 2 pictures are in {folder}: 1 fetched (0.0 MB), in 0 s",
            f"failed: 1, listed in {folder / 'failed.csv'}",
            "  1 no picture",
            "  running it again tries them again",
            "note: 1 row with an address that an earlier row has",
            f"make a collection of them: impasto pack {folder} COLLECTION",
        ],
    )
    assert "2 of 2 pictures" in err
    table.write_text(f"url\n{bad}\n")
    code, out, err = run(table, tmp_path / "none", "--rate", "0")
    assert (code, out) == (2, "")
    assert "none of 1 picture could be fetched, most for: no picture" in err.splitlines()[-1]
    table.write_text(f"url\n{good}\n")
    assert run(table, folder, "--rate", "0")[0] == 0
    assert run(f"{nasty.address}/a.png", tmp_path / "file")[0] == 0


def test_what_fails_at_once_leaves_no_empty_folder(nasty: Nasty, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "mine", tmp_path / "a" / "b"):
        with pytest.raises(ImpastoError, match="cannot fetch"):
            fetch_file(nasty.on("/x.zip", status(404)), folder)
        nasty.on("/en/App/Artist/AlphabetJson", status(200, b"[]"))
        with pytest.raises(ImpastoError, match="names no pictures"):
            wikiart_of(nasty, folder, "all")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.csv",), "there is no nowhere.csv; give a table of URLs"),
        (("ftp://x/y",), "ftp://x/y is not an http or https address"),
        (("hf:one",), "is no repository"),
        (("hf:datasets/one",), "is no repository; write hf:datasets/OWNER/NAME"),
        (("urls.csv", "more.csv"), "2 sources are given; only wikiart: listings can be fetched"),
        (("wikiart:style/x", "urls.csv"), "2 sources are given; only wikiart: listings"),
        (("wikiart:style/x", "wikiart:genre"), "unknown listing 'wikiart:genre'; there is"),
        (("urls.csv", "--rate", "-1"), "the rate cannot be -1.0; at least 0"),
        (("urls.csv", "--timeout", "0"), "the timeout, in seconds, cannot be 0"),
        (("urls.csv", "--max-mb", "nan"), "--max-mb cannot be nan"),
        (("urls.csv", "--only", "*"), "--only chooses files of a repository"),
        (("urls.csv", "--sha256", "0"), "--sha256 is for one file by its address"),
        (("urls.csv", "--pages", "2"), "--pages is for listings of WikiArt"),
        (("hf:datasets/a/b", "--max-mb", "5"), "--max-mb is not for files of a repository"),
    ],
)
def test_wrong_commands_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    sources = next((i for i, told in enumerate(arguments) if told[0] == "-"), len(arguments))
    told = ["impasto", "fetch", *arguments[:sources], str(tmp_path), *arguments[sources:]]
    monkeypatch.setattr(sys, "argv", told)
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("impasto: ")
    assert message in err
    assert err.count("\n") == 1


def test_fetching_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, impasto.fetching; print(*{'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
