"""Repositories of the hub, against a server on loopback that answers as the hub does, or worse."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.file_download
import pytest
from huggingface_hub import constants

from impasto.api.fetching import fetch
from impasto.errors import ImpastoError, StoppedError
from impasto.fetching import fetch_repository, is_repository
from impasto.fetching.client import origin_of
from impasto.fetching.download import git_sha1_of_file
from impasto.fetching.file import FilesReport
from tests.helpers.fetching import FakeTime, impasto, run, wait_for
from tests.helpers.hub import COMMIT, git_sha1, nobodys_environment, serve_repository
from tests.helpers.nasty_server import (
    Nasty,
    Request,
    broken_off,
    content,
    for_get,
    in_turn,
    nasty_server,
    redirect,
    stalls,
    status,
)

BODY = bytes(range(256)) * 800
SHA = hashlib.sha256(BODY).hexdigest()
FILES = {
    "README.md": b"# pictures",
    "data/train-0.parquet": BODY,
    "data/train-1.parquet": BODY[::-1],
    "data/other/x y.txt": b"spaces",
    "empty": b"",
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobodys_environment(monkeypatch, tmp_path)


@pytest.fixture
def nasty() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


def hub(
    nasty: Nasty, storage: Nasty, kind: str = "datasets", more: dict[str, bytes] | None = None
) -> None:
    """A repository `huggan/wikiart`; large files are on another host, as the hub's are."""
    serve_repository(nasty, storage, f"{kind}/huggan/wikiart", {**FILES, **(more or {})})


@pytest.fixture
def wikiart(nasty: Nasty, other: Nasty, monkeypatch: pytest.MonkeyPatch) -> Nasty:
    monkeypatch.setenv("HF_ENDPOINT", nasty.address + "/")
    hub(nasty, other)
    return nasty


SOURCE = "hf:datasets/huggan/wikiart"


def repository(folder: Path, source: str = SOURCE, *only: str) -> Any:
    return fetch_repository(source, folder, only, politeness=FakeTime().polite())


def test_one_pattern_is_no_list_of_letters(wikiart: Nasty, tmp_path: Path) -> None:
    report = fetch(SOURCE, tmp_path, only="*.md", retries=0)
    assert isinstance(report, FilesReport)
    assert report.names == ["README.md"]


def test_a_repository_is_fetched_whole(wikiart: Nasty, other: Nasty, tmp_path: Path) -> None:
    report = repository(tmp_path)
    assert report.names == list(FILES)
    assert report.fetched == len(FILES)
    for path, body in FILES.items():
        assert (tmp_path / path).read_bytes() == body
    assert report.notes == [f"datasets/huggan/wikiart@main is commit {COMMIT}"]
    record = json.loads((tmp_path / "fetched.json").read_text())["files"]
    assert record["data/train-0.parquet"]["sha256"] == SHA
    assert record["README.md"]["git_sha1"] == git_sha1(b"# pictures")
    assert COMMIT in record["README.md"]["url"]

    asked = len(other.asked)
    report = repository(tmp_path)
    assert (report.fetched, report.names) == (0, list(FILES))
    assert len(other.asked) == asked


