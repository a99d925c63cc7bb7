"""`impasto export --as hub`: the folder, and what its card says."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import impasto
from impasto.config import NetworkConfig
from impasto.errors import ImpastoError
from impasto.exporting.card import Card, evaluations_of
from impasto.exporting.hub_folder import alone, write_hub_folder
from impasto.exporting.licences import check_licence
from impasto.exporting.markdown import plain, table
from impasto.formatting import one_line
from impasto.sampling.model import Model
from impasto.sampling.records import ModelRecord
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests.helpers.markdown import shown
from tests.helpers.records import record_of

RUN = Path(__file__).parents[1] / "data" / "version-0.1.0" / "run"
HOSTILE = (
    "</td><script>alert(1)</script>",
    "a | b | c",
    "![x](http://evil.example/x.png) [y](javascript:alert(1)) <http://evil.example>",
    "`code` **bold** _thin_ ~~gone~~ $$x$$ \\(y\\) &lt;b&gt; :smile: www.evil.example @someone",
    "two\n\n# lines\r\n---\nlicense: mit",
    'say "yes": {no: [1]}  # comment',
    "\u202egnorw",
)


def hostile_record() -> ModelRecord:
    """A record in which every text is hostile."""
    record = record_of({HOSTILE[1]: HOSTILE, "genre": ("b", "c")}, [(0, 1), (1, -1)], [3, 400])
    collection = record.collection.model_copy(
        update={
            "name": HOSTILE[4],
            "kind": HOSTILE[0],
            "only": HOSTILE[2],
            "licences": dict.fromkeys(HOSTILE, 2),
            "artists": dict.fromkeys(HOSTILE, 1),
        }
    )
    return record.model_copy(update={"collection": collection, "recipe": HOSTILE[3]})


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    words, elements = shown("\n".join(["", "", *table(("a", "b"), [(plain(text), "x")])]))
    assert words.split() == ["a", "b", *one_line(text).split(), "x"]
    assert elements == {"table", "thead", "tbody", "tr", "th", "td"}
    words, elements = shown(f"Words {plain(text)} words.")
    assert " ".join(words.split()) == " ".join(f"Words {one_line(text)} words.".split())
    assert elements == {"p"}


def test_hostile_names_do_nothing_in_a_card(tmp_path: Path) -> None:
    card = Card(hostile_record(), "Caption.").text()
    path = tmp_path / "README.md"
    path.write_text(card, encoding="utf-8")
    read = ModelCard.load(path)  # as the hub's own package reads it
    assert read.data.to_dict() == {
        "license": "unknown",
        "library_name": "impasto",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["impasto", "gan", "art", "image-generation"],
    }
    words, elements = shown(read.text)
    assert elements == {
        *("h1", "h2", "p", "img", "pre", "code", "ul", "li"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    for text in HOSTILE:
        assert " ".join(one_line(text).split()) in " ".join(words.split())
    assert "![Pictures painted by this model](pictures.png)" in read.text
    assert read.text.count("http") == len(re.findall("http&#58;", read.text))


def test_a_folder_for_the_hub(tmp_path: Path) -> None:
    source = random_model(tmp_path / "lake", "fastgan")
    code, out = invoke("export", source, tmp_path / "card", "--as", "hub", "--licence", "cc0-1.0")
    assert code == 0
    folder = tmp_path / "card"
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "config.json", "model.json", "generator.safetensors", "pictures.png"),
    }
    assert (Model.load(folder).sample([3]) == Model.load(source).sample([3])).all()
    config = json.loads((folder / "config.json").read_text())
    assert config["library_name"] == "impasto"
    assert config["generator"]["network"] == "fastgan"
    record = json.loads((folder / "model.json").read_text())
    assert config["weights_sha256"] == record["weights_sha256"]
    # Eight seeds a row, and a row a class, with its name beside it.
    width, height = Image.open(folder / "pictures.png").size
    assert (width > 8 * 32, height) == (True, 3 * 32)
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "cc0-1.0"
    assert card.data.eval_results is None
    assert "a row for each class of style" in card.text
    assert "It was not evaluated" in card.text
    assert "has named no licence" not in card.text
    assert "hf:OWNER/NAME --seeds 0-63 --class style=Cubism" in card.text
    code, out = invoke("export", source, folder, "--as", "hub")
    assert (code, out) == (
        2,
        f"{folder} exists already; choose another name or remove it first",
    )


def test_a_record_for_others_names_no_files() -> None:
    place = "https://intranet.example/decoder.safetensors"
    options = {"network": "taesd", "decoder": place, "decoder_sha256": "0" * 64}
    autoencoder = NetworkConfig.model_validate(options)
    record = hostile_record().model_copy(update={"autoencoder": autoencoder})
    known = alone(record).autoencoder
    assert known is not None
    assert known.model_dump() == options | {"decoder": None}
    assert alone(hostile_record()) == hostile_record()


def test_the_pictures_of_a_model_without_classes(tmp_path: Path) -> None:
    write_hub_folder(random_model(tmp_path / "lake", "dcgan"), tmp_path / "card")
    assert Image.open(tmp_path / "card" / "pictures.png").size == (8 * 32, 4 * 32)
    assert "Seeds 0 to 31, none left out." in (tmp_path / "card" / "README.md").read_text()


def test_what_a_card_says_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "anna-runs" / "00000-lake"
    shutil.copytree(RUN, run)
    made = json.loads((run / "run.json").read_text())
    made["command"] = made["collection"]["path"] = "/home/anna/pictures"
    made["machine"]["node"] = "annas-laptop"
    made["started_from"] = {
        "model": "annas-first",
        "recipe": "gantor",
        "images_seen": 5000,
        "collection": "shore",
    }
    (run / "run.json").write_text(json.dumps(made))
    with (run / "stats.jsonl").open("a") as file:  # of later than its newest checkpoint
        file.write('{"images_seen": 48, "seconds": 7000000}\n{"images_seen": null}\n')
    record = write_hub_folder(run, tmp_path / "card", repository="lake/lake")
    text = (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    for path in (tmp_path / "card").iterdir():  # nothing of the machine or the disk
        assert not re.search(b"(?i)anna|/home|/tmp", path.read_bytes()), path.name
    card = ModelCard.load(tmp_path / "card" / "README.md")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # Of two rows, that of this checkpoint's weights.
    source = json.loads(next(run.glob("checkpoints/*/model.json")).read_text())
    (row,) = (r for r in rows if r["subject"]["weights_sha256"] == source["weights_sha256"])
    results = {each.metric_name: each for each in card.data.eval_results or []}
    scores = {each["name"]: each["value"] for each in row["scores"] if each["cls"] is None}
    scores = {name: value for name, value in scores.items() if not name.startswith("accuracy")}
    assert {name: each.metric_value for name, each in results.items()} == pytest.approx(
        {name: value for name, value in scores.items() if value is not None}, rel=1e-5
    )
    assert {each.dataset_name for each in results.values()} == {row["collection"]["name"]}
    assert results["fd-lite0"].metric_type == "fd"  # not FID, which is by another network
    for sentence in row["memorisation"]["sentences"]:
        assert sentence[1:] in shown(text)[0]
    assert f"| Images seen, repetitions included | {record.images_seen:,} |" in text
    assert "| Started from | a model of recipe gantor after 5,000 images of shore |" in text
    assert "| Time | 1 s |" in text
    assert "| Machine | cpu" in text
    assert 'impasto.Model.load("hf:lake/lake")' in text


def test_scores_of_other_weights_are_not_on_a_card() -> None:
    assert evaluations_of(RUN, "0" * 64) == []
    assert evaluations_of(RUN / "nowhere", "0" * 64) == []


def test_a_licence_of_another_name(tmp_path: Path) -> None:
    for licence, meant in (("cc-by-4", "cc-by-4.0"), ("MIT", "mit"), ("Apache-2.0", "apache-2.0")):
        code, said = invoke(
            *("export", "masters", tmp_path / "card", "--as", "hub", "--licence", licence)
        )
        assert code == 2
        assert re.search(f"unknown licence '{licence}'; did you mean .*{meant}", said), said
    assert not (tmp_path / "card").exists()
    check_licence("other")
    check_licence(None)


@pytest.mark.parametrize("licence", ["CC0", "", "mit\nx: 1", "../x", "banana"])
def test_a_licence_that_is_no_identifier(tmp_path: Path, licence: str) -> None:
    with pytest.raises(ImpastoError, match="a licence is given by its identifier on the hub"):
        write_hub_folder(RUN, tmp_path / "card", licence=licence)
    assert not (tmp_path / "card").exists()


def test_options_of_other_forms(tmp_path: Path) -> None:
    source = random_model(tmp_path / "lake", "dcgan")
    for arguments, why in (
        (("--licence", "mit"), "--licence is for --as hub and space"),
        (("--as", "hub", "--half"), "--half is for --as onnx and html"),
        (("--as", "space", "--discriminator"), "--discriminator is for --as folder and hub"),
        (("--as", "hut"), "--as takes folder or onnx or html or hub or space, not 'hut'"),
    ):
        code, out = invoke("export", source, tmp_path / "to", *arguments)
        assert code == 2
        assert why in out
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("form", ["folder", "hub", "space"])
def test_weights_stay_in_the_precision_in_which_they_are_kept(tmp_path: Path, form: str) -> None:
    # masters is kept in half precision; in another one, its points would not be points of the copy.
    impasto.export("masters", tmp_path / "copy", form=form)
    copy, model = Model.load(tmp_path / "copy"), Model.load("masters")
    assert copy.record.weights_sha256 == model.record.weights_sha256
