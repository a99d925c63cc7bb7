"""Who may ask the studio, and for what."""

import json
import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from impasto.errors import ImpastoError
from impasto.studio.app import create_app
from impasto.studio.context import Studio
from impasto.studio.places import MissingError, Places, confined, new_name
from impasto.studio.security import MOST_BODY, Gate
from tests.studio.conftest import HOST, PORT, TOKEN


def _lines(answer: object) -> str:
    """The one line of an error."""
    found = json.loads(answer.text)["error"]  # type: ignore[attr-defined]
    assert "\n" not in found
    return str(found)


def test_nothing_is_answered_without_the_token(stranger: TestClient) -> None:
    for path in ("/", "/api/runs", "/api/openapi.json", "/api/jobs/x/stop", "/nowhere"):
        assert stranger.get(path).status_code == 401, path
    assert stranger.post("/api/train", json={"collection": "masters"}).status_code == 401
    assert stranger.get("/api/runs", headers={"authorization": "Bearer guess"}).status_code == 401
    assert stranger.get("/?token=guess").status_code == 401
    assert stranger.get("/api/alive").json() == {"alive": True}


def test_a_browser_gets_a_page_that_says_how_to_open_the_studio(stranger: TestClient) -> None:
    """As after a restart, whose token is a new one."""
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for address in ("/", "/?token=<script>"):
        answer = stranger.get(address, headers=browser)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "the address" in answer.text
        assert "printed" in answer.text
        assert "{" not in answer.text
        assert "<script" not in answer.text
    assert "printed" in _lines(stranger.get("/"))
    assert "printed" in _lines(stranger.get("/", headers={"accept": "application/json"}))


def test_the_address_that_starts_a_browser_opens_one_page(studio: Studio) -> None:
    app = create_app(studio, Gate(TOKEN, PORT, once="of a browser"))
    with TestClient(app, base_url=f"http://{HOST}", follow_redirects=False) as browser:
        assert browser.get("/?token=of+a+browser").status_code == 303
        assert browser.get("/api/studio").status_code == 200
        browser.cookies.clear()
        assert browser.get("/?token=of+a+browser").status_code == 401
        assert browser.get("/?token=" + TOKEN.replace(" ", "+")).status_code == 303


def test_the_address_with_the_token_gives_a_cookie_that_only_this_site_sends(
    stranger: TestClient,
) -> None:
    answer = stranger.get(
        "/?token=" + TOKEN.replace(" ", "+") + "&tab=runs", follow_redirects=False
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?tab=runs"
    cookie = answer.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie
    assert stranger.get("/api/runs").status_code == 200
    # A change needs the Origin that browsers send, too.
    assert stranger.post("/api/jobs/x/stop").status_code == 403
    origin = {"origin": f"http://{HOST}"}
    assert stranger.post("/api/jobs/x/stop", headers=origin).status_code == 404


def test_a_redirect_stays_on_this_server(stranger: TestClient) -> None:
    address = "//elsewhere.example/?token=" + TOKEN.replace(" ", "+")
    answer = stranger.get(f"http://{HOST}{address}", follow_redirects=False)
    assert answer.headers.get("location", "/").startswith("/")
    assert not answer.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1:1",
        "127.0.0.1",
        "",
        "a@127.0.0.1:8765",
        "[::1",
    ],
)
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/api/runs", headers={"host": host}).status_code == 421


def test_other_sites_are_refused(client: TestClient) -> None:
    for origin in (
        "http://evil.example",
        "null",
        f"http://localhost:{PORT + 1}",
        f"https://{HOST}",
    ):
        answer = client.post("/api/train", json={}, headers={"origin": origin})
        assert answer.status_code == 403, origin
        assert client.get("/api/runs", headers={"origin": origin}).status_code == 403
    for site in ("cross-site", "same-site"):
        assert client.get("/api/runs", headers={"sec-fetch-site": site}).status_code == 403


def test_another_address_answers_to_itself_and_to_numbers() -> None:
    gate = Gate("t", 80, "studio.example")
    assert gate.is_our_host("studio.example")
    assert gate.is_our_host("192.168.0.7:80")
    assert not gate.is_our_host("evil.example")
    assert not Gate("t", 80).is_our_host("192.168.0.7:80")


