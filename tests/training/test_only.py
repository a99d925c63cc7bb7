"""Training on a part of a collection: what it shows, remembers, resumes, refuses and is measured by."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import impasto
from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection, open_or_pack
from impasto.collection.provenance import provenance
from impasto.config import read_record
from impasto.errors import ImpastoError
from impasto.evaluation.record import METRICS_FILE, read_rows
from impasto.evaluation.reference import collection_features, rows_of
from impasto.evaluation.subjects import SampleCounts, of_model
from impasto.reporting import page
from impasto.sampling import Model, find_model
from impasto.sampling.model import MODEL_FILE, ModelRecord
from impasto.sampling.painter import Painter
from impasto.training import evaluation, resume, train
from impasto.training.choosing import choose
from impasto.training.run_folder import find_collection
from tests.helpers.sketches import sketch
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, session, small

CUBIST = "style = 'Cubism'"


def _styles(collection: Collection, rows: np.ndarray) -> list[str]:
    column = collection.field("style")
    names = collection.fields[column].classes
    return [names[k] if k >= 0 else "" for k in collection.labels[rows, column]]


def test_a_part_has_the_pictures_of_which_the_condition_is_true(labelled: Collection) -> None:
    part = labelled.only("style=Cubism")
    assert part.condition == CUBIST
    for whole, mine in (
        (labelled.train_indices, part.train_indices),
        (labelled.heldout_indices, part.heldout_indices),
    ):
        cubist = np.array(_styles(labelled, whole)) == "Cubism"
        assert np.array_equal(mine, whole[cubist])
    assert len(part) == len(part.indices) == _styles(labelled, labelled.indices).count("Cubism")
    style, genre = part.fields
    assert dict(zip(style.classes, style.counts, strict=True)) == {
        "Cubism": len(part.train_indices),
        "Rococo": 0,
        "Ukiyo-e": 0,
    }
    column = labelled.labels[part.train_indices, part.field("genre")]
    assert list(genre.counts) == [(column == k).sum() for k in range(len(genre.classes))]
    assert part.content_hash != labelled.content_hash
    assert repr(part).startswith("<Collection labelled (only style = 'Cubism'): ")
    assert np.array_equal(rows_of(part, "all", None), part.indices)
    part.verify()


def test_a_condition_knows_the_columns_of_the_sources(labelled: Collection) -> None:
    warm = labelled.only("path like 'warm/%' and not style = 'Cubism'")
    paths = [row["path"] for row in labelled.source_table()]
    there = [
        row
        for row in labelled.indices.tolist()
        if paths[labelled.sources[row]].startswith("warm/")
        and _styles(labelled, np.array([row])) not in (["Cubism"], [""])
    ]
    assert warm.indices.tolist() == there
    # Unknown classes are chosen by `is null` only.
    unknown = labelled.only("style is null")
    assert set(_styles(labelled, unknown.indices)) == {""}


def test_a_part_stays_one_elsewhere(labelled: Collection, tmp_path: Path) -> None:
    part = labelled.only(CUBIST)
    for other in (pickle.loads(pickle.dumps(part)), part.at(32), labelled.only("style=Cubism")):
        assert (other.condition, other.content_hash) == (part.condition, part.content_hash)
    moved = Path(shutil.copytree(labelled.path, tmp_path / "moved"))
    assert Collection.open(moved).only(CUBIST).content_hash == part.content_hash
    both = part.only("genre=landscape")
    assert both.condition == "(style = 'Cubism') and (genre = 'landscape')"
    assert set(both.indices) == set(part.indices) & set(labelled.only("genre=landscape").indices)
    assert labelled.only(None) is labelled
    # A resolution that the pictures are averaged down to, from an open part.
    assert open_or_pack(part, 16).content_hash == part.content_hash
    # Another text is another part, and so are other pictures under the same text.
    assert labelled.only(f"{CUBIST} and path is not null").content_hash != part.content_hash
    table = (moved / "sources.csv").read_text().splitlines()
    (moved / "sources.csv").write_text("\n".join(table).replace("warm/", "hot/"))
    before = labelled.only("path like 'cold/%' or path = 'warm/001.png'").content_hash
    with pytest.raises(ImpastoError, match=r"no picture has path 'warm/001.png'"):
        Collection.open(moved).only("path like 'cold/%' or path = 'warm/001.png'")
    assert before != Collection.open(moved).only("path like 'cold/%'").content_hash


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("style=Cubsim", "no picture has style 'Cubsim'; did you mean Cubism?"),
        ("style in ('Cubism', 'rococo')", "no picture has style 'rococo'; did you mean Rococo?"),
        ("stile=Cubism", "unknown column 'stile'; did you mean style or title?"),
        ("Cubism", "unknown column 'Cubism'; there is genre, height, "),
        ("year = 1900", "unknown column 'year'; "),  # blank for all pictures
        ("width > 9000", "width > 9000 is true of none of the 27 training pictures of labelled"),
        ("style = Cubism and genre = 'marina'", "cannot read the condition at character 9: "),
        ("", "the condition is empty"),
    ],
)
def test_a_wrong_condition_is_one_line(
    condition: str, message: str, labelled: Collection, tmp_path: Path
) -> None:
    with pytest.raises(ImpastoError) as raised:
        choose(small(), labelled, {}, only=condition)
    assert str(raised.value).startswith(message.removesuffix(" or title?"))
    assert "\n" not in str(raised.value)


def test_a_class_may_be_written_without_quotes(tmp_path: Path, labelled: Collection) -> None:
    copy = Path(shutil.copytree(labelled.path, tmp_path / "copy"))
    description = json.loads((copy / "collection.json").read_text())
    names = iter(["Art Nouveau (Modern)", "Children's and Others", "Ukiyo-e"])
    for each in description["fields"][0]["classes"]:
        each["name"] = next(names)
    (copy / "collection.json").write_text(json.dumps(description))
    renamed = Collection.open(copy)
    for name in ("Art Nouveau (Modern)", "Children's and Others"):
        part = renamed.only(f" style = {name} ") if "'" not in name else None
        quoted = name.replace("'", "''")
        whole = renamed.only(f"style = '{quoted}'")
        assert set(_styles(renamed, whole.indices)) == {name}
        assert part is None or part.content_hash == whole.content_hash


def test_provenance_is_that_of_the_part(labelled: Collection) -> None:
    part = labelled.only(CUBIST)
    assert provenance(part)["licences"] == {"unknown": len(part.train_indices)}
    assert provenance(labelled)["licences"] == {"unknown": len(labelled.train_indices)}


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_on_a_part_resumes_bit_for_bit(
    steps: int, labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = choose(small("gangogh", labels=["genre"]), labelled, {}, only="style=Cubism")
    whole = train(choice.config, choice.collection, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(StoppedByTest):
            train(choice.config, choice.collection, run=tmp_path / "died", device="cpu")
    moved = Path(shutil.copytree(labelled.path, tmp_path / "moved"))
    resume(tmp_path / "died", data=str(moved) if steps else None)
    assert fingerprint(tmp_path / "died") == fingerprint(whole)
    # And it is the training on these pictures alone.
    other = train(choice.config, labelled, out=tmp_path / "other", device="cpu")
    assert (
        fingerprint(other)["generator.safetensors"] != fingerprint(whole)["generator.safetensors"]
    )


def test_only_pictures_of_the_part_are_shown(labelled: Collection) -> None:
    part = labelled.only(CUBIST)
    pictures = session(small(), part).pictures
    shown = part.train_indices[pictures.order.places(0, 2 * len(pictures))]
    assert sorted(shown.tolist()) == sorted([*part.train_indices.tolist()] * 2)
    images, _ = pictures.shown(0, len(pictures))
    expected = part.images(shown[: len(pictures)]).astype(np.float32) / 127.5 - 1
    assert np.allclose(images.permute(0, 2, 3, 1).numpy(), expected, atol=1e-6)


@pytest.fixture
def run(labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on cubist pictures, evaluated on the way."""
    monkeypatch.setattr(evaluation, "load_network", sketch)
    config = small(evaluation__every=64, evaluation__pictures=24)
    part = labelled.only(CUBIST)
    return train(config, part, run=tmp_path / "run", device="cpu")


