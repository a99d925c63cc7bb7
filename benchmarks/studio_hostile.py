"""Requests to the studio as somebody who means harm would send them.

    python -m benchmarks.studio_hostile [--count 2000] [--seed 0]

Each is made from the seed and its number: paths that lead out, in addresses, bodies and uploads; wrong
types, methods, hosts, origins and tokens; bodies and headers that are too large, cut off or slow; JSON
that is deep or no JSON; archives that are bombs or lead out; and two clients that change one thing at
once. Beside the folders of the studio lie files with a secret, and links lead to them from inside. A
fault is: a status of 500, an answer with the secret or a traceback, a request without the token that is
let in, anything written or changed outside, a server that no longer answers or takes more than BYTES.
Then 1,200 connections are opened that ask for nothing, and a page that was open before must go on.
Afterwards the archives are packed by the studio's own jobs. Linux only.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import resource
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

import impasto
from tests.helpers.pictures import paint
from tests.helpers.studio_server import StudioServer

SECRET = "SECRET-that-lies-outside"
BYTES = 1_500_000_000
"""The most memory that the server may take, with torch and a model."""
_PATIENCE = 30
"""Seconds that an answer may take."""
_SLOW = 40
"""Connections that are begun and left waiting."""
_CROWD = 1200
"""Connections that ask for nothing; more than the server keeps."""

SERVER = """
import sys
from pathlib import Path
from impasto.messages import printed
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places
from impasto.studio.serve import Listening, serve
places = Places.under(Path(sys.argv[1]))
studio = Studio(places, Jobs(places.jobs, training=0, others=0), Models("cpu"))
with printed():
    serve(studio, Listening(port=0, most_upload=3_000_000), show=False)
