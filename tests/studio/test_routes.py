"""Every tab's routes, on a collection and a run that are there."""

import base64
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import impasto
from impasto.asking import is_held
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.registry import module_names, recipe_names
from impasto.resolution import Size, recorded
from impasto.sampling.point_text import TEXT_KEY
from impasto.sampling.shipped import packaged_models
from impasto.sources.listing import Entry, Listing
from impasto.studio.context import Studio
from impasto.studio.jobs import Job, Jobs
from impasto.studio.labels import label_choices
from impasto.studio.pictures import FOR_A_WHILE
from impasto.studio.places import Places
from impasto.studio.runs import summary
from impasto.studio.schema import settings_of_network
from impasto.studio.sources import previews, tidy
from impasto.training.choosing import choose
from impasto.training.run_folder import exclusive
from tests.exploring.models import random_model
from tests.helpers.pictures import paint
from tests.helpers.training import SMALL
from tests.studio.conftest import accepted, finish

RUN = "runs/00000-small"


def _get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _post(client: TestClient, path: str, **body: Any) -> Any:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _error(client: TestClient, path: str, body: Any = None, status: int = 400) -> str:
    answer = client.get(f"/api/{path}") if body is None else client.post(f"/api/{path}", json=body)
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    assert "\n" not in found
    return str(found)


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_every_route_answers_without_a_server_error(visitor: TestClient) -> None:
    """With names that are not there, and empty bodies."""
    schema = _get(visitor, "openapi.json")
    assert len(schema["paths"]) > 50
    for path, methods in schema["paths"].items():
        address = path.replace("{", "no-").replace("}", "")
        for method in methods:
            if path.endswith("/events"):
                continue
            answer = visitor.request(method, address, json={} if method == "post" else None)
            assert answer.status_code < 500, (method, path, answer.text)
            if answer.status_code >= 400:
                assert "\n" not in answer.json()["error"]


def test_collections(visitor: TestClient, world: Studio) -> None:
    listed = _get(visitor, "collections")
    assert next(each["name"] for each in listed["collections"]) == "labelled"
    found = _get(visitor, "collections/labelled")
    collection = Collection.open(world.places.collections / "labelled")
    (field,) = collection.fields
    assert found["fields"] == [
        {
            "name": "kind",
            "classes": [
                {"name": name, "train": count}
                for name, count in zip(field.classes, field.counts, strict=True)
            ],
            "unknown": 0,
        }
    ]
    assert found["summary"]["train"] == 27
    rows = _get(visitor, "collections/labelled/pictures", start=3, count=4)
    assert rows["total"] == 30
    assert [row["index"] for row in rows["rows"]] == [3, 4, 5, 6]
    for row in rows["rows"]:
        assert row["source"]["path"].startswith(row["classes"]["kind"])
    some = _get(visitor, "collections/labelled/pictures", only="kind=warm")
    assert some["total"] == 15
    assert {row["classes"]["kind"] for row in some["rows"]} == {"warm"}
    assert "kind" in _error(visitor, "collections/labelled/pictures?only=kind%3Dhot")
    picture = _pixels(visitor.get("/api/collections/labelled/picture/3").content).astype(int)
    assert np.abs(picture - collection.images(np.array([3]))[0]).mean() < 6  # WebP
    small = visitor.get("/api/collections/labelled/picture/3?side=16")
    assert _pixels(small.content).shape == (16, 16, 3)
    assert visitor.get("/api/collections/labelled/picture/30").status_code == 404
    assert _pixels(visitor.get("/api/collections/labelled/sheet").content).shape[1] > 100
    assert _get(visitor, "collections/labelled/left-out") == {"total": 0, "rows": []}
    assert _get(visitor, "collections/labelled/duplicates")["total"] == 0