def test_a_run_remembers_its_part(run: Path, labelled: Collection) -> None:
    part = labelled.only(CUBIST)
    known = json.loads((run / "run.json").read_text())["collection"]
    assert (known["only"], known["hash"]) == (CUBIST, part.content_hash)
    assert known["count"] == len(part.train_indices)
    record = read_record(find_model(run) / MODEL_FILE, "model", ModelRecord)
    assert (record.collection.only, record.collection.hash) == (CUBIST, part.content_hash)
    (row,) = read_rows(run / METRICS_FILE)
    assert row.collection.name == "labelled (only style = 'Cubism')"
    assert row.collection.hash == part.content_hash
    assert row.reference.pictures == len(part.train_indices)
    report = page.write_report(run).page.read_text()
    assert "A part of the collection: only style = &#39;Cubism&#39;." in report


def test_what_reads_a_runs_collection_is_given_its_part(
    run: Path, labelled: Collection, tmp_path: Path
) -> None:
    part = labelled.only(CUBIST)
    record = read_record(find_model(run) / MODEL_FILE, "model", ModelRecord)
    moved = Path(shutil.copytree(labelled.path, tmp_path / "moved"))
    model = Path(shutil.copytree(find_model(run), tmp_path / "model"))
    for path, data in ((run, None), (run, moved), (run, labelled), (model, moved)):
        assert find_collection(path, record, data).content_hash == part.content_hash
    assert not of_model(Painter.of(Model.load(run)), part, SampleCounts(4, 0)).notes
    # Another collection is taken as it is, also where it has such pictures.
    other = labelled.only("genre=landscape")
    assert find_collection(run, record, other).condition == other.condition
    (note,) = of_model(Painter.of(Model.load(run)), labelled, SampleCounts(4, 0)).notes
    assert "but from labelled (only style = 'Cubism'): " in note