@pytest.mark.parametrize(
    ("source", "only", "names"),
    [
        (SOURCE, ("*.parquet",), ["data/train-0.parquet", "data/train-1.parquet"]),
        (SOURCE, ("README*", "*-1.*"), ["README.md", "data/train-1.parquet"]),
        (f"{SOURCE}/data/train-0.parquet", (), ["data/train-0.parquet"]),
        (f"{SOURCE}@main/data/other", (), ["data/other/x y.txt"]),
        (f"{SOURCE}/data/*-1*", (), ["data/train-1.parquet"]),
        (f"{SOURCE}@refs/convert/parquet/README.md", (), ["README.md"]),
        ("hf://datasets/huggan/wikiart/README.md", (), ["README.md"]),
        ("{home}/datasets/huggan/wikiart", ("README.md",), ["README.md"]),
        ("{home}/datasets/huggan/wikiart/tree/main/data/other", (), ["data/other/x y.txt"]),
        (
            "{home}/datasets/huggan/wikiart/blob/main/data/other/x%20y.txt",
            (),
            ["data/other/x y.txt"],
        ),
        ("{home}/datasets/huggan/wikiart/resolve/refs%2Fconvert%2Fparquet/empty", (), ["empty"]),
        ("https://huggingface.co/datasets/huggan/wikiart/resolve/main/empty", (), ["empty"]),
    ],
)
def test_what_is_chosen_of_a_repository(
    wikiart: Nasty, tmp_path: Path, source: str, only: tuple[str, ...], names: list[str]
) -> None:
    source = source.replace("{home}", wikiart.address)
    assert is_repository(source)
    assert repository(tmp_path, source, *only).names == names


def test_other_addresses_are_no_repositories() -> None:
    for source in (
        "https://example.org/datasets/a/b",
        "https://huggingface.co/docs/hub",
        "https://huggingface.co/api/datasets/a/b",
        "https://huggingface.co/datasets/a/b/viewer/default",
        "http://[/a",
        "urls.csv",
        "hf:justone",
    ):
        assert not is_repository(source), source
    with pytest.raises(ImpastoError, match="is no repository; write hf:datasets/OWNER/NAME"):
        repository(Path("nowhere"), "hf:justone")


def test_a_model_repository(
    nasty: Nasty, other: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", nasty.address)
    hub(nasty, other, "models")
    assert repository(tmp_path, "hf:huggan/wikiart", "*.md").names == ["README.md"]


def test_the_token_is_for_the_hub_alone(
    wikiart: Nasty, other: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    # A small file is elsewhere, too, and only the answer to GET says so.
    moved = redirect(f"{other.address}/readme", 302)
    place = f"/datasets/huggan/wikiart/resolve/{COMMIT}/README.md"
    here = wikiart.routes[place]
    wikiart.on(place, for_get(moved, here))
    other.on("/readme", content(FILES["README.md"]))
    repository(tmp_path / "to")
    assert {asked.headers["Authorization"] for asked in wikiart.asked} == {"Bearer hf_secret"}
    assert {asked.path.partition("?")[0] for asked in other.asked} == {
        "/readme",
        *(f"/blob/{hashlib.sha256(body).hexdigest()}" for body in (BODY, BODY[::-1])),
    }
    assert not any("Authorization" in asked.headers for asked in other.asked)
    assert "hf_secret" not in (tmp_path / "to/fetched.json").read_text()
    assert origin_of("https://huggingface.co/a") != origin_of("http://huggingface.co/a")
    assert origin_of("https://huggingface.co/a") != origin_of("https://huggingface.co.evil.org/a")
    assert origin_of("https://huggingface.co@evil.org/") != origin_of("https://huggingface.co/")


def test_the_token_does_not_follow_a_listing_to_another_host(
    wikiart: Nasty, other: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    tree = f"/api/datasets/huggan/wikiart/tree/{COMMIT}"
    first = status(200, b"[]", Link=f'<{other.address}{tree}?recursive=true&cursor=3>; rel="next"')
    wikiart.on(tree, in_turn(first, wikiart.routes[tree]))
    assert repository(tmp_path / "to", SOURCE, "x y*").names == ["data/other/x y.txt"]
    assert other.asked == []


def test_the_token_of_a_login_is_used(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hf-home").mkdir()
    (tmp_path / "hf-home/token").write_text("hf_of_login\n")
    repository(tmp_path / "to", SOURCE, "*.md")
    assert {asked.headers["Authorization"] for asked in wikiart.asked} == {"Bearer hf_of_login"}


def test_a_large_file_of_the_hub_goes_on(wikiart: Nasty, other: Nasty, tmp_path: Path) -> None:
    blob = f"/blob/{SHA}"
    other.on(blob, in_turn(broken_off(BODY, 50_000), content(BODY)))
    repository(tmp_path / "to", SOURCE, "*-0.parquet")
    assert (tmp_path / "to/data/train-0.parquet").read_bytes() == BODY
    assert other.headers(blob)[1]["Range"] == "bytes=50000-"
    assert len(other.asked) == 2


def test_a_server_that_fails_for_a_while_is_asked_again(
    wikiart: Nasty, other: Nasty, tmp_path: Path
) -> None:
    blob, listing = f"/blob/{SHA}", "/api/datasets/huggan/wikiart/revision/main"
    other.on(blob, in_turn(status(503), status(502), content(BODY)))
    wikiart.on(listing, in_turn(status(503, Retry_After=77), wikiart.routes[listing]))
    fake = FakeTime()
    fetch_repository(SOURCE, tmp_path / "to", ["*-0.parquet"], fake.polite())
    assert (tmp_path / "to/data/train-0.parquet").read_bytes() == BODY
    assert fake.sleeps[0] == 77
    other.on(f"/blob/{hashlib.sha256(BODY[::-1]).hexdigest()}", status(503))
    with pytest.raises(ImpastoError, match=r"cannot fetch .* the server failed \(503\); run it"):
        fetch_repository(SOURCE, tmp_path / "to", ["*.parquet"], fake.polite())
    assert (tmp_path / "to/data/train-0.parquet").read_bytes() == BODY


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BODY[:-1] + b"x", "another SHA-256"),
        (BODY + b"x", "more than the 204,800 bytes of the hub's listing came"),
        (BODY[:-1], "should be of size 204800 but has size 204799"),
    ],
)
def test_a_damaged_file_of_the_hub_is_not_taken(
    wikiart: Nasty, other: Nasty, tmp_path: Path, body: bytes, why: str
) -> None:
    other.on(f"/blob/{SHA}", content(body))
    with pytest.raises(ImpastoError, match=why) as caught:
        repository(tmp_path / "to", SOURCE, "*-0.parquet")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "to").exists()
    # Nor does the cache keep it, for whoever asks next.
    cache = tmp_path / "hf-home/hub/datasets--huggan--wikiart"
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    other.on(f"/blob/{SHA}", content(BODY))
    assert repository(tmp_path / "to", SOURCE, "*-0.parquet").fetched == 1


