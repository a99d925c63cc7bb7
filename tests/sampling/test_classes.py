"""Pictures of chosen classes, of every class and of every stage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto import readers as readers
from impasto.collection import Collection, PackOptions, pack
from impasto.config import LatentConfig
from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.sampling import latents_of_seeds
from impasto.sampling.class_choice import (
    class_numbers,
    every_class,
    known_classes,
    labels_of_seeds,
    parse_classes,
)
from impasto.sampling.grid import heading, named_grid_picture, shortened
from impasto.sampling.model import Model, find_model
from impasto.sampling.output import slugs
from impasto.sampling.painter import Painter
from impasto.sampling.sampler import Sampler
from impasto.training import train
from tests.helpers.command_line import Say
from tests.helpers.generators import worn_generator
from tests.helpers.records import TWO, record_of
from tests.helpers.training import small


@pytest.fixture(scope="module")
def conditional(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two label fields; not for looking at."""
    config = small("gangogh_style_genre", training__images=32, training__grid=4)
    return train(config, labelled, out=tmp_path_factory.mktemp("conditional"), device="cpu")


@pytest.fixture(scope="module")
def stacked(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in two stages."""
    config = small("gangogh_128", training__images=16, training__grid=4)
    return train(config, labelled, out=tmp_path_factory.mktemp("stacked"), device="cpu")


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_seeds_draw_their_classes_as_often_as_they_occur() -> None:
    drawn = labels_of_seeds(range(6000), TWO)
    rows, counts = np.unique(drawn.numpy(), axis=0, return_counts=True)
    assert [tuple(row) for row in rows.tolist()] == list(TWO.label_rows)
    assert counts / 6000 == pytest.approx(np.array(TWO.label_counts) / 15, abs=0.02)
    assert torch.equal(labels_of_seeds([7, 5], TWO), drawn[[7, 5]])


def test_classes_are_chosen_by_name() -> None:
    assert parse_classes(TWO, ["genre=marina", "style=Ukiyo-e"]) == {1: 1, 0: 1}
    for texts, message in [
        (["genre=sea"], "unknown class of genre 'sea'; there is landscape, marina, portrait"),
        (["kind=marina"], "unknown label field 'kind'; there is genre, style"),
        (["marina"], "--class takes FIELD=CLASS here, not 'marina'; there is genre, style"),
        (["genre=marina", "genre=portrait"], "--class names genre twice"),
    ]:
        with pytest.raises(ImpastoError, match=message):
            parse_classes(TWO, texts)
    one = record_of({"genre": ("a", "b")}, [(0,), (1,)], [1, 1])
    assert parse_classes(one, ["b"]) == parse_classes(one, ["genre=b"]) == {0: 1}
    none = record_of({}, [()], [1])
    for text in ("b", "genre=b"):
        with pytest.raises(ImpastoError, match="this model knows no classes"):
            parse_classes(none, [text])


def test_a_class_is_found_however_its_letters_are_written() -> None:
    names = ("Abstract Art", "Ukiyo-e", "Pop Art", "pop-art", "-1")
    record = record_of({"style": names}, [(0,), (1,), (2,), (3,), (4,)], [1] * 5)
    for text, number in [("ukiyo-e", 1), ("UKIYO E", 1), ("style=abstract_art", 0), ("pop-art", 3)]:
        assert parse_classes(record, [text]) == {0: number}
    assert class_numbers(record, {"Style": "abstract-art"}) == {0: 0}
    for text in ("pop_art", "1", "", "ukiyo"):  # of two that are alike, neither is taken
        with pytest.raises(ImpastoError, match=f"unknown class of style '{text}'"):
            parse_classes(record, [text])


def test_a_chosen_class_goes_with_what_occurs_beside_it() -> None:
    # Half as many marinas are of unknown style as are Ukiyo-e, and none is Cubism.
    record = record_of(
        {"style": ("Cubism", "Ukiyo-e"), "genre": ("landscape", "marina", "portrait")},
        [(-1, 1), (0, 0), (1, 0), (1, 1)],
        [10, 30, 5, 20],
    )
    drawn = labels_of_seeds(range(3000), record, {1: 1})
    assert set(drawn[:, 1].tolist()) == {1}
    assert (drawn[:, 0] == -1).float().mean().item() == pytest.approx(1 / 3, abs=0.03)
    assert 0 not in drawn[:, 0]
    assert torch.equal(labels_of_seeds([7, 5], record, {1: 1}), drawn[[7, 5]])
    # Nobody painted a portrait; asked for, it is painted all the same, in the styles there are.
    portraits = labels_of_seeds(range(300), record, {1: 2})
    assert set(portraits[:, 1].tolist()) == {2}
    assert set(portraits[:, 0].tolist()) == {-1, 0, 1}


def test_a_size_has_combinations_of_its_own() -> None:
    sizes = {"buckets": (8, 16), "label_counts_by_size": ((1, 2, 0, 4, 0), (0, 0, 5, 0, 3))}
    small = TWO.model_copy(update=sizes)  # of 8 pixels
    large = small.of_size(16)
    drawn = labels_of_seeds(range(6000), large)
    rows, counts = np.unique(drawn.numpy(), axis=0, return_counts=True)
    assert rows.tolist() == [[0, 2], [1, 1]]
    assert counts / 6000 == pytest.approx([5 / 8, 3 / 8], abs=0.02)
    rows = np.unique(labels_of_seeds(range(300), small).numpy(), axis=0)
    assert rows.tolist() == [[-1, 0], [0, 0], [1, 0]]
    # What is chosen goes with what occurs beside it in this size.
    assert set(labels_of_seeds(range(300), small, {1: 0})[:, 0].tolist()) == {-1, 0, 1}
    assert set(labels_of_seeds(range(300), large, {0: 1})[:, 1].tolist()) == {1}
    # No large picture is a landscape; asked for, it is painted in the styles of large ones.
    landscapes = labels_of_seeds(range(300), large, {1: 0})
    assert np.unique(landscapes.numpy(), axis=0).tolist() == [[0, 0], [1, 0]]
    # The grid of all classes is that of the whole, for each size.
    assert every_class(large, 1, {}).labels.tolist() == every_class(TWO, 1, {}).labels.tolist()


def test_of_equally_common_combinations_a_known_one_is_taken() -> None:
    tied = record_of({"a": ("x", "y"), "b": ("p", "q")}, [(-1, 1), (0, 0), (0, 1)], [2, 2, 2])
    assert every_class(tied, 1, {}).labels.tolist() == [[0, 0], [0, 1]]


def test_every_class_beside_a_chosen_one() -> None:
    assert known_classes(TWO, 0) == [0, 1]
    grid = every_class(TWO, 1, {})
    assert grid.classes == ("landscape", "marina", "portrait")
    assert grid.labels.tolist() == [[1, 0], [1, 1], [0, 2]]
    assert every_class(TWO, 1, {0: 1}).labels.tolist() == [[1, 0], [1, 1], [1, 2]]
    with pytest.raises(ImpastoError, match="--class chooses one genre and --every-class all"):
        every_class(TWO, 1, {1: 0})
    unknown = record_of({"genre": ("a",)}, [(-1,)], [1])
    with pytest.raises(ImpastoError, match="of unknown genre"):
        every_class(unknown, 0, {})


def test_names_for_files() -> None:
    assert slugs(["Ukiyo-e", "ukiyo e", "Naïve Art (Primitivism)", "浮世絵", "../..", "?"]) == [
        "ukiyo-e",
        "ukiyo-e-2",
        "naïve-art-primitivism",
        "浮世絵",
        "x",
        "x-2",
    ]
    assert len(slugs(["long " * 100])[0].encode()) <= 100


def test_names_stand_above_columns_and_beside_rows() -> None:
    images = np.zeros((6, 64, 64, 3), np.uint8)
    wrapped = heading(["still life", "sea", "art"], 64)
    upright = heading(["Expressionism", "sea", "art"], 32)
    assert wrapped.width == 192
    assert wrapped.height < 60 < upright.height  # some name is too wide, so all stand upright
    named = named_grid_picture(images, 3, ["still life", "sea", "art"], ["one", "two"])
    assert named.size[0] > 192
    assert named.size[1] == 128 + wrapped.height
    grid = np.asarray(named)
    assert (grid[-128:, -192:] == 0).all()
    assert (grid[:, :-192] == 255).any()
    assert np.asarray(named_grid_picture(images, 3)).shape == (128, 192, 3)
    assert shortened("a very long name indeed", 60).endswith("…")
    assert shortened("short", 60) == "short"


def test_sampling_a_model_of_classes(conditional: Path, tmp_path: Path, say: Say) -> None:
    model = Model.load(find_model(conditional))
    sampler = Sampler(model.generator, model.latent, label_fields=2)
    out = ["--out", str(tmp_path / "out")]
    assert say("sample", str(conditional), "--seeds", "3-6", *out)[0] == 0
    drawn = labels_of_seeds([3, 4, 5, 6], model.record)
    expected = next(sampler.batches([3, 4, 5, 6], drawn))
    assert np.array_equal(picture(tmp_path / "out" / "seed-00000005.png"), expected[2])

    chosen = ["--class", "genre=portrait", "--class", "style=Rococo"]
    code, text, _ = say("sample", str(conditional), "--seeds", "3-6", *chosen, *out)
    assert (code, text) == (0, f"4 pictures in {tmp_path / 'out'}\n")
    numbers = parse_classes(model.record, chosen[1::2])
    labels = torch.tensor([[numbers[0], numbers[1]]] * 4)
    expected = next(sampler.batches([3, 4, 5, 6], labels))
    # The names are the same, whatever the class: the pictures are replaced.
    assert np.array_equal(picture(tmp_path / "out" / "seed-00000005.png"), expected[2])
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_every_class_is_a_row_a_seed_and_a_column_a_class(
    conditional: Path, tmp_path: Path, say: Say
) -> None:
    model = Model.load(find_model(conditional))
    sampler = Sampler(model.generator, model.latent, label_fields=2)
    every = ["sample", str(conditional), "--every-class", "genre", "--class", "style=Cubism"]
    path = tmp_path / "grid.png"
    code, text, _ = say(*every, "--seeds", "4,2", "--grid", str(path), "--batch", "4")
    assert (code, text) == (0, f"2 seeds in 3 of 3 classes of genre: {path}\n")
    grid = picture(path)[-64:]  # below the names
    assert grid.shape == (64, 96, 3)
    style = model.record.labels[0].classes.index("Cubism")
    for row, seed in enumerate((4, 2)):
        for column in range(3):
            latents = latents_of_seeds([seed], model.latent)
            one = sampler.images(latents, torch.tensor([[style, column]]))
            shown = grid[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] / 127.5 - 1
            assert np.abs(one[0].permute(1, 2, 0).numpy() - shown).max() < 0.02

    assert say(*every, "--seeds", "2", "--out", str(tmp_path / "one"))[0] == 0
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == [
        "seed-00000002-genre-landscape.png",
        "seed-00000002-genre-marina.png",
        "seed-00000002-genre-portrait.png",
    ]
    portrait = picture(tmp_path / "one" / "seed-00000002-genre-portrait.png")
    assert np.abs(portrait.astype(int) - grid[32:, 64:]).max() <= 1


def test_names_of_earlier_collections_are_drawn_whatever_is_in_them(
    tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Pop\nArt", "b\x1b[31m\u202eX", "c\td"]
    for name in names:
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (40, 40), (number * 60, len(name) * 9, 0)).save(
                tmp_path / "source" / name / f"{number}\n.png"
            )
    monkeypatch.setattr(readers, "clean_names", lambda listing: listing)
    options = PackOptions(resolution=32, duplicates="none")
    old = pack(tmp_path / "source", tmp_path / "old", options).collection
    assert set(old.fields[0].classes) == set(names)
    told = say("inspect", str(tmp_path / "old"), "--out", str(tmp_path))
    assert told[0] == 0
    assert "Pop Art  " in told[1]
    settings = {"training__images": 8, "training__grid": 4, "training__balance": "class"}
    config = small("gangogh", labels=("class",), **settings)
    run = train(config, old, out=tmp_path / "runs", device="cpu")
    path = tmp_path / "grid.png"
    assert say("sample", str(run), "--every-class", "class", "--grid", str(path))[0] == 0
    assert picture(path).shape[1] == 96
    chosen = ["--class", "class=Pop Art", "--seeds", "1", "--out", str(tmp_path / "one")]
    assert say("sample", str(run), *chosen)[0] == 0
    for name in names:  # Beside rows too, and upright.
        assert named_grid_picture(np.zeros((1, 8, 8, 3), np.uint8), beside=[name]).width > 8
        assert heading([name, name], 4).height > 8
    assert shortened("Pop\nArt", 500) == "Pop Art"


def test_every_class_has_a_place_by_itself(
    conditional: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert say("sample", str(conditional), "--every-class", "style")[0] == 0
    path = tmp_path / "samples" / f"{conditional.name}-every-style.png"
    assert picture(path).shape[1] == 96
    assert picture(path).shape[0] > 8 * 32


def test_folding_keeps_the_stages() -> None:
    generator = worn_generator("stacked")
    latents, labels = torch.randn(2, 16), torch.zeros(2, 0, dtype=torch.int64)
    sampler = Sampler(generator, LatentConfig(dim=16))
    assert isinstance(sampler.generator, type(generator))
    pair = sampler.side_by_side(latents, labels)
    assert pair.shape == (2, 3, 32, 64)
    with torch.no_grad():
        sketch, final = generator.stages(latents, labels)  # type: ignore[operator]
        folded = fold_batch_norm(generator).stages(latents, labels)  # type: ignore[operator]
    assert (folded[0] - sketch).abs().max() < 5e-5
    enlarged = sketch.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert (pair[..., :32] - enlarged).abs().max() < 5e-5
    assert (pair[..., 32:] - final).abs().max() < 5e-5


def test_stages_stand_side_by_side(stacked: Path, tmp_path: Path, say: Say) -> None:
    sample = ["sample", str(stacked), "--seeds", "0-3"]
    assert say(*sample, "--stages", "--grid", str(tmp_path / "both.png"))[0] == 0
    assert say(*sample, "--grid", str(tmp_path / "final.png"))[0] == 0
    both, final = picture(tmp_path / "both.png"), picture(tmp_path / "final.png")
    assert both.shape == (64, 128, 3)
    assert final.shape == (64, 64, 3)
    assert np.array_equal(both[:, 32:64], final[:, :32])
    assert np.array_equal(both[:32:2, :32:2], both[1:32:2, 1:32:2])  # repeated pixels
    assert say(*sample, "--stages", "--out", str(tmp_path / "one"))[0] == 0
    assert np.array_equal(picture(tmp_path / "one" / "seed-00000000.png"), both[:32, :64])
    every = ["sample", str(stacked), "--stages", "--every-class", "genre", "--seeds", "0"]
    assert say(*every, "--grid", str(tmp_path / "every.png"))[0] == 0
    assert picture(tmp_path / "every.png").shape[1] == 3 * 64


def test_mistakes_are_one_line(conditional: Path, tmp_path: Path, say: Say) -> None:
    grid = ["--grid", str(tmp_path / "x.png")]
    for arguments, message in [
        (["--class", "genre=sea"], "there is landscape, marina, portrait"),
        (["--class", "landscape"], "--class takes FIELD=CLASS here"),
        (["--every-class", "kind"], "unknown label field 'kind'; there is genre, style"),
        (["--every-class", "genre", "--class", "genre=marina"], "--every-class all"),
        (["--stages"], "paints in one stage"),
        (["--curate", "good"], "--curate takes best or worst, not 'good'"),
        (["--per-class", "3"], "add --curate best"),
        (["--curate", "best", "--from", "9", "--seeds", "0-9"], "choose one of the two"),
        (["--curate", "best", "--per-class", "9", "--from", "8"], "9 of 8 pictures cannot be"),
    ]:
        code, out, err = say("sample", str(conditional), *arguments, *grid)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert err.count("\n") == 1, err
    assert not list(tmp_path.iterdir())


def test_labels_are_those_of_the_painter(conditional: Path) -> None:
    painter = Painter.load(find_model(conditional))
    labels = painter.labels([1, 2, 3], {1: 0})
    assert (labels[:, 1] == 0).all()
    assert torch.equal(labels[1], painter.labels([2], {1: 0})[0])