def test_uploads_previews_packing_merging_and_forgetting(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    """From a dropped zip and files to a collection, and to one with merged classes."""
    paint(tmp_path / "pictures", 6)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in sorted((tmp_path / "pictures").rglob("*.png")):
            file.write(path, path.relative_to(tmp_path / "pictures"))
        file.writestr("cold/broken.png", b"no picture")
        # Twice the same picture.
        file.write(tmp_path / "pictures" / "cold" / "000.png", "cold/copy.png")
    begun = _post(client, "uploads", name="dropped")
    assert (begun["name"], begun["files"], begun["packed"]) == ("dropped", 0, False)
    assert "nothing is in" in _error(client, "uploads/dropped")
    put = client.put("/api/uploads/dropped/file?path=all.zip", content=content.getvalue())
    assert put.json() == {"bytes": len(content.getvalue())}
    found = _get(client, "uploads/dropped")
    assert found["pictures"] == 8
    (field,) = found["fields"]
    assert found["fields"][field] == {"cold": 5, "warm": 3}
    previews = _get(client, "uploads/dropped/preview", count=3, side=32)
    assert set(previews["fits"]) == {"crop", "squash", "pad", "tiles", "aspect"}
    assert previews["pictures"]
    for each in previews["pictures"]:
        assert set(each["squares"]) == set(previews["fits"])
        assert each["squares"]["pad"].startswith("data:image/webp;base64,")
    webp = base64.b64decode(previews["pictures"][0]["squares"]["crop"].partition(",")[2])
    assert _pixels(webp).shape == (32, 32, 3)
    impasto.pack(
        studio.places.uploads / "dropped", studio.places.collections / "tall", resolution="24x32"
    )
    assert _get(client, "collections/tall")["summary"]["resolution"] == "24x32"
    assert _pixels(client.get("/api/collections/tall/picture/0").content).shape == (32, 24, 3)
    job = _post(client, "pack", name="mine", upload="dropped", resolution=[16, 32], labels=["kind"])
    assert "packed already" in _error(client, "pack", {"name": "mine", "upload": "dropped"})
    finish(studio, job)
    details = _get(client, "collections/mine")
    assert details["summary"]["resolutions"] == [16, 32]
    assert details["duplicates"] == 1
    (row,) = _get(client, "collections/mine/left-out")["rows"]
    assert row["path"] == "cold/broken.png"
    copies = _get(client, "collections/mine/duplicates")["rows"]
    assert sorted(each["kept"] for each in copies) == [False, True]
    (out,) = [each for each in copies if not each["kept"]]
    assert client.get(f"/api/collections/mine/excluded/{out['picture']}").status_code == 200
    assert client.get("/api/collections/mine/excluded/9").status_code == 404
    assert "already" in _error(client, "pack", {"name": "mine", "upload": "dropped"})
    _keep_and_exclude(client, studio, out["path"])
    _merge_and_forget(client, studio)
    assert client.delete("/api/uploads/dropped").json() == {"removed": True}
    assert not (studio.places.uploads / "dropped").exists()


def test_a_preview_reads_a_source_a_few_times_only() -> None:
    """Not for each picture anew: of a compressed archive each time is a whole reading."""
    asked: list[Sequence[int]] = []

    def contents(numbers: Sequence[int]) -> Iterator[np.ndarray]:
        asked.append(numbers)
        return (np.full((40, 80, 3), 8 * number, np.uint8) for number in numbers)

    entries = [Entry(f"{number}.png") for number in range(30)]
    made = previews(Listing("k", entries=entries, contents=contents, decoded=True), 4, 64)
    assert [name for name, _ in made] == ["0.png", "10.png", "19.png", "29.png"]
    assert [int(squares["squash"][0, 0, 0]) for _, squares in made] == [0, 80, 152, 232]
    assert {squares["aspect"].shape for _, squares in made} == {(48, 96, 3)}
    assert sorted(map(len, asked)) == [4, 30]


def _keep_and_exclude(client: TestClient, studio: Studio, copy: str) -> None:
    """One of the copies after all, and one picture no more; then the other way round."""

    def paths() -> set[str]:
        rows = _get(client, "collections/mine/pictures")["rows"]
        return {row["source"]["path"] for row in rows}

    before = paths()
    again: dict[str, Any] = {"name": "mine", "like": "mine", "again": True}
    job = _post(client, "pack", **again, keep=[copy], exclude=["warm/003.png"])
    finish(studio, job)
    assert paths() == before ^ {copy, "warm/003.png"}
    finish(studio, _post(client, "pack", **again))  # the choices stay
    assert paths() == before ^ {copy, "warm/003.png"}
    finish(studio, _post(client, "pack", **again, keep=["warm/003.png"], exclude=[copy]))
    assert paths() == before
    assert "own name" in _error(client, "pack", {**again, "like": "tall"})


def _merge_and_forget(client: TestClient, studio: Studio) -> None:
    merge = {"field": "kind", "classes": ["cold", "warm"], "into": "all | of it"}
    jobs = len(_get(client, "jobs"))
    for taken in ("mine", "tall"):  # its own name, and another's
        body = {"name": taken, "like": "mine", "merge": [merge]}
        assert "already" in _error(client, "pack", body)
    assert len(_get(client, "jobs")) == jobs
    job = _post(client, "pack", name="merged", like="mine", merge=[merge], duplicates="none")
    finish(studio, job)
    merged = _get(client, "collections/merged")
    assert [each["name"] for each in merged["fields"][0]["classes"]] == ["all | of it"]
    assert merged["duplicates"] == 0
    assert merged["summary"]["resolutions"] == [16, 32]
    paths = [row["source"]["path"] for row in _get(client, "collections/merged/pictures")["rows"]]
    shown = _get(client, "collections/merged/pictures")
    answer = _post(
        client, "collections/merged/forget", pictures=["warm/001.png"], hash=shown["hash"]
    )
    assert answer == {"pictures": 1, "left": len(paths) - 1}
    assert "nothing" in _error(client, "collections/merged/forget", {"pictures": ["nothing.png"]})
    _a_stale_page(client, shown)
    # What was forgotten does not come back, although it is still among the uploads.
    job = _post(client, "pack", name="again", like="merged", exclude=["cold/000.png"])
    finish(studio, job)
    left = [row["source"]["path"] for row in _get(client, "collections/again/pictures")["rows"]]
    assert set(left) == set(paths) - {"warm/001.png", "cold/000.png"}
    assert "masters" in _error(client, "collections/masters/forget", {"pictures": ["x"]})


def _a_stale_page(client: TestClient, shown: dict[str, Any]) -> None:
    """A page that shows the collection as it was gets no other pictures and removes none."""
    after = _get(client, "collections/merged/pictures")
    stale = {"pictures": [shown["rows"][0]["source"]["path"]], "hash": shown["hash"]}
    assert "has changed" in _error(client, "collections/merged/forget", stale)
    assert _get(client, "collections/merged/pictures") == after
    assert after["hash"] == _get(client, "collections/merged")["summary"]["hash"] != shown["hash"]
    for address in ("picture/0?", "sheet?", "excluded/0?"):
        old = f"/api/collections/merged/{address}hash={shown['hash']}"
        assert client.get(old).status_code == 404
    now = f"/api/collections/merged/picture/0?hash={after['hash']}"
    plain = client.get("/api/collections/merged/picture/0")
    assert client.get(now).content == plain.content


def test_files_go_into_their_upload_only(client: TestClient, places: Places) -> None:
    _post(client, "uploads", name="dropped")
    (places.uploads / "dropped" / "away").symlink_to(places.runs)
    for path in (
        "../x.png",
        "a/../../x.png",
        "/etc/x",
        ".hidden",
        "a//b",
        "away/x.png",
        "",
        "a\0b",
    ):
        answer = client.put("/api/uploads/dropped/file", params={"path": path}, content=b"x")
        assert answer.status_code in (400, 404, 422), path
    assert not list(places.runs.iterdir())
    assert not [path for path in places.uploads.rglob("*") if path.is_file()]
    assert [each["name"] for each in _get(client, "uploads")] == ["dropped"]
    for name in ("..", ".", "a/b", "-x"):
        assert client.post("/api/uploads", json={"name": name}).status_code == 400
    deep = "/".join(["a"] * 30)
    assert client.put(f"/api/uploads/dropped/file?path={deep}", content=b"x").status_code == 400


def test_an_upload_that_is_too_large_leaves_nothing(client: TestClient, places: Places) -> None:
    _post(client, "uploads", name="dropped")
    for body in (b"x" * 300_000, iter([b"x" * 100_000] * 4)):  # with a length, and without
        answer = client.put("/api/uploads/dropped/file?path=a.png", content=body)
        assert answer.status_code == 413
        assert "too large" in answer.json()["error"]
    assert not list((places.uploads / "dropped").iterdir())


def test_parts_that_a_killed_server_left_are_removed_a_day_later(places: Places) -> None:
    incoming = places.uploads / ".incoming"
    incoming.mkdir()
    for name, age in (("old", 90_000), ("new", 10)):
        (incoming / name).touch()
        os.utime(incoming / name, (time.time() - age,) * 2)
    tidy(places.uploads)
    assert [path.name for path in incoming.iterdir()] == ["new"]


def test_a_collection_from_elsewhere_is_not_packed_again(
    client: TestClient, places: Places, tmp_path: Path
) -> None:
    """A collection's record could name any folder of this machine as its source."""
    paint(tmp_path / "private", 4)
    impasto.pack(tmp_path / "private", places.collections / "given", resolution=32)
    assert "not among the uploads" in _error(client, "pack", {"name": "new", "like": "given"})
    assert client.get("/api/jobs").json() == []


def test_recipes_and_settings(visitor: TestClient) -> None:
    recipes = {each["name"]: each for each in _get(visitor, "recipes")}
    assert recipes["first_look"]["images"] == 72_000
    assert "Cost:" in recipes["first_look"]["text"]
    assert _get(visitor, "recipes/first_look")["config"]["training"]["batch"] == 16
    assert "unknown recipe" in _error(visitor, "recipes/nothing")
    schema = _get(visitor, "config/schema")
    assert "TrainingConfig" in schema["config"]["$defs"]
    assert "whole steps" in _described(schema["config"], "TrainingConfig", "images")
    assert "conditioned on" in _described(schema["config"], "RunConfig", "labels")
    (width,) = [
        each
        for each in _get(visitor, "config/networks/dcgan")["generator"]
        if each["name"] == "width"
    ]
    assert (width["kind"]["type"], width["kind"]["exclusiveMinimum"]) == ("integer", 0)
    assert width["default"] > 0
    names = {each["name"] for each in _get(visitor, "config/networks/flow")["generator"]}
    assert not names & {"latent_dim", "resolution", "label_sizes"}
    assert "there is" in _error(visitor, "config/networks/nothing")
    what: dict[str, Any] = {"collection": "labelled", "recipe": "first_look"}
    what["settings"] = {"resolution": 32, "training.batch": 8}
    checked = _post(visitor, "config/check", **what)
    assert checked["pictures"] == 27
    what["settings"] = {"training.batch": 0}
    assert "training.batch" in _error(visitor, "config/check", what)
    what["settings"] = {"resolution": 48}
    assert "48" in _error(visitor, "config/check", what)


def _described(schema: dict[str, Any], section: str, setting: str) -> str:
    return str(schema["$defs"][section]["properties"][setting]["description"])


def test_every_network_tells_its_settings() -> None:
    for name in module_names("networks"):
        assert settings_of_network(name), name


def test_runs(visitor: TestClient, world: Studio) -> None:
    (run,) = _get(visitor, "runs")["runs"]
    assert (run["name"], run["state"], run["images_seen"]) == ("00000-small", "finished", 64)
    details = _get(visitor, "runs/00000-small")
    (stage,) = details["stages"]
    assert stage["config"]["resolution"] == 32
    folder = world.places.runs / "00000-small" / "samples"
    assert run["grid"] == max(path.name for path in folder.glob("fakes-*.png"))
    assert details["checkpoints"][-1] == 64
    grid = visitor.get(f"/api/runs/00000-small/grids/{run['grid']}")
    assert grid.content == (world.places.runs / "00000-small/samples" / run["grid"]).read_bytes()
    assert "no job" in _error(visitor, "runs/00000-small/stop", {})


def test_a_run_without_a_checkpoint_is_judged_later(client: TestClient, studio: Studio) -> None:
    (studio.places.runs / "00000-new").mkdir()
    (studio.places.runs / "00000-new" / "run.json").write_text("{}")
    words = _error(client, "evaluate", {"model": "runs/00000-new"})
    assert words.startswith("00000-new has no checkpoint yet; Save now on its page saves one")
    assert "impasto resume" not in words


def test_the_time_left_is_of_all_stages(tmp_path: Path) -> None:
    """As far as it can be known: of a run that was planned for a time, or in its last stage."""
    run = tmp_path / "00000-chain"

    def stage(folder: Path, images: int, seen: int, first: dict[str, Any] | None) -> dict[str, Any]:
        config = {"recipe": "r", "resolution": 64, "training": {"images": images}}
        config["first_stage"] = first
        folder.mkdir(parents=True)
        command = "impasto train --data=x --time=30m"
        record = {"config": config, "collection": {"name": "x"}, "command": command}
        (folder / "run.json").write_text(json.dumps(record))
        if seen:
            _write_rows(folder, [(n, n / 100, 100) for n in range(0, seen + 1, 1000)])
        return config

    first = stage(run / "stage-1", 40_000, 30_000, None)
    second = stage(tmp_path / "next", 20_000, 0, first)
    shutil.copy(tmp_path / "next" / "run.json", run / "run.json")
    found = summary(run, None)
    assert (found.stage_number, found.stages, found.stage) == (1, 2, "stage-1")
    assert (found.images_seen, found.images) == (30_000, 40_000)
    assert found.seconds == 300
    assert found.stage_seconds_left == pytest.approx(100)
    assert found.seconds_left == pytest.approx(1800 - 300)  # the next stage takes the rest
    record = json.loads((run / "run.json").read_text())
    record["planned_seconds"] = 900.0
    (run / "run.json").write_text(json.dumps(record))
    assert summary(run, None).seconds_left == pytest.approx(900 - 300)  # what it says itself counts
    del record["planned_seconds"]
    record["command"] = "impasto train"
    (run / "run.json").write_text(json.dumps(record))
    assert summary(run, None).seconds_left is None
    assert summary(run, None).stage_seconds_left == pytest.approx(100)
    _write_rows(run, [(n, n / 10, 10) for n in range(0, 5001, 1000)])
    found = summary(run, None)
    assert (found.stage_number, found.stages, found.stage) == (2, 2, None)
    assert found.seconds == 300 + 500
    assert found.seconds_left == pytest.approx((second["training"]["images"] - 5000) / 10)


def _write_rows(folder: Path, rows: list[tuple[int, float, float]]) -> None:
    names = ("images_seen", "seconds", "images_per_second")
    lines = (json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    (folder / "stats.jsonl").write_text("".join(lines))


def test_evaluations_count_for_the_time_left_as_often_as_they_are_due(tmp_path: Path) -> None:
    """Of 20,000 images, 100 a second: one after 10,000 that took 50 seconds, and one at the end."""
    config = {"recipe": "r", "resolution": 64, "training": {"images": 20_000}}
    record = {"config": {**config, "evaluation": {"every": 10_000}}, "collection": {"name": "x"}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    rows = [(n, n / 100 + 50 * (n >= 10_000), 100.0) for n in range(500, 20_001, 500)]
    for seen, left in ((9_500, 105), (10_000, 100 + 50), (15_000, 50 + 50), (20_000, 0)):
        _write_rows(tmp_path, [row for row in rows if row[0] <= seen])
        found = summary(tmp_path, None).seconds_left
        assert found == pytest.approx(left)


def test_what_a_run_began_with(client: TestClient, studio: Studio, world: Studio) -> None:
    """And its whole output, also that of the job that it was resumed by."""
    run = studio.places.runs / "00000-given"
    shutil.copytree(world.places.runs / "00000-small", run)
    details = _get(client, "runs/00000-given")
    assert (details["began_with"], details["chosen"]) == (None, None)
    assert client.get("/api/runs/00000-given/log").text == ""
    record = json.loads((run / "run.json").read_text())
    layers = {"kept": ["a", "b"], "partly": [], "new": ["c"]}
    record["started_from"] = {
        "model": "masters",
        "recipe": "flagship_64",
        "images_seen": 5000,
        "generator": layers,
    }
    (run / "run.json").write_text(json.dumps(record))
    job = studio.jobs.add("train", "Train", ["train", "x"], run="00000-given")
    long = "a line of progress\n" * 5000
    words = "from masters; distance of this collection to the pictures: 0.065 of masters"
    log = studio.jobs.folder / job.id / "log.txt"
    log.write_text(f"--from auto: {words}\n{long}the end\n")
    details = _get(client, "runs/00000-given")
    assert details["began_with"] == (
        "masters (flagship_64, 5,000 images seen): 2 of 3 layers of its generator kept"
    )
    assert details["chosen"] == words
    record["chosen_start"] = "from nothing; as its run.json says"
    (run / "run.json").write_text(json.dumps(record))
    assert _get(client, "runs/00000-given")["chosen"] == "from nothing; as its run.json says"
    short = client.get("/api/runs/00000-given/log").text
    assert len(short) < 70_000
    assert short.endswith("the end\n")
    whole = client.get("/api/runs/00000-given/log?whole=true").text
    assert whole == f"$ impasto train x\n{log.read_text()}"


def test_models_and_their_cards(visitor: TestClient) -> None:
    found = {each["name"]: each for each in _get(visitor, "models")["models"]}
    assert set(found) == {RUN, *packaged_models()}
    assert found[RUN]["fields"] == [{"name": "kind", "classes": ["cold", "warm"]}]
    details = _get(visitor, "models/details", model=RUN)
    assert details["summary"] == found[RUN]
    card = _get(visitor, "share/card", model="masters")
    assert any("public domain" in sentence for sentence in card["sentences"])
    assert card["text"].startswith("---\nlicense: unknown\n")
    assert "license: cc0-1.0" in _get(visitor, "share/card", model=RUN, licence="cc0-1.0")["text"]


def test_the_card_is_of_the_checkpoint_that_is_exported(visitor: TestClient, world: Studio) -> None:
    """Also where the run has saved a newer one meanwhile; and it is not removed so soon."""
    run = world.places.runs / "00000-small"
    shown = _get(visitor, "share/card", model=RUN)
    assert shown["model"] == f"{RUN}/checkpoints/{64:012d}"
    assert is_held(run / "checkpoints" / f"{64:012d}")
    newer = run / "checkpoints" / f"{128:012d}"
    shutil.copytree(run / "checkpoints" / f"{64:012d}", newer)
    record = json.loads((newer / "model.json").read_text())
    (newer / "model.json").write_text(json.dumps({**record, "images_seen": 128}))
    try:
        again = _get(visitor, "share/card", model=shown["model"], licence="cc0-1.0")
        assert (again["model"], again["images_seen"]) == (shown["model"], 64)
        assert _get(visitor, "share/card", model=RUN)["images_seen"] == 128
        job = _post(visitor, "share/export", model=shown["model"], form="hub", name="fixed")
        finish(world, job)
        given = world.places.models / "fixed"
        assert json.loads((given / "model.json").read_text())["images_seen"] == 64
        exported = (given / "README.md").read_text(encoding="utf-8").splitlines()
        assert set(shown["text"].splitlines()) <= set(exported)
    finally:
        shutil.rmtree(newer)
        shutil.rmtree(world.places.models / "fixed", ignore_errors=True)


def test_sheets_are_what_the_library_paints(visitor: TestClient, world: Studio) -> None:
    points = [{"seed": seed, "classes": {"kind": "warm"}} for seed in (3, 4, 5, 6)]
    body = {"model": RUN, "points": points, "columns": 2, "format": "png"}
    sheet = visitor.post("/api/gallery/sheet", json=body)
    model = impasto.Model.load(world.places.runs / "00000-small")
    expected = model.grid([3, 4, 5, 6], {"kind": "warm"}, columns=2)
    assert (_pixels(sheet.content) == np.asarray(expected)).all()
    plain = {"model": RUN, "points": [{"seed": seed} for seed in (3, 4, 5, 6)], "columns": 2}
    wanted: dict[str, Any] = {"model": RUN, "seeds": "3-6", "columns": 2}
    of_seeds = visitor.get("/api/gallery/sheet", params=wanted)
    assert of_seeds.headers["content-type"] == "image/webp"
    assert of_seeds.content == visitor.post("/api/gallery/sheet", json=plain).content
    for kind in ("hot", ""):
        wrong = {"model": RUN, "points": [{"seed": 3, "classes": {"kind": kind}}]}
        assert visitor.post("/api/gallery/sheet", json=wrong).status_code in (400, 422)
    for query in ("seeds=x", "seeds=0-999999999", "seeds=5-1", "columns=0"):
        assert visitor.get(f"/api/gallery/sheet?model={RUN}&{query}").status_code in (400, 422)


def test_a_downloaded_picture_paints_itself_again(visitor: TestClient, world: Studio) -> None:
    mixture: dict[str, Any] = {
        "seed": 5,
        "classes": {"kind": {"warm": 0.6, "cold": 0.4}},
        "truncation": 0.8,
    }
    query: dict[str, Any] = {
        "model": RUN,
        "point": json.dumps(mixture),
        "format": "png",
        "download": True,
    }
    answer = visitor.get("/api/gallery/picture", params=query)
    assert answer.headers["content-disposition"] == 'attachment; filename="seed-00000005.png"'
    text = Image.open(io.BytesIO(answer.content)).text[TEXT_KEY]  # type: ignore[attr-defined]
    again: dict[str, Any] = {"model": RUN, "point": {"point": json.loads(text)}, "format": "png"}
    assert (
        _pixels(visitor.post("/api/gallery/picture", json=again).content) == _pixels(answer.content)
    ).all()
    again["enlarge"] = 2
    large = visitor.post("/api/gallery/picture", json=again).content
    assert _pixels(large).shape == (64, 64, 3)
    assert visitor.get("/api/gallery/picture", params={**query, "enlarge": 2}).content == large
    assert visitor.get("/api/gallery/picture", params={**query, "enlarge": 3}).status_code == 422
    other = {**again, "model": "masters"}
    assert "another generator" in _error(visitor, "gallery/picture", other)
    for wrong in ({}, {"seed": 1, "favourite": "x"}, {"favourite": "nobody"}):
        assert _error(visitor, "gallery/picture", {"model": RUN, "point": wrong})
    assert _error(visitor, "gallery/picture", {"model": RUN, "point": {"seed": -1}}, 422)


def test_sheets_of_models_that_stay_are_kept_by_the_browser(visitor: TestClient) -> None:
    for model, stays in {RUN: False, **dict.fromkeys(packaged_models(), True)}.items():
        answer = visitor.get("/api/gallery/sheet", params={"model": model, "seeds": "1"})
        assert (answer.headers["cache-control"] == FOR_A_WHILE) is stays, model


def test_favourites_are_those_of_the_command_line(visitor: TestClient, world: Studio) -> None:
    kept = _post(visitor, "gallery/favourites", model=RUN, name="wave", point={"seed": 7})
    assert [each["name"] for each in kept] == ["wave"]
    assert list(impasto.favourites(world.places.runs / "00000-small")) == ["wave"]
    impasto.keep(world.places.runs / "00000-small", "hill", 8)
    assert [f["name"] for f in _get(visitor, "gallery/favourites", model=RUN)] == ["wave", "hill"]
    again = {"model": RUN, "name": "wave", "point": {"seed": 9}}
    assert "already" in _error(visitor, "gallery/favourites", again)
    for point in ({"favourite": "wave"}, {"seed": 7}):
        answer = visitor.post(
            "/api/gallery/picture", json={"model": RUN, "point": point, "format": "png"}
        )
        assert (
            _pixels(answer.content)
            == impasto.sample(world.places.runs / "00000-small", [7], device="cpu")[0]
        ).all()
    address = "/api/gallery/favourites"
    left = visitor.delete(address, params={"model": RUN, "name": "wave"})
    assert [each["name"] for each in left.json()] == ["hill"]
    assert list(impasto.favourites(world.places.runs / "00000-small")) == ["hill"]
    _put_back(visitor, kept[0]["point"])
    for _ in range(2):  # The second time as another tab does, which still shows it.
        gone = visitor.delete(address, params={"model": RUN, "name": "wave"})
        assert gone.status_code == 200
        assert [each["name"] for each in gone.json()] == ["hill"]


def _put_back(client: TestClient, point: dict[str, Any]) -> None:
    """As it was, and where it was; or behind all, if the one after it is gone."""
    body = {"model": RUN, "name": "wave", "point": {"point": point}}
    for before, names in (("hill", ["wave", "hill"]), ("nobody", ["hill", "wave"])):
        back = _post(client, "gallery/favourites", **body, before=before)
        assert [each["name"] for each in back] == names
        assert {"name": "wave", "point": point} in back
        assert _get(client, "gallery/favourites", model=RUN) == back
        if before == "hill":
            client.delete("/api/gallery/favourites", params={"model": RUN, "name": "wave"})


def test_favourites_of_earlier_checkpoints_are_found(visitor: TestClient, world: Studio) -> None:
    """They are pictures of other weights, and are painted with these."""
    run = world.places.runs / "00000-small"
    assert _get(visitor, "gallery/favourites/earlier", model=RUN) == []
    newest = run / "checkpoints" / f"{64:012d}"
    earlier = run / "checkpoints" / f"{32:012d}"
    shutil.copytree(newest, earlier)
    (earlier / "favourites.json").unlink(missing_ok=True)
    impasto.keep(earlier, "young", 3)
    try:
        (found,) = _get(visitor, "gallery/favourites/earlier", model=RUN)
        assert found["model"] == f"{RUN}/checkpoints/{32:012d}"
        assert [each["name"] for each in found["favourites"]] == ["young"]
        body = {"model": found["model"], "point": {"favourite": "young"}}
        assert visitor.post("/api/gallery/picture", json=body).status_code == 200
        assert _get(visitor, "gallery/favourites/earlier", model=found["model"]) == []
    finally:
        shutil.rmtree(earlier)
    assert _get(visitor, "gallery/favourites/earlier", model="masters") == []


def _seeds(found: dict[str, Any]) -> list[int]:
    """The seeds of the points in an answer."""
    return [point["origins"][0]["seed"] for point in found["points"]]


def test_more_like_one(visitor: TestClient, world: Studio) -> None:
    body = {
        "model": RUN,
        "point": {"seed": 3},
        "seeds": 12,
        "count": 4,
        "classes": {"kind": "warm"},
    }
    found = _post(visitor, "gallery/more-like", **body)
    expected = impasto.more_like(
        world.places.runs / "00000-small", 3, range(12), count=4, device="cpu"
    )
    assert len(_seeds(found)) == 4
    assert found["distances"] == sorted(found["distances"])
    plain = _post(visitor, "gallery/more-like", **{**body, "classes": {}})
    assert _seeds(plain) == expected.seeds
    assert plain["distances"] == pytest.approx(expected.distances, abs=1e-3)
    # In portions, as the page asks, each among its own seeds.
    some = [
        _post(visitor, "gallery/more-like", **{**body, "classes": {}, "first": first, "seeds": 6})
        for first in (0, 6)
    ]
    parts = [pair for each in some for pair in zip(each["distances"], _seeds(each), strict=True)]
    assert [seed for _, seed in sorted(parts)[:4]] == _seeds(plain)
    mixture = {"kind": {"warm": 0.25, "cold": 0.75}}
    mixed = _post(visitor, "gallery/more-like", **{**body, "classes": mixture})
    assert {tuple(each["classes"]) for each in mixed["points"]} == {(0.75, 0.25)}
    sheet = {"model": RUN, "points": [{"point": each} for each in found["points"]]}
    assert visitor.post("/api/gallery/sheet", json=sheet).status_code == 200
    assert "kind" in _error(visitor, "gallery/more-like", {**body, "classes": {"kind": "hot"}})


def test_models_of_several_proportions(visitor: TestClient, world: Studio) -> None:
    tall, square = Size(48, 80), 64
    folder = world.places.models / "several"
    random_model(folder, "fastgan", resolution=tall, buckets=(tall, square))
    (model,) = [each for each in _get(visitor, "models")["models"] if "several" in each["name"]]
    assert model["aspects"] == ["48x80", "64x64"]
    body: dict[str, Any] = {"model": "models/several", "point": {"seed": 3}, "format": "png"}
    for aspect, size in ((None, (80, 48, 3)), ("64x64", (64, 64, 3)), ("3:5", (80, 48, 3))):
        answer = visitor.post("/api/gallery/picture", json={**body, "aspect": aspect})
        assert _pixels(answer.content).shape == size
    expected = impasto.sample(folder, [3], aspect="1:1", device="cpu")[0]
    query = {"model": "models/several", "point": '{"seed": 3}', "format": "png", "aspect": "1:1"}
    answer = visitor.get("/api/gallery/picture", params=query)
    assert (_pixels(answer.content) == expected).all()
    walk = {"model": "models/several", "points": [{"seed": 1}], "aspect": "1:1"}
    accepted(_post(visitor, "gallery/walk", **walk))
    canvas = {**walk, "width": 64, "height": 64}
    assert "leave out the aspect" in _error(visitor, "gallery/canvas", canvas)
    assert "one size" in _error(visitor, "gallery/picture", {**body, "model": RUN, "aspect": "1:1"})
    assert _error(visitor, "gallery/picture", {**body, "aspect": "0:1"}, 422)
    shutil.rmtree(folder)


def test_what_a_training_costs(visitor: TestClient, world: Studio) -> None:
    what: dict[str, Any] = {"collection": "labelled", "recipe": "first_look"}
    what["settings"] = {**SMALL, "training.images": 1000}
    job = _post(visitor, "estimate", **what)
    assert _get(visitor, "estimates") == []
    finish(world, job)
    (found,) = _get(visitor, "estimates")
    assert (found["job"], found["recipe"], found["collection"]) == (
        job["id"],
        "first_look",
        "labelled",
    )
    assert not found["plain"]
    (stage,) = found["stages"]
    assert found["seconds"] == pytest.approx(1000 / stage["images_per_second"])
    plain = _post(visitor, "estimate", collection="labelled", recipe="flagship_32")
    # The page shows on a recipe's card what the job of this title says.
    assert (plain["title"], job["title"]) == (
        "Measure flagship_32 on labelled",
        "Measure first_look on labelled, with changes",
    )
    # As the page offers it, the collection's classes are learned.
    titles = [
        _post(visitor, "estimate", collection="labelled", recipe="flagship_32", labels=each)[
            "title"
        ]
        for each in (["kind"], [])
    ]
    assert titles == [plain["title"], f"{plain['title']}, with changes"]
    numbers = world.jobs.folder / job["id"] / "estimate.json"
    shutil.copy(numbers, world.jobs.folder / plain["id"])
    (world.jobs.folder / plain["id"] / "exit").write_text("0\n")
    assert [each["plain"] for each in _get(visitor, "estimates")] == [True, False]
    numbers.write_text('{"seconds": "long"}')
    assert [each["plain"] for each in _get(visitor, "estimates")] == [True]
    # A job that is removed from the list leaves its numbers.
    before = _get(visitor, "estimates")
    assert visitor.delete(f"/api/jobs/{plain['id']}").json() == {"removed": True}
    assert plain["id"] not in [each["id"] for each in _get(visitor, "jobs")]
    assert _get(visitor, "estimates") == before


def test_all_recipes_that_fit_are_measured_in_a_row(client: TestClient, studio: Studio) -> None:
    paint(studio.places.uploads / "mine", 6)
    impasto.pack(studio.places.uploads / "mine", studio.places.collections / "mine", resolution=32)
    wanted = {
        each["name"]
        for each in _get(client, "recipes", collection="mine")
        if each["misfit"] is None and not each["from_model"]
    }
    assert {"flagship_32", "flow_32"} <= wanted
    # Of flow_32 something else was measured.
    arguments = ["train", "flow_32", "--data=x", "--images=5", "--dry-run", "--numbers=y"]
    changed = studio.jobs.add(
        "estimate", "Measure", arguments, about="mine", files=["estimate.json"]
    )
    numbers: dict[str, Any] = {"seconds": 1, "memory_bytes": None, "stages": []}
    (studio.jobs.folder / changed.id / "estimate.json").write_text(json.dumps(numbers))
    (studio.jobs.folder / changed.id / "exit").write_text("0\n")
    (found,) = _get(client, "estimates")
    assert (found["recipe"], found["plain"]) == ("flow_32", False)
    assert not wanted & {"first_look", "flagship_64", "artgan"}
    jobs = _post(client, "estimates", collection="mine")
    assert {job["title"] for job in jobs} == {f"Measure {name} on mine" for name in wanted}
    for job in jobs:
        accepted(job)
    assert _post(client, "estimates", collection="mine") == []  # they wait already
    assert len(client.delete("/api/estimates").json()) == len(jobs)
    assert [job["state"] for job in _get(client, "jobs")] == ["stopped"] * len(jobs) + ["done"]
    run = studio.places.runs / "00000-elsewhere"
    run.mkdir()
    (run / "run.json").write_text("{}")
    with exclusive(run):  # a terminal trains it
        assert "00000-elsewhere is training" in _error(client, "estimates", {"collection": "mine"})


def test_recipes_that_fit_are_those_that_can_be_trained(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    """As `choose` decides it; of squares, of rectangles and of buckets."""
    paint(tmp_path / "pictures", 6)
    options: dict[str, Any] = {"labels": "kind", "max_upscale": 9}
    sizes: dict[str, Any] = {"small": 32, "both": [32, 64], "tall": "24x32"}
    for name, size in sizes.items():
        impasto.pack(
            tmp_path / "pictures", studio.places.collections / name, resolution=size, **options
        )
    impasto.pack(
        tmp_path / "pictures",
        studio.places.collections / "buckets",
        resolution=32,
        fit="aspect",
        **options,
    )
    for name in [*sizes, "buckets"]:
        place = studio.places.collections / name
        listed = {each["name"]: each for each in _get(client, "recipes", collection=name)}
        for recipe, each in listed.items():
            if each["from_model"]:
                continue
            try:
                choose(recipe, place, {}, labels=[])
                can = True
            except ImpastoError:
                can = False
            says = each["misfit"] or ""
            assert can is ("paints pictures" not in says), (name, recipe, says)
        flagship = _get(client, "flagship", collection=name)
        try:
            config = choose(None, place, {}).config
            assert flagship["misfit"] is None
            assert flagship["name"] == config.recipe
            assert flagship["resolution"] == recorded(config.resolution)
        except ImpastoError:
            assert flagship["misfit"] is not None
    small = {each["name"]: each["misfit"] for each in _get(client, "recipes", collection="small")}
    assert "64 px" in small["first_look"]
    assert "packed at 32 px" in small["first_look"]
    both = {each["name"]: each["misfit"] for each in _get(client, "recipes", collection="both")}
    assert both["artgan"] == "artgan learns the label style, and both has kind"
    assert {each["misfit"] for each in _get(client, "recipes", collection="masters")} == {None}
    assert _get(client, "flagship", collection="masters")["name"] == "flagship_64"


def test_which_label_fields_are_offered(visitor: TestClient, world: Studio, tmp_path: Path) -> None:
    """Those of the recipe or the model; else the first with two classes, which the command gets."""
    kind = {"name": "kind", "classes": 2}

    def offered(collection: str = "labelled", **query: str) -> tuple[list[str], bool]:
        found = _get(visitor, "labels", collection=collection, **query)
        return found["ticked"], found["as_is"]

    (field,) = _get(visitor, "labels", collection="labelled")["fields"]
    collection = Collection.open(world.places.collections / "labelled")
    counts = collection.fields[0].counts
    assert field == {**kind, "fewest": min(counts), "most": max(counts)}
    # The flagship learns none by itself, nor does flagship_32; a run of this collection did.
    for recipe in ("flagship_32", "flow_32"):
        assert offered() == offered(recipe=recipe) == (["kind"], False)
    assert offered(start_from="auto") == (["kind"], False)
    assert offered(start_from=RUN) == (["kind"], True)
    assert offered(start_from="masters") == (["kind"], False)  # whose fields are others
    # artgan learns style, which is not there, and goes on to say so.
    assert offered(recipe="artgan") == ([], True)
    both = label_choices(collection, ["style", "kind"])
    assert (both.ticked, both.as_is) == (["kind"], False)
    polish = _get(visitor, "labels", collection="labelled", recipe="polish_64", start_from=RUN)
    assert (polish["fields"], polish["ticked"], polish["as_is"]) == ([], [], True)
    assert "of the model that it goes on from" in polish["why"]
    # Its networks would refuse a default.
    first_look = _get(visitor, "labels", collection="labelled", recipe="first_look")
    assert (first_look["fields"], first_look["ticked"]) == ([], [])
    assert "learn no classes" in first_look["why"]
    # Every recipe answers, and those that say themselves how long a latent is learn classes, too.
    for name in recipe_names():
        found = _get(visitor, "labels", collection="labelled", recipe=name)
        assert found["fields"] or found["why"], name
    for name in ("flow_32", "flow_64", "flow_latent_256"):
        assert offered(recipe=name) == (["kind"], False)
    # A field of one class is there to be ticked, and not ticked.
    paint(tmp_path / "two", 6)
    shutil.rmtree(tmp_path / "two" / "cold")
    impasto.pack(tmp_path / "two", world.places.collections / "one", resolution=32, labels="kind")
    one = _get(visitor, "labels", collection="one")
    assert ([each["classes"] for each in one["fields"]], one["ticked"]) == ([1], [])
    # The command and the measurement follow.
    what: dict[str, Any] = {"collection": "labelled", "labels": ["kind"], "settings": SMALL}
    for path in ("train", "estimate"):
        job = _post(visitor, path, **what)
        assert "--labels=kind" in job["arguments"]
        visitor.delete(f"/api/jobs/{job['id']}")
    other: dict[str, Any] = {"collection": "labelled", "recipe": "artgan"}
    other["settings"] = {"resolution": 32}
    assert "tick the classes to learn" in _error(visitor, "train", other)
    assert "artgan learns classes: tick a label field" in _error(
        visitor, "train", {**other, "labels": []}
    )


def test_what_cannot_be_trained_is_refused_before_it_has_a_number(
    client: TestClient, studio: Studio
) -> None:
    """In words of the page: no options of a command."""
    paint(studio.places.uploads / "mine", 6)
    impasto.pack(studio.places.uploads / "mine", studio.places.collections / "mine", resolution=32)
    wrong: list[tuple[dict[str, Any], str]] = [
        (
            {"recipe": "first_look"},
            "first_look paints pictures of 64 px, and mine is packed at 32 px",
        ),
        ({"recipe": "artgan", "settings": {"resolution": 32}}, "learns the label style"),
        ({"recipe": "polish_64"}, "choose one to begin with"),
        ({"recipe": "polish_64", "start_from": "auto"}, "choose one to begin with"),
        (
            {"time": "2h", "settings": {"training.images": 100}},
            "How long is chosen, and training.images says it too",
        ),
    ]
    for what, words in wrong:
        for path in ("train", "estimate"):
            said = _error(client, path, {"collection": "mine", **what})
            assert words in said
            assert "--" not in said
    gone = {"collection": "mine", "start_from": "models/gone"}
    assert "no model 'gone'" in _error(client, "train", gone, status=404)
    assert _get(client, "jobs") == []
    # A length of null is none.
    none: dict[str, Any] = {"time": "2h", "settings": {"training.images": None}}
    checked = _post(client, "config/check", collection="mine", recipe="flagship_32", **none)
    assert checked["pictures"]
    job = _post(client, "train", collection="mine", recipe="flagship_32", start_from="auto")
    assert job["run"] == "00000-flagship_32-mine"
    assert "--from=auto" in job["arguments"]
    accepted(job)


def test_variations_and_mixing(visitor: TestClient) -> None:
    body = {"model": RUN, "point": {"seed": 7}, "seeds": [1, 2, 3], "spread": 0.2}
    found = _post(visitor, "gallery/variations", **body)["points"]
    assert len(found) == 3
    sheet = {"model": RUN, "points": [{"point": each} for each in found], "columns": 3}
    assert _pixels(visitor.post("/api/gallery/sheet", json=sheet).content).shape == (32, 96, 3)
    mixed = {"model": "masters", "coarse": [{"seed": 1}], "fine": [{"seed": 2}, {"seed": 3}]}
    answer = visitor.post("/api/gallery/mix", json=mixed)
    assert _pixels(answer.content).shape == (128, 192, 3)
    assert "levels" in _error(visitor, "gallery/mix", {**mixed, "model": RUN})


def test_canvases(visitor: TestClient, world: Studio) -> None:
    """At once as in a job; and what is too large or does not fit is one line."""
    points = [{"seed": seed} for seed in range(6)]
    body = {"model": "masters", "points": points, "width": 192, "height": 128}
    body |= {"columns": 3, "rows": 2}
    made = visitor.post("/api/gallery/canvas/preview", json=body)
    expected = impasto.canvas("masters", 192, 128, range(6), layout=(3, 2), device="cpu")
    assert (_pixels(made.content) == expected).all()
    accepted(_post(visitor, "gallery/canvas", **body))
    large = {**body, "width": 4096, "height": 4096}
    assert "as a job" in _error(visitor, "gallery/canvas/preview", large)
    assert "at least" in _error(visitor, "gallery/canvas/preview", {**body, "width": 32})


def test_walks(visitor: TestClient, world: Studio) -> None:
    points = [{"seed": 1}, {"seed": 2, "classes": {"kind": "warm"}}]
    body = {"model": RUN, "points": points, "seconds": 0.5, "fps": 8}
    answer = visitor.post("/api/gallery/walk/preview", json=body)
    assert Image.open(io.BytesIO(answer.content)).n_frames == 4  # type: ignore[attr-defined]
    shortest = visitor.post("/api/gallery/walk/preview", json={**body, "seconds": 5e-324})
    assert shortest.status_code < 500  # its frames a second are no number
    job = _post(visitor, "gallery/walk", **body, format="webp", loop=True)
    finish(world, job)
    made = visitor.get(f"/api/jobs/{job['id']}/files/walk.webp")
    assert Image.open(io.BytesIO(made.content)).n_frames == 4  # type: ignore[attr-defined]
    assert "sandbox" in made.headers["content-security-policy"]
    wrong = {**body, "points": [{"favourite": "nobody"}]}
    before = len(_get(visitor, "jobs"))
    assert _error(visitor, "gallery/walk", wrong)
    assert len(_get(visitor, "jobs")) == before


def test_directions(visitor: TestClient, world: Studio) -> None:
    assert not _get(visitor, "gallery/directions", model=RUN)["found"]
    job = _post(visitor, "gallery/directions", model=RUN)
    few = ["--samples=64", "--components=1"]
    finish(world, {**job, "arguments": ["directions", *few, *job["arguments"][1:]]})
    found = _get(visitor, "gallery/directions", model=RUN)
    names = [each["name"] for each in found["directions"]]
    assert "warmth" in names
    pictures = [
        visitor.post(
            "/api/gallery/picture",
            json={"model": RUN, "point": {"seed": 1, "edits": edits}, "format": "png"},
        )
        for edits in ({}, {"warmth": 3.0})
    ]
    assert pictures[0].content != pictures[1].content
    wrong = {"model": RUN, "point": {"seed": 1, "edits": {"warmness": 1}}}
    assert "warmth" in _error(visitor, "gallery/picture", wrong)


@pytest.mark.parametrize("form", ["hub", "onnx"])
def test_export(visitor: TestClient, form: str, world: Studio) -> None:
    job = _post(visitor, "share/export", model=RUN, form=form, name="mine")
    finish(world, job)
    if form == "hub":
        assert "models/mine" in [each["name"] for each in _get(visitor, "models")["models"]]
        files = {path.name for path in (world.places.models / "mine").iterdir()}
        assert {"model.json", "generator.safetensors", "README.md"} <= files
        assert "already" in _error(
            visitor, "share/export", {"model": RUN, "form": form, "name": "mine"}
        )
    else:
        made = visitor.get(f"/api/jobs/{job['id']}/files/mine.onnx?download=true")
        assert made.headers["content-disposition"].startswith("attachment")
        assert len(made.content) > 1000


def test_names_of_exports_are_new(client: TestClient) -> None:
    """Also while the job that makes a model waits; files are in folders of their own."""
    body = {"model": "masters", "form": "folder"}
    for name in ("masters", "paintings"):
        assert "comes with impasto" in _error(client, "share/export", {**body, "name": name})
        assert _post(client, "share/export", model="masters", form="html", name=name)["files"]
    first = _post(client, "share/export", **body, name="mine")
    twice = {**body, "form": "hub", "name": "mine"}
    assert "'mine' is being exported already" in _error(client, "share/export", twice)
    assert _post(client, "share/export", model="masters", form="onnx", name="mine")["files"]
    client.post(f"/api/jobs/{first['id']}/stop")
    assert _post(client, "share/export", **twice)["state"] == "waiting"


def test_reports_have_an_origin_of_their_own(visitor: TestClient, world: Studio) -> None:
    assert visitor.get("/api/runs/00000-small/report").status_code == 404
    job = _post(visitor, "runs/00000-small/report")
    finish(world, job)
    page = visitor.get("/api/runs/00000-small/report")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-same-origin" not in policy
    assert "connect-src data: blob:" in policy
    assert _get(visitor, "runs/00000-small")["has_report"]


def test_canvases_and_own_pictures(visitor: TestClient, world: Studio) -> None:
    points = [{"seed": 1}, {"seed": 2}]
    job = _post(
        visitor, "gallery/canvas", model="masters", points=points, width=130, height=64, variety=0.5
    )
    finish(world, job)
    made = visitor.get(f"/api/jobs/{job['id']}/files/canvas.png")
    assert _pixels(made.content).shape == (64, 130, 3)
    paths = ["cold/000.png", "warm/001.png"]
    body: dict[str, Any] = {"model": RUN, "upload": "paintings", "paths": paths}
    job = _post(visitor, "gallery/invert", **body)
    accepted(job)
    assert "points" in _error(visitor, f"gallery/inverted/{job['id']}", status=404)
    file = world.jobs.folder / job["id"] / "points.safetensors"  # as the command would leave it
    run = world.places.runs / "00000-small"
    impasto.keep(run, "found", 3)
    impasto.favourites(run)["found"].save(file)
    found = _get(visitor, f"gallery/inverted/{job['id']}")["points"]
    sheet = {"model": RUN, "points": [{"point": each} for each in found]}
    assert visitor.post("/api/gallery/sheet", json=sheet).status_code == 200
    assert _post(visitor, f"jobs/{job['id']}/stop")["state"] == "stopped"
    body["paths"] = ["../labelled/collection.json"]
    assert _error(visitor, "gallery/invert", body, 404)


def test_jobs_are_commands_that_there_are(visitor: TestClient) -> None:
    """Those that take too long to be run here: each option is one that the command takes."""
    training: dict[str, Any] = {
        "collection": "labelled",
        "recipe": "flagship_32",
        "settings": {"training.batch": 8, "labels": ["kind"]},
        "labels": ["kind"],
        "start_from": RUN,
        "device": "cpu",
    }
    wanted = [
        ("train", training),
        ("estimate", training),
        ("train", {"collection": "masters", "time": "30m"}),
        ("runs/00000-small/resume", {"images": 128}),
        ("runs/00000-small/resume", {}),
        ("evaluate", {"model": f"{RUN}/best", "pictures": 100}),
        ("evaluate", {"model": RUN, "pictures": 100, "all_checkpoints": True}),
        ("compare", {"runs": ["00000-small"] * 2, "collection": "labelled", "pictures": 99}),
        ("share/export", {"model": RUN, "form": "html", "name": "page", "half": True}),
        ("share/export", {"model": RUN, "form": "folder", "name": "f"}),
        ("share/export", {"model": RUN, "form": "space", "name": "s", "licence": "mit"}),
        ("gallery/walk", {"model": RUN, "points": [{"seed": 1}], "loop": True}),
        ("gallery/directions", {"model": RUN}),
    ]
    for path, body in wanted:
        if "best" in str(body.get("model")):
            assert "no best checkpoint" in _error(visitor, path, body)
            continue
        job = _post(visitor, path, **body)
        accepted(job)
        assert _post(visitor, f"jobs/{job['id']}/stop")["state"] == "stopped"


def test_only_one_job_trains_a_run(visitor: TestClient) -> None:
    _post(visitor, "runs/00000-small/resume", images=128)
    (run,) = _get(visitor, "runs")["runs"]
    assert run["state"] == "waiting"
    assert "already" in _error(visitor, "runs/00000-small/resume", {"images": 256})
    assert _post(visitor, "runs/00000-small/stop")["state"] == "stopped"
    assert _get(visitor, "runs")["runs"][0]["state"] == "finished"


def test_a_run_whose_collection_has_changed_does_not_go_on(
    visitor: TestClient, world: Studio, tmp_path: Path
) -> None:
    run, collection = world.places.runs / "00000-small", world.places.collections / "labelled"
    kept = shutil.copytree(collection, tmp_path / "kept")
    jobs = _get(visitor, "jobs")
    try:
        _post(visitor, "collections/labelled/forget", pictures=["warm/001.png"])
        refusal = _error(visitor, "runs/00000-small/resume", {"images": 128})
        assert f"labelled has changed since {run} began" in refusal
        shutil.rmtree(collection)
        assert "no longer" in _error(visitor, "runs/00000-small/resume", {"images": 128})
    finally:
        shutil.rmtree(collection, ignore_errors=True)
        shutil.copytree(kept, collection)
    assert _get(visitor, "jobs") == jobs
    job = _post(visitor, "runs/00000-small/resume", images=128)
    assert _post(visitor, f"jobs/{job['id']}/stop")["state"] == "stopped"


def test_several_tabs_at_once(visitor: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of one name would be one run; two jobs of a run would train it twice."""
    add = Jobs.add

    def slowly(self: Jobs, *arguments: Any, **options: Any) -> Job:
        time.sleep(0.02)
        return add(self, *arguments, **options)

    monkeypatch.setattr(Jobs, "add", slowly)
    what = {"collection": "masters", "recipe": "first_look", "time": "2h"}
    with ThreadPoolExecutor(6) as tabs:
        begun = list(tabs.map(lambda _: _post(visitor, "train", **what), range(6)))
        resume = "/api/runs/00000-small/resume"
        again = list(tabs.map(lambda _: visitor.post(resume, json={"images": 128}), range(6)))
    assert len({job["run"] for job in begun}) == 6
    assert sorted(answer.status_code for answer in again) == [200, *[400] * 5]
    for job in [*begun, *(answer.json() for answer in again if answer.status_code == 200)]:
        _post(visitor, f"jobs/{job['id']}/stop")


def test_the_closest_training_pictures(visitor: TestClient) -> None:
    body = {"model": RUN, "points": [{"seed": 1}, {"seed": 2}]}
    found = _post(visitor, "closest", **body)
    assert found["collection"] == "labelled"
    for each in found["nearest"]:
        assert 0 <= each["picture"] < 30
        assert 0 < each["distance"] < 2
        assert 0 <= each["nearer_than"] <= 1
        with Image.open(io.BytesIO(base64.b64decode(each["image"]))) as image:
            assert (image.format, image.size) == ("WEBP", (32, 32))
        rows = _get(visitor, "collections/labelled/pictures", start=each["picture"], count=1)[
            "rows"
        ]
        assert rows[0]["source"]["path"] == each["source"]["path"]