def test_a_small_file_is_held_to_the_name_git_gives_it(wikiart: Nasty, tmp_path: Path) -> None:
    place = f"/datasets/huggan/wikiart/resolve/{COMMIT}/README.md"
    etag = f'"{git_sha1(FILES["README.md"])}"'
    wikiart.on(place, content(b"# p1ctures", etag, X_Repo_Commit=COMMIT))
    with pytest.raises(ImpastoError, match=r"another SHA-1 \(git's\)"):
        repository(tmp_path / "to", SOURCE, "README.md")
    path = tmp_path / "known"
    path.write_bytes(b"hello\n")
    # `printf 'hello\n' | git hash-object --stdin`
    assert git_sha1_of_file(path) == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_another_file_is_in_the_way_of_the_hubs(wikiart: Nasty, tmp_path: Path) -> None:
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    why = r"README.md is another file \(another size: 4 bytes, not 10\)"
    with pytest.raises(ImpastoError, match=why):
        repository(folder)
    (folder / "README.md").write_bytes(FILES["README.md"])
    assert repository(folder, SOURCE, "README.md").fetched == 0
    assert "README.md" in json.loads((folder / "fetched.json").read_text())["files"]


def test_a_file_changed_on_the_hub_is_fetched_again(
    wikiart: Nasty, other: Nasty, tmp_path: Path
) -> None:
    repository(tmp_path, SOURCE, "*-0.parquet")
    hub(wikiart, other, more={"data/train-0.parquet": b"new"})
    assert repository(tmp_path, SOURCE, "*-0.parquet").fetched == 1
    assert (tmp_path / "data/train-0.parquet").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["../evil", "/etc/x", "a/../../b", "a\\b", "C:x", "a//b", "a\0b"])
