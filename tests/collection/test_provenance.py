"""What runs and models remember of their collection, and what was taken out of it."""

import csv
import shutil
from pathlib import Path

import pytest

from impasto.collection import Collection, PackOptions, pack
from impasto.collection.provenance import in_words, provenance, taken_out, taken_out_since
from impasto.collection.removal import forget
from impasto.config import read_record
from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.sampling.model import MODEL_FILE, CollectionRecord, ModelRecord, find_model
from impasto.training import resume, train
from tests.helpers.command_line import Say
from tests.helpers.pictures import paint
from tests.helpers.training import small


def forget_on(collection: Path, *days: str) -> None:
    """As if a picture had been taken out on each of these days; only the table of them."""
    with (collection / "forgotten.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "sha256", "when"])
        table.writerows(
            [f"{n}.png", "0" * 64, f"{day}T12:00:00+00:00"] for n, day in enumerate(days)
        )


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of pictures by 30 artists."""
    folder = tmp_path_factory.mktemp("provenance")
    paint(folder / "pictures", 30)
    lines = ["file,style,artist,licence"]
    for index in range(30):
        kind = "warm" if index % 2 else "cold"
        licence = ("public domain", "CC0", "")[index % 3 if index > 4 else 0]
        lines.append(f"{kind}/{index:03d}.png,{kind},artist {index:02d},{licence}")
    (folder / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(resolution=32, name="small", labels=("style",))
    pack(folder / "pictures", folder / "collection", options)
    return folder / "collection"


@pytest.fixture
def collection(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "collection"))


def test_what_is_remembered(collection: Path) -> None:
    found = provenance(Collection.open(collection))
    assert found["kind"] == "a folder with a table"
    assert found["licences"] == {"public domain": 11, "CC0": 8, "unknown": 8}
    assert len(found["artists"]) == 21
    assert found["artists"]["7 others"] == 7
    assert sum(found["artists"].values()) == 27, (
        "those that are trained on, without the held-out ones"
    )
    assert found["forgotten"] == {}
    (collection / "duplicates.csv").write_text(
        "group,path,kept,kind,distance,row\n0,a,1,exact,0,0\n0,b,0,exact,0,0\n0,c,0,near,2,1\n"
    )
    forget_on(collection, "2026-11-22", "2026-12-01", "2026-11-22")
    found = provenance(Collection.open(collection))
    assert found["duplicates"] == 2
    assert found["forgotten"] == {"2026-11-22": 2, "2026-12-01": 1}
    assert in_words({**found, "artists": {}}) == [
        "Licences, by source pictures trained on: public domain (11), unknown (8), CC0 (8).",
        "2 source pictures were excluded as copies of others.",
        "3 pictures were taken out of this collection from 2026-11-22 to 2026-12-01 (impasto forget).",
    ]
    # Of a run that counted held-out pictures, too, and of one from before there was any of this.
    assert in_words({"sources": 27, "licences": {"CC0": 30}}) == [
        "Licences, by source pictures, those held out from training among them: CC0 (30)."
    ]
    assert in_words({"name": "small"}) == []


def test_a_table_with_too_few_rows_is_one_line(collection: Path) -> None:
    lines = (collection / "sources.csv").read_text().splitlines(keepends=True)
    (collection / "sources.csv").write_text("".join(lines[:-2]))
    with pytest.raises(ImpastoError, match=r"sources\.csv has 28 rows and should have 30"):
        provenance(Collection.open(collection))


def test_nothing_is_said_of_artists_that_nobody_knows(labelled: Collection) -> None:
    found = provenance(labelled)
    assert found["artists"] == {}
    assert found["licences"] == {"unknown": 27}


def test_what_was_taken_out_since(collection: Path) -> None:
    before = {"name": "small"}
    forget_on(collection, "2026-11-22")
    now = Collection.open(collection)
    assert taken_out_since(now, before) == taken_out({"2026-11-22": 1})
    assert taken_out_since(now, {"name": "other"}) == ""
    assert taken_out_since(now, {**before, **provenance(now)}) == ""
    forget_on(collection, "2026-11-22", "2026-11-22", "2026-11-23")
    later = taken_out_since(Collection.open(collection), {**before, "forgotten": {"2026-11-22": 1}})
    assert later == taken_out({"2026-11-22": 1, "2026-11-23": 1})


def test_a_run_and_its_collection_after_pictures_were_taken_out(
    collection: Path, tmp_path: Path, say: Say
) -> None:
    config = small("gangogh", labels=["style"], training__balance=None, training__images=16)
    run = train(config, Collection.open(collection), out=tmp_path / "runs", device="cpu")
    known = read_json(run / "run.json", "run")["collection"]
    assert known["licences"]["CC0"] == 8
    record = read_record(find_model(run) / MODEL_FILE, "model", ModelRecord).collection
    assert record.kind == "a folder with a table"
    assert record.artists == known["artists"]
    assert (find_model(run) / MODEL_FILE).stat().st_size < 10_000

    model = tmp_path / "model"
    code, out, _ = say("export", str(run), str(model))
    assert code == 0
    assert "learned from small, a folder with a table: 27 pictures from 27 source pictures" in out
    assert (
        "Licences, by source pictures trained on: public domain (11), unknown (8), CC0 (8)." in out
    )
    assert "7 others (7)." in out

    code, out, _ = say("report", str(run))
    assert code == 0
    assert "taken out" not in out
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Licences, by source pictures trained on: public domain (11)" in page

    forgotten = forget(collection, ["warm/001.png", "cold/002.png", "warm/003.png"])
    assert len(forgotten.asked_for) == 3
    day = forgotten.collection.forgotten_table()[0]["when"][:10]
    today = taken_out({day: 3})
    code, out, _ = say("report", str(run))
    assert code == 0
    said = f"After this run began, {today}; it has seen them still"
    assert said in out.splitlines()
    assert said in (run / "report.html").read_text(encoding="utf-8")
    code, _, error = say("resume", str(run))
    assert code == 2
    assert f"has changed since {run} began ({today}); restore it" in error
    assert error.count("\n") == 1
    evaluate = ("evaluate", "--pictures", "4", "--per-class", "0", "--device", "cpu")
    code, out, error = say(*evaluate, str(model), "--data", str(collection))
    assert code == 0, error
    assert f"after the model learned from it, {today}" in out

    # A later run says that they were there, and is not told anew of what it never saw.
    again = train(config, Collection.open(collection), out=tmp_path / "runs", device="cpu")
    assert read_json(again / "run.json", "run")["collection"]["forgotten"] == {day: 3}
    record = read_record(find_model(again) / MODEL_FILE, "model", ModelRecord).collection
    assert record.forgotten == {day: 3}
    code, out, _ = say("report", str(again))
    assert code == 0
    assert "After this run began" not in out
    assert f"{today}." in (again / "report.html").read_text(encoding="utf-8")


def test_the_start_of_training_says_what_was_taken_out(
    collection: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="impasto")
    forget_on(collection, "2026-11-22")
    config = small("gangogh", labels=["style"], training__balance=None, training__images=16)
    run = train(config, Collection.open(collection), out=tmp_path, device="cpu")
    told = "1 picture was taken out of this collection on 2026-11-22 (impasto forget)"
    assert told in caplog.messages
    caplog.clear()
    resume(run)
    assert told in caplog.messages


def test_models_from_before_still_open(tmp_path: Path) -> None:
    old = {
        "name": "x",
        "hash": "0",
        "count": 1,
        "sources": 1,
        "fit": "crop",
        "licences": {"CC0": 1},
    }
    record = CollectionRecord.model_validate(old)
    assert in_words(record.model_dump()) == ["Licences, by source pictures trained on: CC0 (1)."]
