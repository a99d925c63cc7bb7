"""Sources that lie elsewhere: packed as if they lay on the disk, whatever their servers do."""

import csv
import email.utils
import errno
import io
import itertools
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from impasto.collection import PackOptions, PackReport, pack
from impasto.errors import ImpastoError
from impasto.evaluation.folders import is_given
from impasto.evaluation.given import look_through
from impasto.readers import read_source
from impasto.sources.remote import filesystems, folder, http, path, store
from impasto.sources.remote.addresses import place_at
from impasto.sources.remote.path import RemotePath
from impasto.sources.remote.store import RemoteError, cleaned
from tests.helpers.fetching import wait_for
from tests.helpers.nasty_server import (
    Nasty,
    Request,
    broken_off,
    for_get,
    hangs_up,
    in_turn,
    nasty_server,
    redirect,
    stalls,
    status,
    trickles,
)
from tests.helpers.remote import (
    by_class,
    in_memory,
    on_disk,
    on_hub,
    on_server,
    picture,
    send,
    tarred,
    zipped,
)

OPTIONS = PackOptions(resolution=16, name="x", duplicates="none", workers=1)
FILES = by_class()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once; no proxy of this machine's."""
    monkeypatch.setattr(store, "FIRST_PAUSE", 0.02)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def impatient(monkeypatch: pytest.MonkeyPatch, patience: float, silence: float = 1.0) -> None:
    """Let tries end soon, and each of them after some silence."""
    monkeypatch.setattr(store, "PATIENCE", patience)
    monkeypatch.setattr(store, "FIRST_PATIENCE", patience)
    monkeypatch.setattr(store, "SILENCE", silence)
    monkeypatch.setattr(http, "SILENCE", silence)


@pytest.fixture
def nasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nasty]:
    with nasty_server() as server:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": server.address})
        yield server


