"""The discriminator as a classifier: numbers worked out by hand, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.collection import Collection, PackOptions, pack
from impasto.curation.classification import (
    classify,
    predicted_classes,
    true_classes,
)
from impasto.curation.confusion import confusion_picture
from impasto.errors import ImpastoError
from impasto.evaluation.accuracy import over_sources, result, wilson
from impasto.networks import Judgement
from impasto.training import train
from tests.helpers.command_line import Say
from tests.helpers.pictures import paint
from tests.helpers.records import record_of
from tests.helpers.training import small

SIZES = {"style": ("Ukiyo-e", "Rococo", "Cubism"), "genre": ("landscape", "sea")}
RECORD = record_of(SIZES, [(0, 0), (2, 1), (-1, 1)], [5, 2, 4]).model_copy(
    update={"resolution": 16}
)


class Warm(nn.Module):
    """Calls pictures with more red than blue the first class of every field, others the last."""

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        assert not self.training
        assert (labels == -1).all()  # it must not be told
        assert images.shape[1:] == (3, 16, 16)
        warm = (images[:, 0].mean((1, 2)) > images[:, 2].mean((1, 2))).float()
        logits = tuple(
            torch.stack([warm, *[warm * 0 - 1] * (len(names) - 2), 1 - warm], dim=1)
            for names in SIZES.values()
        )
        return Judgement(warm[:, None], logits)


class Mute(nn.Module):
    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        return Judgement(images.mean((1, 2, 3))[:, None])


def test_wilson_by_hand() -> None:
    # z = 1.96: (0.5 + 3.8416 / 20 -+ 1.96 sqrt(0.25 / 10 + 3.8416 / 400)) / 1.38416
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0.0, 1)[0] == 0.0


def test_a_source_picture_is_one_observation() -> None:
    right = np.array([True, True, True, False, False])
    # Three tiles of source 8, of which all are right; two of source 2, of which none is.
    assert over_sources(right, np.array([8, 8, 8, 2, 2])) == (0.5, 2)
    assert over_sources(right, np.arange(5)) == (0.6, 5)


def test_a_confusion_by_hand() -> None:
    truth, named = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 1])
    found = result(
        "genre",
        ["a", "b", "c", "d"],
        truth,
        named,
        np.array([5, 5, 6, 7, 7, 9]),
        commonest=1,
        unknown=3,
    )
    assert found.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert (found.pictures, found.sources, found.unknown) == (6, 4, 3)
    assert found.accuracy_of_pictures == 0.5
    assert found.accuracy == (1 + 0 + 0.5 + 0) / 4
    assert found.interval == wilson(0.375, 4)  # (0.8552 -+ 0.6750) / 1.9604
    assert found.baseline == 0.25  # source 7, the only one of class b
    assert [(c.pictures, c.sources, c.accuracy) for c in found.by_class] == [
        (3, 2, 0.5),
        (2, 1, 0.5),
        (1, 1, 0.0),
        (0, 0, None),
    ]
    told = found.lines()
    assert told[0].startswith(
        "genre: 37.5% named right, 95% interval 9.2% to 78.1% (6 pictures of "
    )
    assert told[1] == "  always saying 'b', the commonest in training: 25.0%"
    assert "fewer than 30 source pictures" in told[2]
    assert told[-1].startswith("  left out: 3 ")
    many = replace(found, sources=30)
    assert not [line for line in many.lines() if "fewer" in line]
    assert json.loads(json.dumps(found.numbers()))["confusion"][0] == [2, 1, 0, 0]

    drawn = np.asarray(confusion_picture(found, "held-out pictures"))
    assert drawn.shape[2] == 3
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 5
    wide = result(
        "x", [str(k) for k in range(90)], np.arange(90), np.arange(90), np.arange(90), commonest=0
    )
    assert max(confusion_picture(wide, "x").size) < 2700


def test_classes_are_matched_by_name(labelled: Collection) -> None:
    # The model knows `sea`, the collection `marina` and `portrait`; and the order of styles differs.
    numbers = true_classes(labelled, RECORD, 1)
    assert numbers is not None
    names = [labelled.fields[1].classes[k] if k >= 0 else "" for k in labelled.labels[:, 1]]
    assert numbers.tolist() == [0 if name == "landscape" else -1 for name in names]
    styles = true_classes(labelled, RECORD, 0)
    assert styles is not None
    for number, own in zip(styles.tolist(), labelled.labels[:, 0].tolist(), strict=True):
        assert (number == -1) == (own == -1)
        if own >= 0:
            assert SIZES["style"][number] == labelled.fields[0].classes[own]
    assert true_classes(labelled, record_of({"artist": ("a",)}, [(0,)], [1]), 0) is None


def test_a_known_classifier(labelled: Collection) -> None:
    told: list[int] = []
    rows = labelled.train_indices
    # Pictures of 32 pixels for a model of 16: averaged down. Any batch names them the same.
    named = predicted_classes(Warm(), labelled, rows, RECORD, batch=4, progress=told.append)
    assert told[-1] == len(rows)
    pixels = labelled.images(rows).mean(axis=(1, 2))
    warm = pixels[:, 0] > pixels[:, 2]
    assert np.array_equal(named, np.stack([np.where(warm, 0, 2), np.where(warm, 0, 1)], axis=1))

    style, genre = classify(Warm(), RECORD, labelled, split="train")
    truth = true_classes(labelled, RECORD, 0)
    assert truth is not None
    known = truth[rows] >= 0
    assert style.pictures == style.sources == known.sum()
    assert style.unknown == (~known).sum()
    assert style.accuracy == pytest.approx((named[known, 0] == truth[rows][known]).mean())
    assert style.accuracy_of_pictures == pytest.approx(style.accuracy)
    assert (style.commonest, genre.commonest) == ("Ukiyo-e", "sea")
    assert genre.baseline == 0  # all that the two know in common is landscapes
    assert genre.by_class[1].accuracy is None


def test_what_cannot_be_classified(labelled: Collection) -> None:
    with pytest.raises(ImpastoError, match="names no classes"):
        classify(Mute(), RECORD, labelled)
    with pytest.raises(ImpastoError, match="trained without labels"):
        classify(Mute(), record_of({}, [()], [1]), labelled)
    with pytest.raises(ImpastoError, match="--split is heldout or train, not 'test'"):
        classify(Warm(), RECORD, labelled, split="test")
    other = record_of({"artist": ("a",)}, [(0,)], [1])
    with pytest.raises(ImpastoError, match="no held-out picture of a class that this model knows"):
        classify(Warm(), other, labelled)


@pytest.fixture(scope="module")
def conditional(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small("gangogh_style_genre", training__images=32, training__grid=4)
    return train(config, labelled, out=tmp_path_factory.mktemp("conditional"), device="cpu")


def test_the_command(conditional: Path, labelled: Collection, tmp_path: Path, say: Say) -> None:
    code, out, err = say("classify", str(conditional))
    assert code == 0, err
    assert out.startswith("held-out pictures of labelled, named by the discriminator of ")
    assert "fewer than 30 source pictures" in out
    heldout = labelled.labels[labelled.heldout_indices]
    for column, field in enumerate(("style", "genre")):
        if (heldout[:, column] < 0).all():
            continue
        found = json.loads((conditional / f"classify-{field}.json").read_text())
        assert found["pictures"] == (heldout[:, column] >= 0).sum()
        assert found["same_collection"]
        assert 0 <= found["interval"][0] <= found["accuracy"] <= found["interval"][1] <= 1
        with Image.open(conditional / f"confusion-{field}.png") as picture:
            assert picture.format == "PNG"

    # What is no measure of skill does not take the plain names.
    code, out, _ = say("classify", str(conditional), "--split", "train", "--out", str(tmp_path))
    assert code == 0
    assert "this measures memory, not skill" in out
    assert (tmp_path / "labelled-train-classify-genre.json").exists()
    assert not list(tmp_path.glob("classify-*"))


def test_other_collections(conditional: Path, tmp_path: Path, say: Say) -> None:
    paint(tmp_path / "pictures", 40, size=64)
    lines = ["file,genre"]
    for index in range(40):
        kind = "warm" if index % 2 else "cold"
        lines.append(f"{kind}/{index:03d}.png,{('portrait', 'nude')[index % 4 == 0]}")
    (tmp_path / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(resolution=64, fit="crop", name="other", labels=("genre",))
    pack(tmp_path / "pictures", tmp_path / "other", options)
    model = tmp_path / "model"
    assert say("export", str(conditional), str(model), "--discriminator")[0] == 0
    code, _, err = say("classify", str(model))
    assert (code, err.count("\n")) == (2, 1)
    assert "say which pictures to name with --data" in err
    arguments = [str(model), "--data", str(tmp_path / "other"), "--split", "train"]
    code, out, err = say("classify", *arguments, "--out", str(tmp_path / "out"))
    assert code == 0, err
    assert "style" not in out  # it has no such field
    assert "left out:" in out
    assert "nude" not in out
    assert [file.name for file in sorted((tmp_path / "out").iterdir())] == [
        "other-train-classify-genre.json",
        "other-train-confusion-genre.png",
    ]


def test_mistakes_are_one_line(
    conditional: Path, tiny: Collection, tmp_path: Path, say: Say
) -> None:
    assert say("export", str(conditional), str(tmp_path / "bare"))[0] == 0
    config = small(training__images=16, training__grid=4)
    unconditional = train(config, tiny, out=tmp_path / "runs", device="cpu")
    say.capsys.readouterr()
    for arguments, message in [
        ([str(tmp_path / "bare")], "export it again with --discriminator"),
        ([str(unconditional)], "this model knows no classes"),
        ([str(conditional), "--split", "test"], "--split is heldout or train"),
        ([str(conditional), "--data", str(tmp_path / "nowhere")], "there is no "),
        ([str(tmp_path)], "neither a run"),
    ]:
        code, _, err = say("classify", *arguments)
        assert code == 2, arguments
        assert message in err
        assert err.startswith("impasto: ")
        assert err.count("\n") == 1, err
    # And an unconditional model is sampled as it always was, but has no class to choose.
    for option in (["--class", "genre=landscape"], ["--class", "x"], ["--every-class", "genre"]):
        code, _, err = say("sample", str(unconditional), *option)
        assert (code, err.count("\n")) == (2, 1)
        assert "this model knows no classes" in err
