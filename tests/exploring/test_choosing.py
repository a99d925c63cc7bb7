"""Choosing: pictures like one, favourites, and sheets with captions."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import ImpastoError
from impasto.exploring import favourites, likeness
from impasto.exploring.favourites import (
    check_name,
    drop_favourite,
    favourites_path,
    keep_favourites,
    parse_point,
)
from impasto.exploring.likeness import Alike, most_alike
from impasto.features import load_network
from impasto.files import write_json
from impasto.sampling import Model
from impasto.sampling.grid import broken, captioned_grid_picture, named_grid_picture
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points, at_levels, differing_classes, joined
from impasto.sampling.shipped import SHIPPED
from tests.exploring.models import random_model
from tests.helpers.command_line import done, invoke

UKIYO_E = {"style": "Ukiyo-e"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return random_model(tmp_path / "m", "self-modulated")


def points_of(model: Path, *seeds: int) -> Points:
    painter = Painter.load(model)
    return painter.points(list(seeds), painter.labels(list(seeds), {}))


def painted(model: Path, points: Points) -> np.ndarray:
    return np.concatenate(list(Painter.load(model).paint_points(points)))


def refused(message: str, *arguments: object) -> None:
    code, text = invoke(*arguments)
    assert code == 2, text
    assert message in text


def test_the_most_alike_are_the_nearest_by_features(model: Path) -> None:
    found = impasto.more_like(model, 3, range(8), count=4, device="cpu", batch=3)
    images = Model.load(model).sample(range(8))
    features = load_network("lite0")(torch.from_numpy(images)).features.double().numpy()
    away = {seed: float(np.sqrt(((features[seed] - features[3]) ** 2).sum())) for seed in range(8)}
    del away[3]  # itself
    nearest = sorted(away, key=lambda seed: away[seed])
    assert found.seeds == nearest[:4]
    assert found.distances == pytest.approx([away[seed] for seed in nearest[:4]], rel=1e-4)
    assert found.usual == pytest.approx(away[nearest[3]], rel=1e-4)  # the middle of seven
    assert found.points.origins[0].seed == 3
    assert np.array_equal(painted(model, found.points)[1], images[nearest[0]])
    # A point whose seed is unknown is compared with all.
    point = points_of(model, 3).changed(origins=(Origin(),))
    again = impasto.more_like(model, point, range(8), count=20, device="cpu")
    assert again.seeds[0] == 3
    assert again.distances[0] == pytest.approx(0, abs=1e-3)
    assert len(again.seeds) == 8


def test_features_are_kept_for_the_next_search(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    painter = Painter.load(model, batch=3)
    labels = painter.labels(range(8), {})
    looked_at: list[int] = []
    network = load_network("lite0")

    def extract(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        looked_at.append(len(pixels))
        return network.extract(pixels)

    def alike(painter: Painter, seed: int, labels: torch.Tensor) -> Alike:
        wanted = painter.points([seed], labels[[seed]])
        counting = replace(network, extract=extract)
        return most_alike(painter, wanted, range(8), labels, counting, count=3)

    first = alike(painter, 3, labels)
    assert sum(looked_at) == 9
    assert alike(painter, 3, labels) == replace(first, points=ANY)
    assert sum(looked_at) == 10  # the picture itself
    other = alike(painter, 5, labels)
    assert sum(looked_at) == 11
    (entry,) = (tmp_path / "cache" / "likeness").iterdir()
    entry.write_bytes(b"damaged")
    assert alike(painter, 5, labels) == replace(other, points=ANY)
    assert sum(looked_at) == 20
    # Of other classes or with truncation these are other pictures; enlarged ones are compared as they
    # were before.
    alike(painter, 5, (labels + 1) % 3)
    alike(replace(painter, truncation=0.5), 5, labels)
    assert sum(looked_at) == 38
    large = replace(painter, finish=lambda images: images.repeat(2, axis=1))
    assert alike(large, 5, labels) == replace(other, points=ANY)
    assert sum(looked_at) == 39
    monkeypatch.setattr(likeness, "MOST_KEPT", 7)
    assert alike(painter, 5, labels) == replace(other, points=ANY)
    assert sum(looked_at) == 48
    assert len(list((tmp_path / "cache" / "likeness").iterdir())) == 3


def test_the_same_seed_in_another_class_is_another_picture(model: Path) -> None:
    own = Painter.load(model).labels([5], {})
    names = Model.load(model).record.labels[0].classes
    other = {"style": names[(int(own[0, 0]) + 1) % 3]}
    point = points_of(model, 5)
    assert impasto.more_like(model, point, [5, 6], other, device="cpu").seeds.count(5) == 1
    with pytest.raises(ImpastoError, match="no other seeds"):
        impasto.more_like(model, 5, [5], device="cpu")
    for count in (0, -1):
        with pytest.raises(ImpastoError, match=f"from 1, not {count}"):
            impasto.more_like(model, 5, range(4), count=count, device="cpu")


def test_the_command_more_like(model: Path, tmp_path: Path) -> None:
    text = done(
        *("sample", model, "--more-like", 3, "--of", "0-5", "--count", 2, "--device", "cpu"),
        *("--grid", tmp_path / "g.png", "--save-points", tmp_path / "p.safetensors"),
    )
    found = impasto.more_like(model, 3, range(6), count=2, device="cpu")
    assert f"seed {found.seeds[0]}: {found.distances[0]:.2f}" in text
    assert "3 pictures in" in text  # --count, and the one asked about
    assert "g.png: the one of 3, and the 2 most like it" in text
    saved = Points.load(tmp_path / "p.safetensors", Model.load(model).record)
    assert [origin.seed for origin in saved.origins] == [3, *found.seeds]
    done("sample", model, "--seeds", 3, "--out", tmp_path / "s")
    like = ["--more-like", tmp_path / "s" / "seed-00000003.png", "--of", "0-5", "--count", 1]
    done("sample", model, *like, "--out", tmp_path / "o")
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["like-seed-00000003.png", f"seed-{found.seeds[0]:08d}.png"]
    refused("leave out --seeds", "sample", model, "--more-like", 3, "--seeds", 4)
    refused("are for --more-like", "sample", model, "--of", "0-5")
    refused("compared with one", "sample", model, "--more-like", "3-4", "--of", "0-5")
    for other in ("picture.jpg", "3.5"):
        refused("names no seed, favourite or file", "sample", model, "--more-like", other)


def test_a_name_that_points_cannot_have_is_noticed_before_any_work(
    model: Path, tmp_path: Path
) -> None:
    wrong = ["--save-points", tmp_path / "p.json"]
    refused("kept in a .safetensors file", "sample", tmp_path / "no-model", *wrong)
    (model / "generator.safetensors").unlink()
    refused("kept in a .safetensors file", "mix", model, *wrong)


def test_favourites_come_back_bit_for_bit(model: Path) -> None:
    record = Model.load(model).record
    levels = Painter.load(model).levels or 0
    many = points_of(model, 1, 2)
    mixed = many.changed(
        latents=at_levels(many.latents, levels) + torch.randn(2, levels, 1),
        classes=torch.rand(2, 3),
        origins=(Origin(),) * 2,
    )
    path = impasto.keep(model, "wave", mixed)
    assert path == model / "favourites.json"
    impasto.keep(model, "blue", 7, UKIYO_E)
    found = impasto.favourites(model)
    assert list(found) == ["wave-1", "wave-2", "blue"]
    for number in range(2):
        kept = found[f"wave-{number + 1}"]
        assert torch.equal(kept.latents, mixed.latents[[number]])
        assert torch.allclose(kept.classes, mixed.classes[[number]], atol=1e-7)
    assert torch.equal(found["blue"].latents, points_of(model, 7).latents)
    assert found["blue"].classes[0].tolist() == [0, 0, 1]
    assert found["blue"].require(record, "it").origins[0].seed == 7


def test_favourites_kept_at_the_same_time_are_all_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, point = Model.load(model).record, points_of(model, 1)

    def slowly(path: Path, value: object) -> None:
        time.sleep(0.05)
        write_json(path, value)

    monkeypatch.setattr(favourites, "write_json", slowly)
    names = [f"f{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as people:
        list(people.map(lambda name: keep_favourites(model, record, name, point), names))
        assert set(impasto.favourites(model)) == set(names)
        list(people.map(lambda name: drop_favourite(model, name), names))
    assert impasto.favourites(model) == {}


def test_favourites_are_shared_by_the_commands(model: Path, tmp_path: Path) -> None:
    text = done(
        *("sample", model, "--seeds", "4,6", "--class", "Ukiyo-e", "--keep", "wave"),
        *("--grid", tmp_path / "a.png"),
    )
    assert "kept as wave-1 to wave-2" in text
    done("sample", model, "--favourites", "all", "--grid", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    done("sample", model, "--favourites", "wave-2", "--out", tmp_path / "o")
    (file,) = (tmp_path / "o").iterdir()
    assert file.name == "wave-2.png"
    own = Model.load(model).sample([6], UKIYO_E)[0]
    assert np.array_equal(np.asarray(Image.open(file)), own)
    walk = ["--seconds", 0.1, "--fps", 20, "--out", tmp_path / "w"]
    done("walk", model, "--favourites", "wave-2,wave-1", *walk)
    first = np.asarray(Image.open(tmp_path / "w" / "frame-000000.png"))
    assert np.abs(first.astype(int) - own).max() <= 1
    done("walk", model, "--around", "wave-1", *walk[:-1], tmp_path / "r")
    done("mix", model, "--coarse", "all", "--fine", "wave-1", "--grid", tmp_path / "m.png")
    vary = ["--variations", "wave-1", "--spread", 1, "--seeds", 8, "--out", tmp_path / "v"]
    done("sample", model, *vary)
    (file,) = (tmp_path / "v").iterdir()
    assert np.array_equal(np.asarray(Image.open(file)), Model.load(model).sample([8], UKIYO_E)[0])
    impasto.walk(model, tmp_path / "w.webp", points=impasto.favourites(model).values(), seconds=0.1)
    assert (tmp_path / "w.webp").is_file()
    # To remove one, edit the file.
    content = json.loads((model / "favourites.json").read_text())
    del content["favourites"]["wave-1"]
    (model / "favourites.json").write_text(json.dumps(content))
    assert list(impasto.favourites(model)) == ["wave-2"]


def test_what_is_wrong_with_favourites_is_one_line(model: Path, tmp_path: Path) -> None:
    sample = ["sample", model]
    refused("there are no favourites of this model", *sample, "--favourites", "all")
    done(*sample, "--seeds", 4, "--keep", "wave", "--grid", tmp_path / "a.png")
    before = (model / "favourites.json").read_bytes()
    refused("there is a favourite 'wave'", *sample, "--seeds", 4, "--keep", "wave")
    refused("did you mean wave?", *sample, "--favourites", "wavy")
    refused("begins with a letter", *sample, "--seeds", 4, "--keep", "4th")
    refused("leave out --seeds", *sample, "--favourites", "wave", "--seeds", 4)
    refused("leave out --curate", *sample, "--keep", "x", "--curate", "best")
    refused("leave out --class", *sample, "--variations", "wave", "--class", "Ukiyo-e")
    refused("--around has a point", "walk", model, "--around", "1", "--favourites", "wave")
    refused("leave out --class", "mix", model, "--coarse", "wave", "--class", "Ukiyo-e")
    assert (model / "favourites.json").read_bytes() == before
    other = random_model(tmp_path / "o", "self-modulated", seed=1)
    (other / "favourites.json").write_bytes(before)
    refused("points of another generator", "sample", other, "--favourites", "wave")
    with pytest.raises(ImpastoError, match="points of another generator"):
        impasto.keep(other, "y", points_of(model, 1))
    with pytest.raises(ImpastoError, match="points of another generator"):
        impasto.walk(other, tmp_path / "w.webp", points=[points_of(model, 1)])
    for content in ("{", '{"favourites": {"a": 3}}', '{"favourites": {"a": {"model": "x"}}}'):
        (model / "favourites.json").write_text(content)
        refused("damaged", *sample, "--favourites", "all")
        refused("damaged", *sample, "--seeds", 4, "--keep", "x")
        assert (model / "favourites.json").read_text() == content


def test_a_folder_is_no_favourite_but_may_have_the_name_of_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wave").mkdir()
    Path("17").mkdir()
    record = Model.load(model).record
    with pytest.raises(ImpastoError, match="wave is a folder: give a seed, a favourite's name, or"):
        parse_point("wave", model, record)
    assert parse_point("17", model, record).seeds == [17]
    impasto.keep(model, "wave", points_of(model, 4))
    assert parse_point("wave", model, record).names == ["wave"]


@pytest.mark.parametrize("name", ["", "all", "1", "1a", "a b", "a,b", "a.png", "-a", "a/b"])
def test_names_that_would_be_taken_for_something_else(name: str) -> None:
    with pytest.raises(ImpastoError, match="begins with a letter"):
        check_name(name)


def test_favourites_of_the_model_in_the_package_are_in_the_cache(tmp_path: Path) -> None:
    assert SHIPPED["masters"] not in favourites_path(SHIPPED["masters"]).parents
    assert favourites_path(tmp_path) == tmp_path / "favourites.json"


def test_points_with_and_without_levels_can_be_joined(model: Path) -> None:
    levels = Painter.load(model).levels or 0
    one, other = points_of(model, 1), points_of(model, 2)
    other = other.changed(latents=torch.randn(1, levels, other.latents.shape[1]))
    both = joined([one, other])
    assert both.latents.shape[1] == levels
    alone = np.concatenate([painted(model, one), painted(model, other)])
    assert np.abs(painted(model, both).astype(int) - alone).max() <= 1
    deeper = other.changed(latents=torch.randn(1, levels + 1, other.latents.shape[2]))
    with pytest.raises(ImpastoError, match="different numbers of levels"):
        joined([other, deeper])


def test_a_name_beside_a_row_has_two_lines_where_one_is_too_long() -> None:
    image = np.zeros((1, 48, 48, 3), np.uint8)
    long = "from-one-name-to-another"
    rows = [
        np.asarray(named_grid_picture(image, 1, beside=[f"{long}\n{amounts}"]))
        for amounts in ("-3 to 3", "-3 to 4")
    ]
    written = [row[:, :-48] for row in rows]
    # Both lines are whole: the upper one is the same, the lower ones differ.
    assert np.array_equal(written[0][:20], written[1][:20])
    assert not np.array_equal(written[0][20:], written[1][20:])
    alone = np.asarray(named_grid_picture(image, 1, beside=[long]))
    assert alone.shape == rows[0].shape
    short = np.asarray(named_grid_picture(image, 1, beside=["warmth\n-3 to 3"]))
    one = np.asarray(named_grid_picture(image, 1, beside=["warmth -3 to 3"]))
    assert np.array_equal(short, one)


def test_captions_are_below_their_pictures(model: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), np.uint8)
    sheet = np.asarray(captioned_grid_picture(images, [["1"], ["2", "x"], [""]], 2))
    assert np.array_equal(sheet[4:154, 4:154], images[0])
    assert np.array_equal(sheet[4:154, 158:308], images[1])
    below = sheet[154:180]
    assert (below[:, 4:154] < 128).any()
    assert (below[:, 158:308] < 128).any()
    down = (sheet.shape[0] - 4) // 2
    assert np.array_equal(sheet[4 + down : 154 + down, 4:154], images[2])
    assert (sheet[154 + down :, 4:154] == 255).all()  # no caption
    done("sample", model, "--seeds", "0-3", "--captions", "--grid", tmp_path / "g.png")
    assert Image.open(tmp_path / "g.png").height > 2 * (32 + 12)
    refused("add --grid", "sample", model, "--seeds", "0-3", "--captions")


def test_captions_name_the_classes_that_differ(model: Path) -> None:
    points = points_of(model, 0, 0, 0)
    classes = torch.tensor([[0, 0, 1.0], [0, 0, 0], [0.25, 0, 0.75]])
    names = differing_classes(points.changed(classes=classes))
    assert names == ["Ukiyo-e", "unknown", "0.75 Ukiyo-e + 0.25 Cubism"]
    assert differing_classes(points.changed(classes=classes[[0, 0, 0]])) == ["", "", ""]
    beyond = torch.tensor([[0.5, 0.5, 0], [-0.5, 0, 1.5], [-1.5, 0, 0.5]])
    assert differing_classes(points.changed(classes=beyond)) == [
        "0.5 Cubism + 0.5 Rococo",
        "1.5 Ukiyo-e - 0.5 Cubism",
        "-1.5 Cubism + 0.5 Ukiyo-e",
    ]


def test_long_captions_are_broken_and_not_cut() -> None:
    assert broken("17", 120) == ["17"]
    assert broken("1.5 Ukiyo-e - 0.5 Impressionism", 120) == ["1.5 Ukiyo-e", "- 0.5 Impressionism"]
    assert broken("0.4 Naive Art (Primitivism) + 0.6 Rococo, landscape", 120) == [
        "0.4 Naive Art",
        "(Primitivism)",
        "+ 0.6 Rococo,",
        "landscape",
    ]
    many = broken(" + ".join(f"0.1 Class-{number}-of-ten" for number in range(10)), 120)
    assert many[:2] == ["0.1 Class-0-of-ten", "+ 0.1 Class-1-of-ten"]
    assert len(many) == 4
    assert many[3].endswith("…")
    (cut,) = broken("x" * 100, 120)
    assert cut.endswith("…")
    # A sheet is no wider than its lines need, and as high as the most of them.
    images = np.zeros((2, 32, 32, 3), np.uint8)
    one = captioned_grid_picture(images, [["1.5 Ukiyo-e"], ["- 0.5 Cubism"]])
    two = captioned_grid_picture(images, [["1.5 Ukiyo-e - 0.5 Cubism"], [""]])
    assert two.width == one.width
    assert two.height > one.height
