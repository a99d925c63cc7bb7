"""Pictures that were dropped: found again until they are packed, and looked at before."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from impasto.studio import sources
from impasto.studio.context import Studio
from impasto.studio.places import Places
from tests.helpers.command_line import invoke
from tests.helpers.pictures import paint
from tests.studio.conftest import finish


def _get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _error(client: TestClient, path: str, body: Any) -> str:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def _damaged(folder: Path) -> None:
    """Six pictures, one of which is cut off, and files that are none."""
    paint(folder, 6)
    whole = (folder / "warm" / "001.png").read_bytes()
    (folder / "warm" / "001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("where they are from")
    (folder / "plan.pdf").write_bytes(b"%PDF-1.4")


def _unusable(client: TestClient, start: int = 0, **query: Any) -> list[tuple[str, str]]:
    """Files of the upload `dropped` that cannot be packed, asked for in portions as the page does: a
    busy machine checks fewer pictures in each."""
    left_out: list[tuple[str, str]] = []
    while start < 6:
        found = _get(client, "uploads/dropped/unusable", start=start, **query)
        assert found["checked"] > 0
        left_out += map(tuple, found["left_out"])
        start += found["checked"]
    assert start == 6
    return left_out


def test_an_upload_says_whether_it_is_packed(
    client: TestClient, studio: Studio, places: Places
) -> None:
    paint(places.uploads / "dropped", 6)
    paint(places.uploads / "other", 2)

    def packed() -> dict[str, bool]:
        return {each["name"]: each["packed"] for each in _get(client, "uploads")}

    for number, text in enumerate(("[]", '{"made": 5}')):  # damaged collections
        (places.collections / f"damaged-{number}").mkdir()
        (places.collections / f"damaged-{number}" / "collection.json").write_text(text)
    assert packed() == {"dropped": False, "other": False}
    (first, _) = _get(client, "uploads")
    newest = max(path.stat().st_mtime for path in (places.uploads / "dropped").rglob("*.png"))
    assert (first["files"], first["changed"]) == (6, newest)
    body = {"name": "mine", "upload": "dropped", "resolution": [32]}
    job = client.post("/api/pack", json=body).json()
    assert packed() == {"dropped": True, "other": False}
    client.post(f"/api/jobs/{job['id']}/stop")
    assert packed() == {"dropped": False, "other": False}
    job = client.post("/api/pack", json=body).json()
    finish(studio, job)
    client.delete(f"/api/jobs/{job['id']}")
    assert packed() == {"dropped": True, "other": False}


def test_an_upload_that_was_cut_off_says_so(client: TestClient, places: Places) -> None:
    assert client.post("/api/uploads", json={"name": "dropped", "files": 3}).status_code == 200
    client.put("/api/uploads/dropped/file", params={"path": "a.png"}, content=b"a")
    (found,) = _get(client, "uploads")
    assert (found["files"], found["expected"]) == (1, 3)
    client.delete("/api/uploads/dropped")
    assert client.post("/api/uploads", json={"name": "dropped"}).json()["expected"] is None
    assert client.post("/api/uploads", json={"name": "x", "files": 0}).status_code == 422
    assert [path.name for path in places.uploads.iterdir() if path.name[0] != "."] == ["dropped"]


def test_what_cannot_be_packed_is_named_before(client: TestClient, places: Places) -> None:
    """As packing says it afterwards."""
    _damaged(places.uploads / "dropped")
    by_name = dict(_get(client, "uploads/dropped")["left_out"])
    assert by_name["notes.txt"] == "no picture"
    assert by_name["plan.pdf"].startswith("not a picture file by its name")
    ((path, reason),) = _unusable(client, resolution=32)
    assert path == "warm/001.png"
    assert reason.startswith("truncated")
    large = _unusable(client, resolution=2048)
    assert sum("too small" in why for _, why in large) == 6
    assert _get(client, "uploads/dropped/unusable", start=6)["checked"] == 0


def test_what_was_named_before_is_named_after_packing(
    client: TestClient, studio: Studio, places: Places
) -> None:
    """Also files beside the pictures that packing passes over, as long as the upload is there."""
    _damaged(places.uploads / "dropped")
    before = dict(_get(client, "uploads/dropped")["left_out"])
    before |= dict(_unusable(client, resolution=32))
    body = {"name": "mine", "upload": "dropped", "resolution": [32]}
    finish(studio, client.post("/api/pack", json=body).json())
    after = _get(client, "collections/mine/left-out")
    assert {row["path"]: row["reason"] for row in after["rows"]} == before
    assert after["total"] == len(before) == 3
    client.delete("/api/uploads/dropped")
    assert _get(client, "collections/mine/left-out")["total"] == 2


def test_they_are_looked_at_in_portions(
    client: TestClient, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    _damaged(places.uploads / "dropped")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_PORTION", 0)
        first = _get(client, "uploads/dropped/unusable", resolution=32)
    assert first == {"checked": 1, "left_out": []}
    assert [path for path, _ in _unusable(client, start=1, resolution=32)] == ["warm/001.png"]


@pytest.mark.parametrize("name", ["masters", "paintings"])
def test_a_collection_is_not_named_as_what_comes_with_impasto(
    client: TestClient, places: Places, name: str
) -> None:
    paint(places.uploads / "dropped", 2)
    said = _error(client, "pack", {"name": name, "upload": "dropped"})
    assert f"cannot be named {name}" in said
    assert client.get("/api/jobs").json() == []


def test_what_is_no_picture_is_not_looked_for(client: TestClient, places: Places) -> None:
    """By its own name, before a job is begun."""
    (places.uploads / "to find").mkdir()
    (places.uploads / "to find" / "notes.txt").write_text("no picture")
    body = {"model": "masters", "upload": "to find", "paths": ["notes.txt"]}
    said = _error(client, "gallery/invert", body)
    assert said.startswith("notes.txt cannot be looked for: ")
    assert str(places.uploads) not in said
    assert list(places.jobs.glob("*/*")) == []


def test_pictures_to_find_are_the_jobs_own(client: TestClient, places: Places) -> None:
    paint(places.uploads / "to find", 2)
    body = {"model": "masters", "upload": "to find", "paths": ["cold/000.png"]}
    job = client.post("/api/gallery/invert", json=body).json()
    assert job["title"] == "Find 1 picture in masters"
    assert client.delete("/api/uploads/to find").status_code == 200
    assert Path(job["arguments"][-1]).is_file()
    assert Path(job["arguments"][-1]).is_relative_to(places.jobs / job["id"])


def test_refusals_name_files_as_they_were_dropped(client: TestClient, studio: Studio) -> None:
    """And so does a packing that fails: nobody chose the folder in which they are."""
    for upload, file in (("pictures", "a.zip"), ("pictures 2", "notes.txt")):
        client.post("/api/uploads", json={"name": upload})
        client.put(f"/api/uploads/{upload}/file", params={"path": file}, content=b"nothing")
        answer = client.get(f"/api/uploads/{upload}")
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(f"{file} is ")
    paint(studio.places.uploads / "pictures 3", 2)
    body = {"name": "mine", "upload": "pictures 3", "resolution": [2048]}
    job = client.post("/api/pack", json=body).json()
    code, output = invoke(*job["arguments"])
    folder = studio.jobs.folder / job["id"]
    (folder / "log.txt").write_text(output)
    (folder / "exit").write_text(f"{code}\n")
    found = client.get(f"/api/jobs/{job['id']}").json()
    assert found["state"] == "failed"
    assert "no usable picture in what was dropped; 2 left out" in found["message"]