def rows(report: PackReport) -> list[dict[str, str]]:
    """What `sources.csv` says, but for where each picture was read."""
    with (report.collection.path / "sources.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "source"} for row in csv.DictReader(file)]


def refused(address: str) -> str:
    with pytest.raises(ImpastoError) as caught:
        read_source(place_at(address), None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The same collection as from a copy on disk


def parquet(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    table = pyarrow.table(
        {
            "image": [{"bytes": content, "path": name} for name, content in files.items()],
            "style": [name.partition("/")[0] for name in files],
        }
    )
    pyarrow.parquet.write_table(table, made, row_group_size=3)
    return made.getvalue()


def arrays(**values: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez_compressed(made, allow_pickle=False, **values)
    return made.getvalue()


PIXELS = np.random.default_rng(5).integers(0, 256, (6, 16, 16, 3), np.uint8)
FLAT = {f"{n}.png": picture(n) for n in range(6)}
MANY = {f"{n:03}.png": picture(n) for n in range(60)}
CAPTIONED = {f"{n:03}.cls": str(n % 2).encode() for n in range(6)} | {
    f"{n:03}.png": picture(n) for n in range(6)
}
TABLE = "file,style,year\n" + "".join(f"{n}.png,style {n % 2},{1870 + n}\n" for n in range(6))
SOURCES: dict[str, dict[str, bytes]] = {
    "folders by class": FILES,
    "hidden files and litter": {
        **FILES,
        "__MACOSX/x.png": picture(90),
        ".hidden.png": picture(91),
        "a/.git/y.png": picture(92),
    },
    "a collection inside": {**FILES, "old/collection.json": b"{}", "old/1.png": picture(93)},
    "a table": {**FLAT, "metadata.csv": TABLE.encode()},
    "files beside": {**FLAT, **{f"{n}.png.json": b'{"style": "x%d"}' % n for n in range(6)}},
    "without suffixes": {name.partition(".")[0]: content for name, content in FLAT.items()},
    "damaged": {**FILES, "wild cats/no.jpg": b"no picture", "wild cats/none.png": b""},
    "parquet": {"data/train-0.parquet": parquet(FILES), "README.md": b"# x"},
    "arrays": {"a.npz": arrays(x=PIXELS, y=np.arange(6) % 2)},
    "a folder of archives": {
        "cats.zip": zipped({"1.png": picture(1), "2.png": picture(2)}),
        "dogs.tar": tarred({"3.png": picture(3), "4.png": picture(4)}),
    },
    "shards": {f"train-{n:06}.tar": tarred(CAPTIONED) for n in range(2)},
}


def from_server(nasty: Nasty, files: dict[str, bytes]) -> str:
    return on_server(nasty, files)


def from_memory(nasty: Nasty, files: dict[str, bytes]) -> str:
    return in_memory("art", files)


def from_hub(nasty: Nasty, files: dict[str, bytes]) -> str:
    return on_hub(nasty, files)


Serving = Callable[[Nasty, dict[str, bytes]], str]
everywhere = pytest.mark.parametrize("serve", [from_server, from_memory, from_hub])


@everywhere
@pytest.mark.parametrize("name", SOURCES)
def test_packed_as_from_a_copy_on_disk(
    name: str, serve: Serving, nasty: Nasty, tmp_path: Path
) -> None:
    expected = pack(on_disk(tmp_path / "disk", SOURCES[name]), tmp_path / "a", OPTIONS)
    address = serve(nasty, SOURCES[name])
    report = pack(address, tmp_path / "b", OPTIONS)
    assert report.collection.content_hash == expected.collection.content_hash
    assert rows(report) == rows(expected)
    assert report.left_out == expected.left_out
    assert [field.classes for field in report.collection.fields] == [
        field.classes for field in expected.collection.fields
    ]
    # Each picture's row says where it was read, and the collection of what it was made.
    for row in report.collection.source_table():
        assert row["source"].startswith(address.rstrip("/"))
    made = json.loads((report.collection.path / "collection.json").read_text())["made"]
    assert made["source"] == address.rstrip("/")


ALONE: dict[str, bytes] = {
    "cats.zip": zipped(FILES),
    "cats.tar": tarred(FILES),
    "cats.tar.gz": tarred(FILES, "w:gz"),
    "cats.tar.xz": tarred(FILES, "w:xz"),
    "cats.parquet": parquet(FILES),
    "digits.npz": arrays(images=PIXELS),
    "digest": parquet(FILES),
}


@pytest.mark.parametrize("serve", [from_server, from_memory])
@pytest.mark.parametrize("name", ALONE)
def test_a_file_alone(name: str, serve: Serving, nasty: Nasty, tmp_path: Path) -> None:
    expected = pack(on_disk(tmp_path / "disk", ALONE) / name, tmp_path / "a", OPTIONS)
    address = f"{serve(nasty, ALONE).rstrip('/')}/{name}"
    report = pack(address, tmp_path / "b", OPTIONS)
    assert report.collection.content_hash == expected.collection.content_hash
    assert rows(report) == rows(expected)
    assert {row["source"] for row in report.collection.source_table()} == {address}


@everywhere
def test_labels_of_numpys_arrays_that_lie_beside(
    serve: Serving, nasty: Nasty, tmp_path: Path
) -> None:
    files = {}
    for name, values in {"k-imgs": PIXELS, "k-labels": np.arange(6) % 3}.items():
        made = io.BytesIO()
        np.save(made, values)
        files[f"{name}.npy"] = made.getvalue()
    expected = pack(on_disk(tmp_path / "disk", files) / "k-imgs.npy", tmp_path / "a", OPTIONS)
    report = pack(f"{serve(nasty, files).rstrip('/')}/k-imgs.npy", tmp_path / "b", OPTIONS)
    assert [field.classes for field in report.collection.fields] == [("0", "1", "2")]
    assert report.collection.content_hash == expected.collection.content_hash


@everywhere
def test_labels_and_conditions(serve: Serving, nasty: Nasty, tmp_path: Path) -> None:
    options = PackOptions(
        resolution=16, name="x", duplicates="none", labels=("style",), where="year >= 1872"
    )
    files = {**FLAT, "metadata.csv": TABLE.encode()}
    expected = pack(on_disk(tmp_path / "disk", files), tmp_path / "a", options)
    report = pack(serve(nasty, files), tmp_path / "b", options)
    assert rows(report) == rows(expected)
    assert len(rows(report)) == 4
    assert (report.collection.labels == expected.collection.labels).all()


def test_worker_processes_decode_what_was_read_here(nasty: Nasty, tmp_path: Path) -> None:
    files = by_class(40)
    options = PackOptions(resolution=16, name="x", duplicates="none", workers=2)
    expected = pack(on_disk(tmp_path / "disk", files), tmp_path / "a", options)
    address = on_server(nasty, files)
    right, together = nasty.otherwise, threading.Barrier(4)

    def answers_four_at_a_time(request: Request) -> None:
        if request.command == "GET" and not request.path.endswith("/"):
            together.wait(30)
        right(request)

    nasty.otherwise = answers_four_at_a_time
    report = pack(address, tmp_path / "b", options)
    assert report.collection.content_hash == expected.collection.content_hash
    # Each was read once.
    gets = [asked.path for asked in nasty.asked if asked.method == "GET"]
    assert len(gets) == len(set(gets))


@pytest.mark.parametrize("serve", [from_server, from_memory])
def test_evaluation_takes_them(serve: Serving, nasty: Nasty, tmp_path: Path) -> None:
    expected = look_through(on_disk(tmp_path / "disk", FLAT), (16,), fit="crop")
    place = place_at(serve(nasty, FLAT))
    assert is_given(place)
    looked = look_through(place, (16,), fit="crop")
    assert [file.name for file in looked.files] == [file.name for file in expected.files]
    assert looked.size == expected.size


# Packed again


@everywhere
def test_only_what_has_changed_is_read_again(serve: Serving, nasty: Nasty, tmp_path: Path) -> None:
    files = dict(FILES)
    pack(serve(nasty, files), tmp_path / "b", OPTIONS)
    first, *_ = files
    files[first] = picture(99)
    files["wild cats/new.png"] = picture(100)
    address = serve(nasty, files)
    nasty.asked.clear()
    report = pack(address, tmp_path / "b", OPTIONS)
    if serve is not from_memory:  # There a file counts as changed once it was written anew.
        assert report.known == len(FILES) - 1
        read = [a for a in nasty.asked if a.method == "GET" and a.path.endswith(".png")]
        assert len(read) == 2
    again = pack(address, tmp_path / "b", OPTIONS)
    assert again.known == len(files)
    assert "nothing has changed since it was packed" in again.notes
    copy = pack(on_disk(tmp_path / "disk", files), tmp_path / "a", OPTIONS)
    assert again.collection.content_hash == copy.collection.content_hash


def test_a_server_that_tells_no_marks_is_noted(nasty: Nasty, tmp_path: Path) -> None:
    report = pack(on_server(nasty, FILES, marks=False), tmp_path / "b", OPTIONS)
    assert any("neither an ETag nor a date" in note for note in report.notes)
    assert pack(f"{nasty.address}/art/", tmp_path / "b", OPTIONS).known == len(FILES)


def test_another_signature_is_no_other_source(nasty: Nasty, tmp_path: Path) -> None:
    address = on_server(nasty, {"cats.zip": zipped(FILES)}) + "cats.zip"
    pack(f"{address}?X-Signature=geheim", tmp_path / "b", OPTIONS)
    assert {asked.path.partition("cats.zip")[2] for asked in nasty.asked} == {"?X-Signature=geheim"}
    report = pack(f"{address}?X-Signature=anders", tmp_path / "b", OPTIONS)
    assert report.known == len(FILES)


# Credentials


def test_credentials_are_sent_and_shown_nowhere(
    nasty: Nasty, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = on_server(nasty, {**FILES, "wild cats/no.jpg": b"?"})
    login = address.replace("://", "://ich:ge%40heim@")
    with caplog.at_level(logging.INFO, "impasto"):
        report = pack(login, tmp_path / "b", OPTIONS)
    sent = {asked.headers["Authorization"] for asked in nasty.asked}
    assert sent == {"Basic aWNoOmdlQGhlaW0="}  # ich:ge@heim
    said = [*caplog.messages, *report.notes, *map(str, report.left_out)]
    said += [
        file.read_bytes().decode("utf-8", "replace")
        for file in (tmp_path / "b").rglob("*")
        if file.is_file()
    ]
    assert not any("heim" in text for text in said)


def test_credentials_do_not_go_to_another_host(nasty: Nasty) -> None:
    with nasty_server() as other:
        other.otherwise = status(200, b"x", ETag='"1"')
        elsewhere = other.address.replace("127.0.0.1", "localhost")
        on_server(nasty, {})
        nasty.on("/art/1.png", redirect(f"{elsewhere}/1.png"))
        place = place_at(f"{nasty.address}/art/1.png".replace("://", "://ich:geheim@"))
        assert isinstance(place, RemotePath)
        assert place.store.read(place.key) == b"x"
        assert nasty.asked[-1].headers["Authorization"]
        assert other.asked[-1].headers["Authorization"] is None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("no https://ich:geheim@host/a here", "no https://host/a here"),
        ("at s3://KEY:SE/CRET@b", "at s3://KEY:SE/CRET@b"),
        ("url: /a/b?X-Sig=geheim&y=1 (Caused by", "url: /a/b (Caused by"),
        ("two\nlines", "two lines"),
        ("what? nothing", "what? nothing"),
    ],
)
def test_messages_are_cleaned(text: str, clean: str) -> None:
    assert cleaned(text) == clean


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_of_the_environment_is_used(
    scheme: str, nasty: Nasty, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty.on("/art/1.png", status(200, b"x", ETag='"1"'))
    monkeypatch.setenv("http_proxy", nasty.address.replace("http://", f"{scheme}ich:geheim@"))
    place = place_at("http://pictures.example/art/1.png")
    assert isinstance(place, RemotePath)
    assert place.store.read(place.key) == b"x"
    (asked,) = nasty.asked
    assert asked.path == "http://pictures.example/art/1.png"
    assert asked.headers["Proxy-Authorization"] == "Basic aWNoOmdlaGVpbQ=="  # ich:geheim
    monkeypatch.setenv("http_proxy", "socks5://ich:geheim@127.0.0.1:1")
    said = refused("http://pictures.example/art/1.png")
    assert "names a proxy that cannot be used" in said
    assert "geheim" not in said


def test_credentials_in_an_address_of_a_bucket_are_refused() -> None:
    said = refused("s3://AKIA:geheim@bucket/folder")
    assert "s3://bucket/folder has credentials in it" in said
    assert "AWS_ACCESS_KEY_ID" in said
    assert "geheim" not in said


# Stalls and errors


def test_what_passes_is_tried_again(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, patience=60, silence=0.5)
    address = on_server(nasty, FLAT)
    right = nasty.otherwise
    troubles = [
        status(503),
        status(500),
        status(429, Retry_After=0),
        hangs_up,
        broken_off(FLAT["4.png"], 100, ETag='"x"'),
        stalls(b"x", 1000),
    ]

    for number, trouble in enumerate(troubles):
        nasty.on(f"/art/{number}.png", for_get(in_turn(trouble, right), right))
    report = pack(address, tmp_path / "b", OPTIONS)
    assert report.left_out == []
    expected = pack(on_disk(tmp_path / "disk", FLAT), tmp_path / "a", OPTIONS)
    assert report.collection.content_hash == expected.collection.content_hash


def test_a_server_may_say_by_a_date_when_to_ask_again(
    nasty: Nasty, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, patience=0.2)
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    place = place_at(nasty.on("/art/1.png", status(503, Retry_After=date)))
    assert isinstance(place, RemotePath)
    with pytest.raises(RemoteError) as caught:
        place.store.read(place.key)
    assert 50 < caught.value.after < 101


FAILS: dict[str, tuple[Callable[[Request], None], str]] = {
    "down": (status(503), "the server failed (503)"),
    "gone": (status(404), "not found (404)"),
    "secret": (status(403), "not allowed (403)"),
    "stalls": (stalls(b"x", 1000), "no answer in time"),
    "cut": (broken_off(bytes(1000), 10), "the connection broke off"),
    "silent": (hangs_up, "the connection broke off"),
    "other": (status(200, b"other"), "5 bytes came where"),
    "slow": (trickles(bytes(5000)), "it came too slowly"),
}


@pytest.mark.parametrize("name", FAILS)
def test_what_cannot_be_read_in_the_end_is_left_out_and_tried_again(
    name: str, nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, patience=0.2)
    trouble, reason = FAILS[name]
    address = on_server(nasty, FLAT)
    nasty.on("/art/3.png", for_get(trouble, nasty.otherwise))
    report = pack(address, tmp_path / "b", OPTIONS)
    ((left, why),) = report.left_out
    assert left == "3.png"
    assert why.startswith("unreadable for now: ")
    assert reason in why
    assert len(report.collection.source_table()) == 5
    del nasty.routes["/art/3.png"]
    again = pack(address, tmp_path / "b", OPTIONS)
    assert again.left_out == []
    assert (again.known, again.source_count) == (5, 6)


def test_a_file_of_which_nothing_is_told_is_left_out(nasty: Nasty, tmp_path: Path) -> None:
    address = on_server(nasty, FLAT)
    nasty.on("/art/3.png", status(403))
    report = pack(address, tmp_path / "b", OPTIONS)
    assert report.left_out == [("3.png", "unreadable for now: not allowed (403)")]


def test_pictures_that_may_not_be_read_say_what_to_do(nasty: Nasty, tmp_path: Path) -> None:
    address = on_server(nasty, {f"{n:03}.png": picture(n) for n in range(40)})
    nasty.otherwise = for_get(status(403), nasty.otherwise, ".png")
    with pytest.raises(ImpastoError, match=r"access to .*/art is refused .*USER:PASSWORD"):
        pack(address, tmp_path / "b", OPTIONS)


def test_a_server_that_goes_away_ends_the_work_and_keeps_what_is_done(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, patience=0.1, silence=10)
    address = on_server(nasty, MANY)
    right, served = nasty.otherwise, [0]

    def goes_away(request: Request) -> None:
        if request.command == "GET" and request.path.endswith(".png"):
            served[0] += 1
        (right if served[0] <= 20 else status(503))(request)

    nasty.otherwise = goes_away
    with pytest.raises(ImpastoError, match=r"art cannot be read \(the server failed \(503\)\)"):
        pack(address, tmp_path / "b", OPTIONS)
    assert not (tmp_path / "b").exists()
    nasty.otherwise = right
    impatient(monkeypatch, patience=60, silence=10)
    assert pack(address, tmp_path / "b", OPTIONS).known >= 15
    # What failed before all did is tried again by a packing of its own.
    report = pack(address, tmp_path / "b", OPTIONS)
    assert (report.source_count, report.left_out) == (60, [])


def test_many_that_may_not_be_read_do_not_end_the_work(nasty: Nasty, tmp_path: Path) -> None:
    address = on_server(nasty, MANY)
    for number in range(10, 60):
        nasty.on(f"/art/{number:03}.png", for_get(status(403), nasty.otherwise))
    report = pack(address, tmp_path / "b", OPTIONS)
    assert (report.source_count, len(report.left_out)) == (10, 50)


def test_one_answer_for_all_pictures_ends_the_work(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, patience=0.05, silence=10)
    address = on_server(nasty, MANY)
    nasty.otherwise = for_get(status(500), nasty.otherwise, ".png")
    with pytest.raises(ImpastoError, match=r"art cannot be read \(the server failed \(500\)\)"):
        pack(address, tmp_path / "b", OPTIONS)


def test_whoever_stops_does_not_wait_for_a_server_that_stalls(nasty: Nasty) -> None:
    address = on_server(nasty, FLAT)
    for name in FLAT:
        nasty.on(
            f"/art/{name}",
            in_turn(nasty.otherwise, stalls(b"x", 1000)),
        )
    listing = read_source(place_at(address), None)
    assert listing.contents is not None
    contents = listing.contents(range(6))
    before = set(threading.enumerate())
    threading.Thread(target=next, args=(contents,), daemon=True).start()
    wait_for(lambda: nasty.under_way == len(FLAT))
    waiting = set(threading.enumerate()) - before
    assert len(waiting) > len(FLAT)
    assert all(thread.daemon for thread in waiting)


def test_archives_that_stall_while_they_are_read(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "_BLOCK", 500)
    address = on_server(nasty, {"cats.zip": zipped(FILES)})
    right, asked = nasty.otherwise, [0]

    def fails_now_and_then(request: Request) -> None:
        asked[0] += 1
        (status(503) if asked[0] % 3 == 2 else right)(request)

    nasty.otherwise = fails_now_and_then
    report = pack(f"{address}cats.zip", tmp_path / "b", OPTIONS)
    expected = pack(on_disk(tmp_path / "disk", FILES), tmp_path / "a", OPTIONS)
    assert report.collection.content_hash == expected.collection.content_hash


@pytest.mark.parametrize("name", ["cats.zip", "cats.tar", "cats.parquet", "digits.npz"])
def test_an_archive_that_cannot_be_read_any_more_ends_the_work(
    name: str, nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "_BLOCK", 500)
    address = on_server(nasty, ALONE)
    listing = read_source(place_at(address + name), None)
    impatient(monkeypatch, patience=0.05, silence=10)
    nasty.otherwise = status(503)
    assert listing.contents is not None
    with pytest.raises(ImpastoError, match=r"cannot be read .*503"):
        list(listing.contents(range(len(listing.entries))))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *itertools.product(("metadata.csv", "metadata.json", "0.png.json"), (403, 503)),
        ("a.zip", 503),  # One that may not be read is left out, as on disk.
    ],
)
def test_labels_that_cannot_be_read_are_not_taken_for_unknown(
    name: str, code: int, nasty: Nasty, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TABLE.encode() if name == "metadata.csv" else b'[{"file_name": "0.png", "style": "x"}]'
    files = {**FLAT, **{f"{n}.png.json": b"{}" for n in range(1, 6)}, name: text}
    if name == "a.zip":
        files = {"a.zip": zipped(FILES), "b.zip": zipped(FLAT)}
    address = on_server(nasty, files)
    nasty.on(f"/art/{name}", for_get(status(code), nasty.otherwise))
    impatient(monkeypatch, patience=0.1, silence=10)
    assert f"({code})" in refused(address)
    nasty.on(f"/art/{name}", status(code))  # Not even what it is.
    assert f"({code})" in refused(address)


def test_a_pointer_in_place_of_a_table_is_named_by_its_address(nasty: Nasty) -> None:
    address = on_server(nasty, {**FLAT, "metadata.csv": b"version https://git-lfs.github.com/spec"})
    assert refused(f"{address}metadata.csv").startswith(f"{address}metadata.csv is a Git LFS")


def test_a_server_without_parts_of_files(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**FLAT, "cats.zip": zipped(FILES)}
    address = on_server(nasty, files, ranges=False)
    pack(address, tmp_path / "b", OPTIONS)  # Pictures are read whole.
    place = place_at(f"{address}cats.zip")
    assert isinstance(place, RemotePath)
    monkeypatch.setattr(path, "_BLOCK", 500)
    with place.open() as file:
        file.seek(700)
        with pytest.raises(RemoteError, match="sends no parts of files"):
            file.read(5)


def test_files_are_read_in_blocks_of_which_few_are_kept(
    nasty: Nasty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "_BLOCK", 1000)
    monkeypatch.setattr(path, "_MOST_AT_ONCE", 4)
    monkeypatch.setattr(path, "_KEPT", 5)
    body = np.random.default_rng(0).bytes(25_300)
    on_server(nasty, {"x.bin": body})
    place = place_at(f"{nasty.address}/art/x.bin")
    assert isinstance(place, RemotePath)
    random = np.random.default_rng(1)
    with place.open() as file:
        for start, count in zip(
            random.integers(0, 25_300, 50), random.integers(0, 4000, 50), strict=True
        ):
            file.seek(start)
            assert file.read(count) == body[start : start + count]
        file.seek(-7, io.SEEK_END)
        assert file.read() == body[-7:]
        assert file.read(1) == b""
    nasty.asked.clear()
    with place.open() as file:
        assert file.read() == body
        file.seek(2500)
        assert file.read(10) == body[2500:2510]
    spans = [asked.headers["Range"] for asked in nasty.asked]
    assert [span.removeprefix("bytes=") for span in spans] == [
        *("0-999", "1000-2999", "3000-6999", "7000-10999", "11000-14999", "15000-18999"),
        *("19000-22999", "23000-25299", "2000-2999"),
    ]


def test_as_much_is_read_ahead_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WAITING_BYTES", 10)
    under_way, most, lock = [0], [0], threading.Lock()

    def work(item: int) -> int:
        with lock:
            under_way[0] += item
            most[0] = max(most[0], under_way[0])
        time.sleep(0.005)
        with lock:
            under_way[0] -= item
        return item

    items = [3, 4, 2, 12, 1, 9, 5, 5, 5, 30, 1]
    results = [future.result() for future in store.read_ahead(work, items, lambda item: item)]
    assert results == items
    assert most[0] <= 30
    monkeypatch.setattr(store, "AT_ONCE", 3)
    under_way[0] = most[0] = 0
    assert [future.result() for future in store.read_ahead(work, [1] * 20)] == [1] * 20
    assert most[0] == 3


def test_a_listing_that_takes_long_says_how_far_it_is(
    nasty: Nasty, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folder, "_EVERY", 0.05)
    address = on_server(nasty, FLAT)
    right, heard = nasty.otherwise, threading.Event()

    def waits(request: Request) -> None:
        if request.path.endswith("5.png"):
            heard.wait(5)
        right(request)

    nasty.otherwise = waits

    def listen(record: logging.LogRecord) -> bool:
        if "5 files in" in record.getMessage():
            heard.set()
        return True

    with caplog.at_level(logging.INFO, "impasto"):
        caplog.handler.addFilter(listen)
        read_source(place_at(address), None)
    assert heard.is_set()
    assert any(
        text.startswith(f"listing {address.rstrip('/')}: 5 files in") for text in caplog.messages
    )


# What cannot be read at all


def test_a_source_that_is_not_there(nasty: Nasty) -> None:
    address = on_server(nasty, FLAT)
    assert "there is no" in refused(f"{address}nothing")
    assert "there is no memory://nowhere/at all (not found)" in refused("memory://nowhere/at all")


def test_a_data_set_of_the_hub_that_is_not_there_or_not_ours(nasty: Nasty) -> None:
    nasty.otherwise = status(404, X_Error_Code="RepoNotFound")
    assert "there is no hf://datasets/owner/art (not found" in refused("hf://datasets/owner/art")
    nasty.otherwise = status(403, X_Error_Code="GatedRepo")
    said = refused("hf://datasets/owner/art")
    assert "access to hf://datasets/owner/art is refused" in said
    assert "hf auth login" in said


@pytest.mark.parametrize("code", [401, 403])
def test_access_refused(nasty: Nasty, code: int) -> None:
    nasty.otherwise = status(code)
    said = refused(f"{nasty.address}/art/")
    assert f"access to {nasty.address}/art is refused" in said
    assert f"({code})" in said
    assert "https://USER:PASSWORD@HOST" in said


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch, patience=0.2)
    with nasty_server() as gone:
        address = gone.address
    assert "cannot be read (no connection); check the address" in refused(f"{address}/art/")
    assert "no server of that name" in refused("https://nowhere.invalid/art/")


def says_nothing(request: Request) -> None:
    request.server.nasty.closing.wait(30)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (status(500), "the server failed (500)"),
        (hangs_up, "the connection broke off"),
        (says_nothing, "no answer in time"),
        (redirect("/art/"), "leads from one address to the next"),
        (
            status(200, b"{}", Content_Type="application/json"),
            "is no listing of files (application",
        ),
    ],
)
def test_a_folder_that_cannot_be_listed(
    nasty: Nasty,
    trouble: Callable[[Request], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient(monkeypatch, patience=0.2, silence=0.5)
    nasty.otherwise = trouble
    assert reason in refused(f"{nasty.address}/art/")


def test_a_folder_of_nothing(nasty: Nasty, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="no pictures"):
        pack(on_server(nasty, {}), tmp_path / "b", OPTIONS)


def test_links_that_lead_around_in_a_circle_end(nasty: Nasty) -> None:
    page = b'<a href="again/">again</a><a href="1.png">1</a>'

    def behave(request: Request) -> None:
        if request.path.endswith("/"):
            send(request, page, 200, Content_Type="text/html")
        else:
            send(request, picture(1), 200, ETag='"1"')

    nasty.otherwise = behave
    place = place_at(f"{nasty.address}/art/")
    assert isinstance(place, RemotePath)
    found = [name for name, _ in place.store.files(place.key, lambda count: None)]
    assert 30 < len(found) < 40


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host/x", "nothing is read from ftp://; a source lies on disk, or at s3://"),
        ("nonsense://x", "nothing is read from nonsense://"),
        ("s3a+x://b", "nothing is read from s3a+x://"),
        ("memory://", "memory:// names nothing"),
        ("https://", "https:// is no address of a server"),
        ("https://ich:geheim@:99999/x", "is no address of a server"),
    ],
)
def test_addresses_that_are_none(address: str, said: str) -> None:
    found = refused(address)
    assert said in found
    assert "geheim" not in found