def test_paths_that_lead_out_are_refused(
    nasty: Nasty, other: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", nasty.address)
    hub(nasty, other, more={path: b"x"})
    with pytest.raises(ImpastoError, match="lists a file that cannot be"):
        repository(tmp_path / "to")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), r"gives no datasets/huggan/wikiart@main \(404\): .*HF_TOKEN"),
        (status(401), "or a private or gated repository that needs HF_TOKEN"),
        (status(404, X_Error_Code="RevisionNotFound"), r"\(404\): a wrong name, revision or path"),
        (
            status(403, X_Error_Code="GatedRepo"),
            "wikiart@main is gated: ask for access on http.*/huggan/wikiart",
        ),
        (status(200, b"<html>"), "did not answer in JSON; is HF_ENDPOINT right"),
        (status(200, b"[" * 100_000), "did not answer in JSON"),
        (status(200, b"[]"), "names no commit"),
        (status(200, b'{"sha": "../x"}'), "names no commit"),
        (status(500), r"the server failed \(500\); try again later"),
    ],
)
def test_a_hub_that_gives_nothing(
    wikiart: Nasty, tmp_path: Path, answer: Callable[[Request], None], message: str
) -> None:
    wikiart.on("/api/datasets/huggan/wikiart/revision/main", answer)
    with pytest.raises(ImpastoError, match=message) as caught:
        repository(tmp_path / "to")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(403, X_Error_Code="GatedRepo"), "is gated: ask for access on"),
        (status(404), r"gives no datasets/huggan/wikiart@main \(404\)"),
        (status(500), r"cannot fetch .*README.md: the server failed \(500\); run it again"),
        (content(b"# pictures"), "missing the 'X-Repo-Commit' header"),
        (content(b"# pictures", X_Repo_Commit=COMMIT), "does not have an ETag"),
    ],
)
def test_a_file_that_the_hub_lists_and_does_not_give(
    wikiart: Nasty, tmp_path: Path, answer: Callable[[Request], None], message: str
) -> None:
    wikiart.on(f"/datasets/huggan/wikiart/resolve/{COMMIT}/README.md", answer)
    with pytest.raises(ImpastoError, match=message) as caught:
        repository(tmp_path / "to", SOURCE, "*.md")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (b"{}", "lists no files; is HF_ENDPOINT right"),
        (b'[{"type": "file", "path": "a"}]', "lists a file that cannot be: 'a'"),
        (b'[{"type": "file", "path": 3, "size": 3}]', "lists a file that cannot be: '3'"),
        (b'[1, {"type": "directory"}]', "no file of datasets/huggan/wikiart@main fits no pattern"),
    ],
)
def test_a_damaged_listing(wikiart: Nasty, tmp_path: Path, listing: bytes, message: str) -> None:
    wikiart.on(f"/api/datasets/huggan/wikiart/tree/{COMMIT}", status(200, listing))
    with pytest.raises(ImpastoError, match=message):
        repository(tmp_path / "to")


def test_no_hub_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nasty_server() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.address)
    with pytest.raises(ImpastoError, match=r"no connection .*; try again later"):
        repository(tmp_path / "to")