def test_answers_carry_the_policy(client: TestClient) -> None:
    for path in ("/api/runs", "/", "/api/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy
        assert "unsafe-inline" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_large_requests_are_refused_before_they_are_read(client: TestClient) -> None:
    answer = client.post("/api/train", content=b" " * (MOST_BODY + 1))
    assert answer.status_code == 413
    assert "too large" in _lines(answer)

    parts = iter([b" " * 2**16] * 32)  # without a length
    answer = client.post("/api/train", content=parts)
    assert answer.status_code == 413


def test_errors_are_one_line_and_no_traceback(
    client: TestClient, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.post("/api/train", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    _lines(answer)
    answer = client.post("/api/train", json={"collection": "masters", "labels": "many"})
    assert _lines(answer).startswith("labels: ")
    monkeypatch.setattr(Places, "run", lambda *_: 1 / 0)
    answer = client.get("/api/runs/x")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "Traceback" not in answer.text
    assert "terminal" in _lines(answer)


def test_letters_that_are_no_unicode(client: TestClient, places: Places) -> None:
    """In a request, and in names of folders on disk."""
    headers = {"content-type": "application/json"}
    for path, body in (
        ("collections/masters/forget", b'{"pictures": ["\\ud800"]}'),
        ("uploads", b'{"name": "\\ud800"}'),
        ("train", b'{"collection": "masters", "recipe": "first_look", "time": "\\udfff"}'),
        ("pack", b'{"name": "x", "like": "\\ud800"}'),
    ):
        answer = client.post(f"/api/{path}", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        _lines(answer)
    assert client.get("/api/jobs").json() == []
    name = os.fsdecode(b"caf\xe9")
    (places.uploads / name).mkdir()
    (places.runs / name).mkdir()
    (places.runs / name / "run.json").write_text("{}")
    assert [each["name"] for each in client.get("/api/uploads").json()] == [name]
    (unreadable,) = client.get("/api/runs").json()["unreadable"]
    assert unreadable.startswith("caf")


HOSTILE = [
    "..",
    ".",
    "../secret",
    "..%2fsecret",
    "%2e%2e%2fsecret",
    "%2e%2e/secret",
    "....//secret",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "..%5csecret",
    "x%00y",
    ".lock",
    "a" * 300,
    "%ff%fe",
    "leads-away",
]
ADDRESSES = [
    "/api/runs/{}",
    "/api/runs/real/grids/{}",
    "/api/runs/real/grids/1.png?stage={}",
    "/api/collections/{}",
    "/api/collections/{}/picture/0",
    "/api/jobs/{}",
    "/api/jobs/{}/log",
    "/api/jobs/{}/files/log.txt",
    "/api/models/details?model=runs/{}",
    "/api/models/details?model=models/{}",
    "/api/models/details?model=runs/real/checkpoints/{}",
    "/api/gallery/sheet?model={}",
    "/api/gallery/favourites?model=models/{}",
    "/{}",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_outside_the_folders_is_read(
    client: TestClient, places: Places, tmp_path: Path, address: str
) -> None:
    """Also not behind a link that leads out (`leads-away`)."""
    secret = tmp_path / "secret"
    for name in ("run.json", "collection.json", "model.json", "job.json", "log.txt", "1.png"):
        secret.mkdir(exist_ok=True)
        (secret / name).write_text('{"secret": "SECRET"}')
    (places.runs / "real" / "samples").mkdir(parents=True)
    (places.runs / "real" / "checkpoints").mkdir()
    (places.runs / "real" / "run.json").write_text("{}")
    roots = (places.runs, places.collections, places.jobs, places.models)
    for folder in (*roots, *(places.runs / "real" / n for n in ("samples", "checkpoints"))):
        (folder / "leads-away").symlink_to(secret)
    for name in HOSTILE:
        answer = client.get(address.format(name))
        assert "SECRET" not in answer.text, name
        assert answer.status_code in (200, 307, 400, 404, 422), (name, answer.status_code)
        # Every address outside the API leads to the page; a client itself takes . and .. away.
        assert answer.status_code != 200 or address == "/{}" or name in (".", "..")
    for listing in ("/api/runs", "/api/collections", "/api/models", "/api/jobs"):
        assert "leads-away" not in json.dumps(client.get(listing).json())


def test_confined_paths(tmp_path: Path) -> None:
    root = (tmp_path / "root").resolve()
    (root / "inside").mkdir(parents=True)
    (root / "link").symlink_to(root / "inside")
    assert confined(root, "link") == root / "inside"
    (root / "out").symlink_to(tmp_path)
    for parts in (("out",), ("out", "secret"), ("..",), ("a/b",), ("",), ("\0",)):
        with pytest.raises(MissingError):
            confined(root, *parts)


@pytest.mark.parametrize(
    "name", ["", " ", ".x", "-x", "a/b", "a\\b", "a\nb", "x" * 200, "a:b", " a"]
)
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(Exception, match="cannot be the name of a collection"):
        new_name(name, "collection")
    for usable in ("Gemälde von 1872", "cats & dogs"):
        assert new_name(usable, "collection") == usable


def test_a_name_that_is_refused_says_what_it_may_not_have() -> None:
    with pytest.raises(ImpastoError, match=r"without / .* that begins with no dot") as refused:
        new_name("a?", "collection")
    # Letters, digits and more are possible; only these are not.
    assert all(letter in str(refused.value) for letter in '/\\:*?"<>|')