@pytest.mark.parametrize(
    ("scheme", "package"),
    [("s3", "'impasto[remote]'"), ("gs", "gcsfs"), ("hf", "'impasto[hub]'")],
)
def test_a_package_that_is_missing(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}[scheme]
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    said = refused(f"{scheme}://datasets/owner/name")
    assert said == f"{scheme}:// takes another package: pip install {package}"


def test_what_is_an_address() -> None:
    assert str(place_at("MEMORY://a/b/")) == "memory://a/b"
    assert str(place_at("HTTPS://host/a b/")) == "https://host/a%20b"
    assert place_at("~/x") == Path("~/x").expanduser()
    for name in ("paintings", "./s3:/x", "C:\\x", "a/b://c", "hf:datasets/a/b", Path("x")):
        assert place_at(name) == Path(name)


# Errors of file systems


class BotocoreError(Exception):
    """As botocore has them."""

    def __init__(self, code: int) -> None:
        super().__init__(f"An error occurred ({code}) at https://b.host/x?X-Amz-Signature=geheim")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": code}}


class NoCredentialsError(Exception):
    pass


class ReadTimeoutError(Exception):
    pass


def raised(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "number", "again"),
    [
        (FileNotFoundError("x"), errno.ENOENT, False),
        (raised(FileNotFoundError("no such bucket"), BotocoreError(404)), errno.ENOENT, False),
        (PermissionError("Access Denied"), errno.EACCES, False),
        (raised(PermissionError("Access Denied"), BotocoreError(403)), errno.EACCES, False),
        (raised(OSError(5, "slow down"), BotocoreError(503)), errno.EIO, True),
        (NoCredentialsError("Unable to locate credentials"), errno.EACCES, False),
        (ReadTimeoutError("x"), errno.EIO, True),
        (TimeoutError(), errno.EIO, True),
        (ConnectionResetError(104, "reset"), errno.EIO, True),
        (ValueError("Invalid bucket name"), errno.EIO, False),
    ],
)
def test_errors_of_file_systems(error: Exception, number: int, again: bool) -> None:
    found = filesystems._failure(error)
    assert (found.errno, found.again) == (number, again)
    assert "geheim" not in str(found)