def test_it_is_evaluated_against_its_part_or_the_whole(
    run: Path, labelled: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("impasto.api.judging.load_networks", lambda *_, **__: [sketch()])
    settings: dict[str, Any] = {"pictures": 24, "per_class": 0, "device": "cpu"}
    for data in (None, labelled.path):
        (part,) = impasto.evaluate(run, data, out=tmp_path / "1", **settings).outcomes
        assert part.row.collection.hash == labelled.only(CUBIST).content_hash
        (whole,) = impasto.evaluate(run, data, whole=True, out=tmp_path / "1", **settings).outcomes
        assert whole.row.collection.hash == labelled.content_hash
        assert whole.row.reference.pictures == len(labelled.train_indices)


def test_another_part_is_refused_under_the_same_name(run: Path, labelled: Collection) -> None:
    config = small(evaluation__every=64, evaluation__pictures=24)
    for asked, words in (
        (labelled, "not on the whole collection"),
        (labelled.only("style=Rococo"), "not on only style = 'Rococo'"),
    ):
        with pytest.raises(ImpastoError, match=f"is a run on only {CUBIST}, {words}; ") as raised:
            train(config, asked, run=run, device="cpu")
        assert "\n" not in str(raised.value)
    assert train(config, labelled.only(CUBIST), run=run, device="cpu") == run


def test_a_changed_table_is_noticed(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(labelled.path, tmp_path / "copy"))
    part = Collection.open(copy).only("path like 'warm/%'")
    stop_after(monkeypatch, 3)
    with pytest.raises(StoppedByTest):
        train(small(), part, run=tmp_path / "run", device="cpu")
    monkeypatch.undo()
    text = (copy / "sources.csv").read_text()
    (copy / "sources.csv").write_text(text.replace("warm/001.png", "cold/001.png"))
    with pytest.raises(ImpastoError, match="has changed since"):
        resume(tmp_path / "run")


def test_a_reference_is_cached_by_its_part(labelled: Collection) -> None:
    network = sketch()
    part = labelled.only(CUBIST)
    (whole,) = collection_features([network], labelled)
    (mine,) = collection_features([network], part)
    (again,) = collection_features([network], part)
    assert mine.count == len(part.train_indices) < whole.count
    places = np.searchsorted(labelled.train_indices, part.train_indices)
    assert np.allclose(mine.sample.features, whole.sample.features[places], atol=1e-4)
    assert np.array_equal(again.sample.features.numpy(), mine.sample.features.numpy())


def test_a_model_of_a_part_is_a_start(run: Path, labelled: Collection, tmp_path: Path) -> None:
    made = train(small(), labelled, run=tmp_path / "next", device=str(CPU), start_from=run)
    started = json.loads((made / "run.json").read_text())["started_from"]
    assert started["collection"] == "labelled (only style = 'Cubism')"
    assert json.loads((made / "run.json").read_text())["collection"]["only"] is None
