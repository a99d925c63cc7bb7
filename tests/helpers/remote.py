"""Sources that lie elsewhere: a web server's folder, a file system in memory, and what they hold."""

import functools
import hashlib
import html
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import fsspec
import numpy as np
from PIL import Image

from tests.helpers.nasty_server import Behaviour, Nasty, Request


def picture(number: int, side: int = 20) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def by_class(count: int = 8) -> dict[str, bytes]:
    """Pictures in folders by class, with names that have to be quoted."""
    kinds = ("wild cats", "dogs & Wölfe")
    return {f"{kinds[n % 2]}/Nr. {n} #100%.png": picture(n) for n in range(count)}


def on_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def in_memory(name: str, files: Mapping[str, bytes]) -> str:
    """Put files into `memory://NAME`, in place of what was there; its address."""
    system = fsspec.filesystem("memory")
    if system.exists(f"/{name}"):
        system.rm(f"/{name}", recursive=True)
    for path, content in files.items():
        system.pipe_file(f"/{name}/{path}", content)
    return f"memory://{name}"


def on_server(
    nasty: Nasty,
    files: Mapping[str, bytes],
    top: str = "/art",
    *,
    ranges: bool = True,
    marks: bool = True,
) -> str:
    """Let a server have files in a folder, which it lists as Apache does; its address. What is set by
    `nasty.on` goes before.

    Args:
        ranges: whether it sends parts of files.
        marks: whether it tells an ETag.
    """
    nasty.otherwise = _serving(files, top, ranges, marks)
    return f"{nasty.address}{top}/"


def _serving(files: Mapping[str, bytes], top: str, ranges: bool, marks: bool) -> Behaviour:
    def behave(request: Request) -> None:
        path = unquote(request.path.partition("?")[0])
        name = path.removeprefix(f"{top}/")
        inside = name if name.endswith("/") or not name else f"{name}/"
        below = [each.removeprefix(inside) for each in files if each.startswith(inside)]
        if path in (top, top + "/") or below:
            if not path.endswith("/"):
                request.start(301, Location=f"{quote(path)}/", Content_Length=0)
                return
            send(request, _page(below), 200, Content_Type="text/html;charset=utf-8")
        elif name in files:
            body = files[name]
            tag = _mark(body) if marks else None
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
            if asked and ranges:
                first, last = int(asked[1]), min(int(asked[2]), len(body) - 1)
                span = f"bytes {first}-{last}/{len(body)}"
                send(request, body[first : last + 1], 206, ETag=tag, Content_Range=span)
            else:
                send(request, body, 200, ETag=tag)
        else:
            request.start(404, Content_Length=0)

    return behave


@functools.cache
def _mark(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def send(request: Request, body: bytes, status: int, **headers: object) -> None:
    request.start(status, Content_Length=len(body), **headers)
    request.send(body)


def _page(below: list[str]) -> bytes:
    """A listing, with the links that Apache adds: to sort it, and to the folder above."""
    there = dict.fromkeys(
        name.partition("/")[0] + ("/" if "/" in name else "") for name in sorted(below)
    )
    links = ["?C=N;O=D", "?C=M;O=A", "/", "../", "https://elsewhere.example/x.jpg"]
    links += [quote(name) for name in there]
    rows = "".join(f'<tr><td><a href="{html.escape(link)}">x</a></td></tr>' for link in links)
    return f"<!DOCTYPE html><html><body><table>{rows}</table></body></html>".encode()


def on_hub(nasty: Nasty, files: Mapping[str, bytes], name: str = "owner/art") -> str:
    """Let a server have a data set as the Hugging Face hub has it; its address. The hub's package has to
    be told of the server."""
    api = f"/api/datasets/{name}"

    def described(path: str) -> dict[str, object]:
        body = files[path]
        oid = hashlib.sha1(body).hexdigest()
        return {"type": "file", "path": path, "size": len(body), "oid": oid}

    def behave(request: Request) -> None:
        path = unquote(request.path.partition("?")[0])
        found: object = None
        if path in (api, f"{api}/revision/main"):
            found = {"id": name, "sha": "c0ffee" * 6 + "beef", "siblings": []}
        elif path.startswith(f"{api}/tree/main"):
            below = path.removeprefix(f"{api}/tree/main").strip("/")
            found = [described(each) for each in files if not below or each.startswith(f"{below}/")]
        elif path == f"{api}/paths-info/main":
            length = int(request.headers["Content-Length"])
            asked = parse_qs(request.rfile.read(length).decode())["paths"]
            found = [described(each) for each in asked if each in files]
            folders = [a for a in asked if any(each.startswith(f"{a}/") for each in files)]
            found += [{"type": "directory", "path": each, "oid": "0" * 40} for each in folders]
        if found is not None:
            body = json.dumps(found).encode()
            send(request, body, 200, Content_Type="application/json")
        else:
            _serving(files, f"/datasets/{name}/resolve/main", True, True)(request)

    nasty.otherwise = behave
    return f"hf://datasets/{name}"