"""
"""A studio whose jobs all wait."""

NAMES = [
    *(
        "..",
        ".",
        "...",
        "/",
        "//",
        "\\",
        "",
        " ",
        "~",
        "*",
        "-rf",
        "--help",
        "con",
        ".lock",
        ".git",
    ),
    *("../outside/secret", "..\\outside\\secret", "../../outside/secret", "%2e%2e/outside"),
    *("..%2foutside%2fsecret", "%252e%252e%252foutside", "..%c0%afoutside", "%2e%2e%5coutside"),
    *("....//outside", "leads-away", "leads-away/secret", "x\0y", "a" * 300, "a/" * 400, "ä" * 130),
    *("/etc/passwd", "file:///etc/passwd", "{OUTSIDE}", "{OUTSIDE}/run.json", "\u202e", "\ud800"),
    *("a\r\nSet-Cookie: x=1", "hf:owner/name", "http://127.0.0.1:1/", "NaN", "null", "0", "-1"),
]
READ = [
    *("runs/{}", "runs/made/grids/{}", "runs/made/grids/1.png?stage={}", "runs/{}/events"),
    *("runs/made/evaluation/file?path={}", "runs/{}/report", "runs/{}/scores"),
    *("collections/{}", "collections/{}/picture/0", "collections/tiny/picture/{}"),
    *("collections/tiny/pictures?only={}", "collections/{}/sheet", "collections/tiny/excluded/{}"),
    *("jobs/{}", "jobs/{}/log", "jobs/{}/files/log.txt", "gallery/inverted/{}", "uploads/{}"),
    *("uploads/{}/preview", "models/details?model={}", "models/details?model=runs/{}"),
    *("models/details?model=models/{}", "models/details?model=runs/made/checkpoints/{}"),
    *("gallery/sheet?model={}", "gallery/sheet?model=masters&seeds={}", "recipes/{}"),
    *("gallery/favourites?model=models/{}", "gallery/directions?model={}", "config/networks/{}"),
    *("gallery/picture?model=masters&point={}", "share/card?model=models/{}"),
    *("gallery/favourites/earlier?model=runs/{}", "../{}", "../../{}"),
]
POINT = {"seed": 1, "classes": {"style": "Impressionism"}, "truncation": 0.7}
TRAINING = {
    "collection": "tiny",
    "recipe": "first_look",
    "settings": {"training.batch": 8},
    "time": None,
    "labels": ["kind"],
    "start_from": "masters",
    "device": "cpu",
}
BODIES: dict[str, dict[str, Any]] = {
    "uploads": {"name": "u"},
    "pack": {
        "name": "new",
        "upload": "u",
        "resolution": [16, 32],
        "labels": ["kind"],
        "fit": "crop",
        "duplicates": "near",
        "merge": [{"field": "kind", "classes": ["warm", "cold"], "into": "all"}],
        "keep": ["warm/001.png"],
        "exclude": ["cold/000.png"],
    },
    "train": TRAINING,
    "estimate": TRAINING,
    "config/check": TRAINING,
    "evaluate": {"model": "runs/made", "pictures": 10},
    "compare": {"runs": ["made", "made"], "collection": "tiny", "pictures": 9},
    "closest": {"model": "masters", "points": [POINT], "collection": "tiny"},
    "gallery/sheet": {"model": "masters", "points": [POINT, {"favourite": "f"}], "columns": 2},
    "gallery/picture": {"model": "masters", "point": POINT, "format": "png", "enlarge": 2},
    "gallery/points": {"model": "masters", "points": [POINT]},
    "gallery/favourites": {"model": "masters", "name": "f", "point": POINT},
    "gallery/variations": {"model": "masters", "point": POINT, "seeds": [1, 2], "spread": 0.2},
    "gallery/mix": {"model": "masters", "coarse": [POINT], "fine": [POINT]},
    "gallery/more-like": {"model": "masters", "point": POINT, "seeds": 8, "count": 2},
    "gallery/walk/preview": {"model": "masters", "points": [POINT], "seconds": 0.5, "fps": 4},
    "gallery/walk": {"model": "masters", "points": [POINT], "seconds": 0.5, "format": "webp"},
    "gallery/canvas": {"model": "masters", "points": [POINT], "width": 64, "height": 64},
    "gallery/directions": {"model": "masters"},
    "gallery/invert": {"model": "masters", "upload": "u", "paths": ["a.png"]},
    "share/export": {"model": "masters", "form": "folder", "name": "e", "licence": "mit"},
    "collections/tiny/forget": {"pictures": ["cold/000.png"]},
    "runs/made/resume": {"images": 100},
    "runs/made/ask": {"what": "save"},
    "runs/made/stop": {},
    "runs/made/report": {},
}
VALUES: list[Any] = [
    *(None, True, -1, 0, 2**63, 10**400, 1e308, -0.0, "", "1", " ", "\0", "a" * 5000, [], {}, [[]]),
    *([1] * 3000, {"a": 1}, {str(number): number for number in range(500)}, *NAMES),
]
METHODS = (
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "X",
)


@dataclass(frozen=True)
class Hostile:
    """A request, as the bytes that are sent."""

    kind: str
    content: bytes
    admitted: bool = True
    """Whether it has the token and comes from the right place; others must be refused."""
    half_closed: bool = False
    """Whether the client ends its side after these bytes."""
    twice: bool = False
    """Whether two clients send it at the same time."""


class Maker:
    """Makes requests.

    Args:
        chance: decides.
        port: of the server.
        token: of the server.
        outside: the folder with the secret.
    """

    def __init__(self, chance: random.Random, port: int, token: str, outside: Path) -> None:
        self.chance, self.port, self.token, self.outside = chance, port, token, outside
        self.kinds = [
            *(self.reading, self.reading, self.reading, self.typed, self.typed, self.typed),
            *(self.written, self.written, self.foreign, self.foreign, self.method, self.json),
            *(self.large, self.cut_off, self.at_once, self.archive, self.garbage),
        ]

    def request(self) -> Hostile:
        return self.chance.choice(self.kinds)()

    def name(self) -> str:
        found = self.chance.choice(NAMES).replace("{OUTSIDE}", str(self.outside))
        return found if self.chance.random() < 0.8 else found + self.chance.choice(NAMES)

    def address(self, path: str) -> str:
        """An address with a name in it, encoded in one of several ways, or not."""
        name = self.name()
        raw = name.encode("utf-8", "surrogatepass")
        ways = (quote(raw, safe=""), quote(quote(raw, safe="")), quote(raw))
        plain = "".join(letter for letter in name if "!" <= letter <= "~")
        return path.format(self.chance.choice((*ways, plain)))

    def sent(
        self, kind: str, method: str, path: str, body: bytes = b"", *, head: str = "", **about: Any
    ) -> Hostile:
        """A request with the token."""
        lines = [f"{method} /api/{path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"Authorization: Bearer {self.token}", "Connection: close"]
        if "content-length" not in head.lower() and "transfer-encoding" not in head.lower():
            lines.append(f"Content-Length: {len(body)}")
        if method == "POST":
            lines.append("Content-Type: application/json")
        text = "\r\n".join([*lines, *filter(None, [head])]) + "\r\n\r\n"
        return Hostile(kind, text.encode("latin-1", "replace") + body, **about)

    def reading(self) -> Hostile:
        return self.sent("path", "GET", self.address(self.chance.choice(READ)))

    def changed(self, value: Any) -> Any:
        """A value with one of its parts replaced."""
        if isinstance(value, dict) and value and self.chance.random() < 0.9:
            key = self.chance.choice([*value])
            if self.chance.random() < 0.1:
                return {**value, self.name(): self.chance.choice(VALUES)}
            return {**value, key: self.changed(value[key])}
        if isinstance(value, list) and value and self.chance.random() < 0.7:
            place = self.chance.randrange(len(value))
            return [*value[:place], self.changed(value[place]), *value[place + 1 :]]
        found = self.chance.choice(VALUES)
        return found.replace("{OUTSIDE}", str(self.outside)) if isinstance(found, str) else found

    def typed(self) -> Hostile:
        path = self.chance.choice([*BODIES])
        return self.sent("body", "POST", path, json.dumps(self.changed(BODIES[path])).encode())

    def written(self) -> Hostile:
        if self.chance.random() < 0.3:
            body = json.dumps({"name": self.name()}).encode()
            return self.sent("write", "POST", "uploads", body)
        path = self.chance.choice(("uploads/u/file?path={}", "uploads/{}/file?path=x.png"))
        if self.chance.random() < 0.1:
            return self.sent("write", "DELETE", self.address("uploads/{}"))
        return self.sent("write", "PUT", self.address(path), b"content")

    def foreign(self) -> Hostile:
        """From another site, under another name, or without the token."""
        content = self.sent("foreign", *self.chance.choice((("GET", "runs"), ("POST", "train"))))
        text = content.content.decode("latin-1")
        own = f"Host: 127.0.0.1:{self.port}"
        host = self.chance.choice(
            ("evil.example", "127.0.0.1:1", "", f"{own[6:]}@evil", "[::1", "\xff")
        )
        wrong = self.chance.choice(
            (
                text.replace(own, f"Host: {host}"),
                text.replace(own, f"{own}\r\n{own}"),
                text.replace(own, f"{own}\r\nOrigin: http://evil.example"),
                text.replace(own, f"{own}\r\nOrigin: null"),
                text.replace(own, f"{own}\r\nSec-Fetch-Site: cross-site"),
                text.replace(self.token, self.token[:-1]),
                text.replace(self.token, ""),
                text.replace("Authorization: Bearer ", "Cookie: impasto-studio="),
                text.replace("Bearer ", "Basic "),
                text.replace(self.token, "\xff" * 40),
            )
        )
        return Hostile("foreign", wrong.encode("latin-1"), admitted=False)

    def method(self) -> Hostile:
        path = self.chance.choice(
            ("runs", "jobs/x", "uploads/u", "gallery/sheet", "train", "nothing")
        )
        return self.sent("method", self.chance.choice(METHODS), path, b"{}")

    def json(self) -> Hostile:
        """What is no JSON, or deep."""
        deep = self.chance.choice((900, 100_000))
        body = self.chance.choice(
            (
                b"[" * deep + b"]" * deep,
                b'{"model":' * deep + b"1" + b"}" * deep,
                b'{"collection": "tiny", "settings": '
                + b'{"a":' * deep
                + b"1"
                + b"}" * deep
                + b"}",
                b'{"name": NaN}',
                b'{"name": Infinity}',
                b'{"name": "\\ud800"}',
                b'{"name": "a", "name": "../x"}',
                b'\xef\xbb\xbf{"name": "a"}',
                '{"name": "a"}'.encode("utf-16"),
                b'{"name": "\xff"}',
                b'{"name": ' + b"9" * 100_000 + b"}",
                b"",
                b"null",
                b"\0" * 100,
            )
        )
        return self.sent("json", "POST", self.chance.choice([*BODIES]), body)

    def large(self) -> Hostile:
        sizes = ("Content-Length: 99999999999999999999", "Content-Length: -1", "Content-Length: x")
        path = self.chance.choice(("train", "gallery/sheet"))
        return self.chance.choice(
            (
                self.sent("large", "POST", path, b" " * 1_200_000),
                self.sent("large", "PUT", "uploads/u/file?path=big", b"x" * 3_100_000),
                self.sent("large", "POST", path, b"{}", head=self.chance.choice(sizes)),
                self.sent("large", "GET", "runs", head="X: " + "a" * 100_000),
                self.sent("large", "GET", "runs", head="\r\n".join(["X: a"] * 5000)),
                self.sent("large", "GET", "runs?" + "a" * 100_000),
                self.sent("large", "GET", "runs?" + "a=b&" * 10_000),
                self._chunked(path, 40),
            )
        )

    def _chunked(self, path: str, count: int) -> Hostile:
        part = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        head = "Transfer-Encoding: chunked"
        return self.sent("large", "POST", path, part * count, head=head)

    def cut_off(self) -> Hostile:
        """A body that ends before its length, or in the midst of the head."""
        whole = self.sent("cut off", "PUT", "uploads/u/file?path=half.png", b"x" * 5000).content
        end = self.chance.randrange(1, len(whole) - 1)
        return Hostile("cut off", whole[:end], half_closed=True)

    def at_once(self) -> Hostile:
        """What two clients must not do twice or in each other's way."""
        path = self.chance.choice(
            ("gallery/favourites", "collections/tiny/forget", "uploads", "pack", "runs/made/resume")
        )
        body = dict(BODIES[path])
        if path == "gallery/favourites":
            body["name"] = f"f{self.chance.randrange(5)}"
        if self.chance.random() < 0.3:
            name = f"f{self.chance.randrange(5)}"
            path = f"gallery/favourites?model=masters&name={name}"
            return self.sent("at once", "DELETE", path, twice=True)
        return self.sent("at once", "POST", path, json.dumps(body).encode(), twice=True)

    def archive(self) -> Hostile:
        """An archive for an upload of its own, or a look into one."""
        name = f"archive-{self.chance.randrange(len(ARCHIVES))}"
        step = self.chance.random()
        if step < 0.6:
            kind = [*ARCHIVES][int(name.partition("-")[2])]
            path = f"uploads/{name}/file?path=pictures.{kind.rpartition('.')[2]}"
            return self.sent("archive", "PUT", path, ARCHIVES[kind])
        if step < 0.9:
            return self.sent("archive", "GET", f"uploads/{name}" + "/preview" * (step > 0.8))
        body = {"name": name, "upload": name, "resolution": [16]}
        return self.sent("archive", "POST", "pack", json.dumps(body).encode())

    def garbage(self) -> Hostile:
        """What is no HTTP, or only nearly."""
        own = f"Host: 127.0.0.1:{self.port}\r\n"
        return Hostile(
            "garbage",
            self.chance.choice(
                (
                    b"\0" * 1000,
                    self.chance.randbytes(500),
                    f"GET / HTTP/9.9\r\n{own}\r\n".encode(),
                    f"GET http://evil.example/ HTTP/1.1\r\n{own}\r\n".encode(),
                    f"GET /api/runs HTTP/1.1\r\n{own}\r\n\r\nGET /api/jobs HTTP/1.1\r\n\r\n".encode(),
                    f"GET / HTTP/1.1\r\n{own}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n".encode(),
                    f"GET /api/runs HTTP/1.1\n{own}\n".encode(),
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
                )
            ),
            admitted=False,
            half_closed=True,
        )