def test_file_systems_that_fail_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = in_memory("art", FLAT)
    system = type(fsspec.filesystem("memory"))
    right, failed = system.cat_file, set[str]()

    def fails_once(self: object, path: str, *arguments: object, **options: object) -> bytes:
        if path not in failed:
            failed.add(path)
            raise raised(OSError(5, "slow down"), BotocoreError(503))
        return right(self, path, *arguments, **options)

    monkeypatch.setattr(system, "cat_file", fails_once)
    report = pack(address, tmp_path / "b", OPTIONS)
    assert report.left_out == []
    assert len(failed) == 6


def test_a_bucket_is_read_without_credentials_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = in_memory("art", FLAT)
    system = type(fsspec.filesystem("memory"))
    right = system.info

    def signs(self: object, path: str, **options: object) -> dict[str, object]:
        if not self.anon:  # type: ignore[attr-defined]
            raise NoCredentialsError("Unable to locate credentials")
        return right(self, path, **options)

    begin_right = system.__init__

    def begin(self: object, anon: bool = False, **options: object) -> None:
        begin_right(self, **options)
        self.anon = anon  # type: ignore[attr-defined]

    monkeypatch.setattr(system, "info", signs)
    monkeypatch.setattr(system, "anon", False, raising=False)
    monkeypatch.setattr(system, "__init__", begin)
    with caplog.at_level(logging.INFO, "impasto"):
        report = pack(address, tmp_path / "b", OPTIONS)
    assert report.source_count == 6
    assert "there are no credentials for memory://art; going on without" in caplog.text