def test_a_hub_that_stalls_is_given_up(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    wikiart.on("/api/datasets/huggan/wikiart/revision/main", stalls(b"{", 100))
    with pytest.raises(ImpastoError, match="no answer in time; try again later"):
        repository(tmp_path / "to")


def test_nothing_fits(wikiart: Nasty, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"fits \*\.zip; there is .*\*\.md, \*\.parquet"):
        repository(tmp_path / "to", SOURCE, "*.zip")


@pytest.mark.parametrize("where", ["to", "hf-home"])
def test_no_room(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "hf-home").mkdir()

    def usage(path: Path) -> Any:
        return SimpleNamespace(free=1000 if path == tmp_path / where else 10**9)

    monkeypatch.setattr("impasto.fetching.hub.shutil.disk_usage", usage)
    with pytest.raises(ImpastoError, match=rf"GB more in .*{where}.* are free; choose fewer files"):
        repository(tmp_path / "to")
    cached(tmp_path / "hf-home/hub", *FILES)
    if where == "hf-home":  # what the cache has takes no more room there
        assert repository(tmp_path / "to").bytes == 0


def test_a_full_disk_is_one_line(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub.file_download, "http_get", full)
    with pytest.raises(ImpastoError, match=r"cannot write .*hub: the disk is full"):
        repository(tmp_path / "to")


def test_progress_is_that_of_all_files(wikiart: Nasty, other: Nasty, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        seen.append((done, total))

    cached(tmp_path / "hf-home/hub", "README.md")
    fetch_repository(SOURCE, tmp_path / "to", politeness=FakeTime().polite(), tell=tell)
    total = sum(map(len, FILES.values()))
    assert {count for _, count in seen} == {total}
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert done[-1] == total
    assert len(set(done)) > 2 * len(BODY) // 10_000


def cached(home: Path, *names: str, damaged: bool = False) -> None:
    """The hub's cache on this machine, as its own client lays it out."""
    folder = home / "datasets--huggan--wikiart"
    (folder / "refs").mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    for name in names:
        body = FILES[name]
        large = name.endswith(".parquet")
        blob = folder / "blobs" / (hashlib.sha256(body).hexdigest() if large else git_sha1(body))
        blob.write_bytes(body[::-1] if damaged else body)
        link = folder / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_hubs_cache_is_used(nasty: Nasty, other: Nasty, tmp_path: Path, variable: str) -> None:
    hub(nasty, other)
    environment = {"HF_ENDPOINT": nasty.address, variable: str(tmp_path / "cache")}
    home = tmp_path / "cache" / ("hub" if variable == "HF_HOME" else "")
    cached(home, "data/train-0.parquet", "README.md")
    only = ("--only", "*.parquet", "--only", "*.md")
    code, out, _ = run(SOURCE, tmp_path / "to", *only, **environment)
    assert code == 0
    assert out.startswith(
        f"3 files in {tmp_path / 'to'}: 1 fetched (0.2 MB), 2 from the hub's cache"
    )
    assert f"is commit {COMMIT}" in out
    path = tmp_path / "to/data/train-0.parquet"
    assert path.read_bytes() == BODY
    assert not path.is_symlink()
    second = hashlib.sha256(BODY[::-1]).hexdigest()
    assert {asked.path.partition("?")[0] for asked in other.asked} == {f"/blob/{second}"}
    # What was fetched is in the cache now, and takes no room of its own in the folder.
    blob = home / "datasets--huggan--wikiart/blobs" / second
    assert blob.samefile(tmp_path / "to/data/train-1.parquet")


def test_a_damaged_cache_is_passed_over(wikiart: Nasty, tmp_path: Path) -> None:
    cached(tmp_path / "hf-home" / "hub", "data/train-0.parquet", damaged=True)
    report = repository(tmp_path / "to", SOURCE, "*-0.parquet")
    assert (report.cached, report.fetched) == (0, 1)
    assert (tmp_path / "to/data/train-0.parquet").read_bytes() == BODY


def test_a_file_of_an_earlier_commit_is_not_fetched_again(
    wikiart: Nasty, other: Nasty, tmp_path: Path
) -> None:
    cached(tmp_path / "hf-home/hub", "data/train-0.parquet")
    snapshots = tmp_path / "hf-home/hub/datasets--huggan--wikiart/snapshots"
    (snapshots / COMMIT).rename(snapshots / COMMIT[::-1])
    assert repository(tmp_path / "to", SOURCE, "*-0.parquet").cached == 1
    assert other.asked == []


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "IMPASTO_OFFLINE"])
def test_the_hub_without_a_network(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    repository(tmp_path / "had", SOURCE, "*.md")
    (tmp_path / "hf-home").rename(tmp_path / "elsewhere")
    asked = len(wikiart.asked)
    monkeypatch.setenv(switch, "true")
    # What is in the folder.
    report = repository(tmp_path / "had")
    assert (report.names, report.fetched) == (["README.md"], 0)
    # Neither there nor in the cache.
    with pytest.raises(ImpastoError, match=f"{switch} is set, and .* is neither in"):
        repository(tmp_path / "new")
    # What is in the cache.
    cached(tmp_path / "hf-home" / "hub", "data/train-0.parquet", "README.md")
    report = repository(tmp_path / "new", SOURCE, "*.parquet")
    assert (report.names, report.cached) == (["data/train-0.parquet"], 1)
    assert (tmp_path / "new/data/train-0.parquet").read_bytes() == BODY
    assert repository(tmp_path / "new", SOURCE, "*.parquet").cached == 0
    assert len(wikiart.asked) == asked


def test_a_damaged_cache_without_a_network(
    wikiart: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path / "hf-home" / "hub", "README.md", damaged=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match=r"README.md is damaged; .* HF_HUB_OFFLINE unset"):
        repository(tmp_path / "to")


def test_ctrl_c_in_a_file_of_the_hub_is_one_line(
    nasty: Nasty, other: Nasty, tmp_path: Path
) -> None:
    hub(nasty, other)
    blob = f"/blob/{hashlib.sha256(BODY[::-1]).hexdigest()}"
    whole = other.routes[blob]
    other.on(blob, in_turn(stalls(BODY[::-1][:100_000], len(BODY)), whole))
    process = impasto(SOURCE, tmp_path / "to", HF_ENDPOINT=nasty.address)
    wait_for(lambda: bool(other.headers(blob)))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "impasto: stopped; whole files are kept, run it again to go on"
    assert sorted(path.name for path in (tmp_path / "to").rglob("*") if path.is_file()) == [
        "README.md",
        "fetched.json",
        "train-0.parquet",
    ]
    code, out, _ = run(SOURCE, tmp_path / "to", HF_ENDPOINT=nasty.address)
    assert (code, out.splitlines()[0].partition(",")[0]) == (
        0,
        f"5 files in {tmp_path / 'to'}: 3 fetched (0.2 MB)",
    )
    assert "2 there before" in out


def test_stopped_from_within(wikiart: Nasty, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="run it again to go on"):
        fetch_repository(SOURCE, tmp_path / "to", politeness=FakeTime().polite(), tell=stop)


def test_huggingface_hub_says_nothing_of_its_own(
    nasty: Nasty, other: Nasty, tmp_path: Path
) -> None:
    hub(nasty, other)
    other.on(f"/blob/{SHA}", in_turn(broken_off(BODY, 50_000), content(BODY)))
    code, _, err = run(SOURCE, tmp_path / "to", "--only", "*-0.parquet", HF_ENDPOINT=nasty.address)
    assert (code, err) == (0, "")


WITHOUT = """
import sys
sys.modules["huggingface_hub"] = None  # as if it were not installed
from impasto.cli import main
sys.argv = ["impasto", "fetch", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("source", [SOURCE, "https://huggingface.co/datasets/huggan/wikiart"])
def test_without_huggingface_hub_one_line_says_what_to_install(tmp_path: Path, source: str) -> None:
    command = [sys.executable, "-c", WITHOUT, source, str(tmp_path / "to")]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "impasto: files of the hub take huggingface_hub: pip install 'impasto[hub]'\n"
    )


def test_fetching_and_help_do_not_import_huggingface_hub() -> None:
    for code in ("import impasto.fetching", "import impasto.cli.fetch", "import impasto"):
        code = f"import sys; {code}; print(*{{'huggingface_hub', 'httpx2'}} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, "")