def _zip(*files: tuple[str, bytes], links: dict[str, str] | None = None) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files:
            file.writestr(name, data)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16
            file.writestr(entry, target)
    return content.getvalue()


def _tar(*entries: tuple[str, bytes, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name, kind, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            file.addfile(entry, io.BytesIO())
    return content.getvalue()


def _png() -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.linear_gradient("L").resize((40, 40)).save(content, "PNG")
    return content.getvalue()


def _archives() -> dict[str, bytes]:
    """Archives by kind and ending."""
    nothing = bytes(40_000_000)
    bomb = _zip(("warm/bomb.png", _png()[:60] + nothing), ("warm/a.png", _png()))
    out = "../" * 12
    return {
        "bomb.zip": bomb,
        "bomb in a bomb.zip": _zip(("x.zip", bomb), ("y.zip", bomb), ("warm/a.png", _png())),
        "paths.zip": _zip(
            *((f"{out}tmp/impasto-hostile-{n}.png", _png()) for n in range(3)),
            ("/etc/impasto-hostile.png", _png()),
        ),
        "links.zip": _zip(("warm/a.png", _png()), links={"warm/b.png": f"{out}etc/passwd"}),
        "names.zip": _zip(*((f"warm/{name}.png", _png()) for name in ("a\0b", "a\nb", "\\..\\x"))),
        "many.zip": _zip(*((f"{n}/a.png", b"") for n in range(5000))),
        "cut.zip": bomb[: len(bomb) // 2],
        "table.zip": _zip(
            ("metadata.csv", b"file_name,kind\n../../outside/1.png,x\n/etc/x.png,y\n")
        ),
        "links.tar": _tar(
            ("warm", tarfile.SYMTYPE, "/"),
            ("warm/a.png", tarfile.REGTYPE, ""),
            ("b.png", tarfile.LNKTYPE, "/etc/passwd"),
            ("c.png", tarfile.CHRTYPE, ""),
            ("d.png", tarfile.FIFOTYPE, ""),
            (f"{out}tmp/impasto-hostile.png", tarfile.REGTYPE, ""),
        ),
        "no.zip": b"PK\x03\x04" + b"\xff" * 3000,
        "sizes.zip": _lying(),
    }


def _lying() -> bytes:
    """A zip that says of a file of some bytes that it has four gigabytes."""
    content = bytearray(_zip(("warm/a.png", _png())))
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = b"\xff\xff\xff\xf0"
    return bytes(content)


ARCHIVES = _archives()


def make_world(folder: Path) -> tuple[Path, Path]:
    """A studio with a collection, a run that is only a record, and links that lead out; and, beside it,
    files with the secret. Gives both folders."""
    studio, outside = folder / "studio", folder / "outside"
    (outside / "secret").mkdir(parents=True)
    names = ("run.json", "collection.json", "model.json", "job.json", "log.txt", "1.png")
    for place in (outside, outside / "secret"):
        for name in names:
            (place / name).write_text(json.dumps({"secret": SECRET}))
    paint(studio / "uploads" / "u", 12)
    impasto.pack(
        studio / "uploads" / "u", studio / "collections" / "tiny", resolution=32, labels="kind"
    )
    run = studio / "runs" / "made"
    for each in (run / "samples", run / "checkpoints", run / "evaluation", studio / "models"):
        each.mkdir(parents=True)
    (studio / "jobs").mkdir()
    config = {"recipe": "made", "resolution": 64, "training": {"images": 1000}}
    record = {"format": 1, "config": config, "collection": {"name": "x"}}
    (run / "run.json").write_text(json.dumps(record))
    for number in range(len(ARCHIVES)):
        (studio / "uploads" / f"archive-{number}").mkdir()
    for place in (*studio.iterdir(), *run.iterdir(), studio / "uploads" / "u"):
        if place.is_dir():
            (place / "leads-away").symlink_to(outside)
    return studio, outside


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Of each path a digest and when it was changed."""
    return {
        str(path): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder",
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


def answer_to(request: Hostile, port: int) -> bytes:
    """What comes back, up to where the server ends the connection; of events the beginning."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        found = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(request.content)
        with contextlib.suppress(ConnectionError):
            if request.half_closed:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(2**16):
                found += part
                if b"text/event-stream" in found:
                    break
        return found


def fault_of(request: Hostile, answer: bytes) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    status = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    if SECRET.encode() in answer:
        return "has the secret"
    if b"Traceback" in answer or b".py" in answer[:2000]:
        return "shows a traceback"
    if status is None:
        return None if not answer else "is no HTTP"
    number = int(status[1])
    if number >= 500 and number != 503:
        return f"has status {number}"
    if not request.admitted and not 400 <= number < 500:
        return f"lets in what must be refused, with status {number}"
    return None


def attack(maker: Maker, count: int) -> tuple[Counter[str], list[str]]:
    """Send so many requests; gives how many there were of each kind and status, and the faults."""
    seen: Counter[str] = Counter()
    faults = []
    with ThreadPoolExecutor(2) as two, contextlib.ExitStack() as stack:
        for _ in range(min(_SLOW, count // 10)):  # they send nothing more, and others are served
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", maker.port)))
            slow.sendall(maker.cut_off().content)
        for number in range(count):
            request = maker.request()
            try:
                each = [request] * (1 + request.twice)
                answers = [*two.map(lambda one: answer_to(one, maker.port), each)]
            except OSError as error:
                answers = []
                faults.append(f"{number} ({request.kind}): {error!r} {request.content[:300]!r}")
            for answer in answers:
                seen[f"{request.kind} {answer[9:12].decode('latin-1')}"] += 1
                if (fault := fault_of(request, answer)) is not None:
                    faults.append(f"{number} ({request.kind}) {fault}: {request.content[:300]!r}")
    return seen, faults


def crowd(port: int, token: str, count: int) -> list[str]:
    """Open so many connections that ask for nothing, or send half a head, while a page is open that
    listens to events and asks now and then; gives the faults."""
    faults = []
    headers = {"authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=_PATIENCE)
        )
        events = stack.enter_context(page.stream("GET", "/api/events")).iter_lines()
        next(events)
        for number in range(count):
            each = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            stack.enter_context(each)
            if number % 2:
                with contextlib.suppress(ConnectionError):
                    each.sendall(b"GET /api/runs HTTP/1.1\r\nHost: ")
            if number % (count // 4) == 0 or number == count - 1:
                status = page.get("/api/runs").status_code
                if status != 200:
                    faults.append(f"beside {number + 1} idle connections a page gets {status}")
        if not next(events).startswith(("event:", "data:")):
            faults.append(f"beside {count} idle connections a page gets no events")
    return faults


@contextlib.contextmanager
def waiting_server(studio: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A server in a process of its own, whose jobs wait."""
    environment = {**os.environ, "IMPASTO_CACHE": str(scratch / "cache"), "TMPDIR": str(scratch)}
    with (
        (scratch / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, str(studio)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        assert process.stdout is not None
        found = re.search(r":(\d+)/\?token=(\S+)", process.stdout.readline())
        assert found
        try:
            yield process, int(found[1]), found[2]
        finally:
            process.kill()


def _packed(studio: Path, scratch: Path) -> list[str]:
    """Let the studio pack all archives; gives the faults."""
    with StudioServer(studio, IMPASTO_CACHE=str(scratch / "cache")) as server:
        for job in server.client.get("/api/jobs").json():
            server.client.post(f"/api/jobs/{job['id']}/stop")
        made = []
        for number in range(len(ARCHIVES)):
            path = studio / "uploads" / f"archive-{number}"
            kind = [*ARCHIVES][number]
            (path / f"pictures.{kind.rpartition('.')[2]}").write_bytes(ARCHIVES[kind])
            body = {"name": f"of archive {number}", "upload": path.name, "resolution": [16]}
            answer = server.client.post("/api/pack", json=body)
            if answer.status_code == 200:
                made.append((kind, answer.json()["id"]))
        faults = []
        for kind, job in made:
            while (found := server.client.get(f"/api/jobs/{job}").json())["exit_code"] is None:
                time.sleep(0.2)
            log = server.client.get(f"/api/jobs/{job}/log").text
            print(f"{kind}: {found['state']}: {found['message'][:150]}")
            if found["exit_code"] not in (0, 2) or "Traceback" in log:
                faults.append(f"packing {kind} ended with {found['exit_code']}: {log[-300:]}")
        return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as scratch:
        studio, outside = make_world(Path(temporary))
        before, began = contents(outside), time.monotonic()
        with waiting_server(studio, Path(scratch)) as (process, port, token):
            maker = Maker(random.Random(given.seed), port, token, outside)
            seen, faults = attack(maker, given.count)
            incoming, end = studio / "uploads" / ".incoming", time.monotonic() + _PATIENCE
            while any(incoming.glob("*")) and time.monotonic() < end:
                time.sleep(0.1)
            allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            if allowed not in (
                resource.RLIM_INFINITY,
                most,
            ):  # of this process; the server keeps its own
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            faults += crowd(port, token, _CROWD)
            if process.poll() is not None:
                faults.append("the server has ended")
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+)", status)
            memory = 1024 * int(found[1]) if found else 0
        print(f"{given.count} requests in {time.monotonic() - began:.0f} s, {memory / 1e6:.0f} MB")
        for each, number in sorted(seen.items()):
            print(f"  {each}: {number}")
        said = (Path(scratch) / "errors").read_text()
        faults += [said[-2000:]] if "Traceback" in said else []
        faults += [f"took {memory / 1e6:.0f} MB"] if memory > BYTES else []
        left = {path.name for path in Path(scratch).iterdir()} - {"cache", "errors"}
        left |= {path.name for path in incoming.glob("*")}
        faults += [f"left: {each}" for each in left]
        faults += _packed(studio, Path(scratch))
        faults += ["the files outside have changed"] if contents(outside) != before else []
        escaped = [*Path("/tmp").glob("impasto-hostile*"), *Path("/etc").glob("impasto-hostile*")]
        faults += [f"an archive wrote {path}" for path in escaped]
        beside = sorted(path.name for path in Path(temporary).iterdir())
        faults += [] if beside == ["outside", "studio"] else [f"beside the folders: {beside}"]
    print(*faults, f"{len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
