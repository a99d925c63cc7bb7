"""Memorisation: planted copies are found and real pictures are not, sources count once, and what
cannot be said is said in words. Lastly real features of real paintings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from impasto.collection import Collection, open_or_pack
from impasto.errors import ImpastoError
from impasto.evaluation import memorisation as module
from impasto.evaluation.accuracy import wilson
from impasto.evaluation.closest_pairs import closest_pairs, closest_real_pairs, save_sheet
from impasto.evaluation.memorisation import (
    Nearest,
    RealDistances,
    RealPictures,
    memorisation,
    nearest,
)
from impasto.features import load_network

WIDTH = 24


def features_of(count: int, seed: int) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)) + 1


def real(features: Tensor, sources: np.ndarray | None = None, first: int = 0) -> RealPictures:
    rows = np.arange(first, first + len(features))
    return RealPictures(features, rows, rows if sources is None else sources)


TRAINING = real(features_of(400, 1))
HELDOUT = real(features_of(200, 7), first=400)
NONE = real(features_of(0, 0))


def test_the_nearest_by_hand() -> None:
    training = real(torch.tensor([[0.0, 2.0], [3.0, 0.0], [3.0, 3.0]]), np.array([7, 8, 8]), 10)
    found = nearest(torch.tensor([[1.0, 0.0], [0.0, 9.0], [2.0, 1.9]]), training)
    assert found.row.tolist() == [11, 10, 12]
    assert found.source.tolist() == [8, 7, 8]
    assert found.distance[:2].tolist() == [0, 0]  # length says nothing
    assert found.distance[2] == pytest.approx(1 - 3.9 / np.sqrt(2 * (4 + 3.61)))
    apart = nearest(torch.tensor([[1.0, 0.0]]), training, np.array([8]))
    assert (apart.row.item(), apart.distance.item()) == (10, 1.0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = np.arange(200) * 2
    whole = nearest(HELDOUT.features, TRAINING, own)
    monkeypatch.setattr(module, "_BLOCK", (7, 33))
    blocks = nearest(HELDOUT.features, TRAINING, own)
    assert np.array_equal(whole.row, blocks.row)
    assert np.array_equal(whole.distance, blocks.distance)
    cosine = F.normalize(HELDOUT.features.double()) @ F.normalize(TRAINING.features.double()).T
    cosine[torch.arange(200), torch.from_numpy(own)] = -1
    assert whole.distance == pytest.approx(1 - cosine.max(dim=1).values.numpy(), abs=1e-12)


def reference(distances: list[float], sources: list[int]) -> RealDistances:
    names = np.array(sources)
    near = Nearest(np.array(distances), np.zeros_like(names), np.zeros_like(names))
    return RealDistances("made up", np.arange(len(names)), names, near, 0)


def test_each_source_counts_once() -> None:
    # Source 0 has a hundred near tiles, 1 to 99 have one far picture each: 1% is that one source.
    found = reference(
        [0.1] * 100 + [0.5 + k / 1000 for k in range(99)], [0] * 100 + [*range(1, 100)]
    )
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights[0] == pytest.approx(1e-4)
    assert found.quantile() == 0.1
    assert found.quantile(without=0) == 0.5
    assert found.farther(np.array([0.05, 0.1, 0.4, 0.5, 9.0])) == pytest.approx(
        [1, 0.995, 0.99, 0.985, 0]
    )
    # Of independent pictures, the limit is the k-th least, and k of n real ones are nearer than
    # their others' limit.
    plain = reference([k / 300 for k in range(300)], list(range(300)))
    assert plain.quantile() == 2 / 300
    assert plain.expected() == pytest.approx(3 / 300)
    assert reference([0.1, 0.2, 0.3], [1, 2, 3]).expected() == pytest.approx(1 / 3)


def test_the_limit_is_a_chance_find_too() -> None:
    # The least of thirty: below it lies a share p with probability (1 - p)^30 or more.
    few = reference([k / 30 for k in range(30)], list(range(30)))
    assert few.expected_at_most() == pytest.approx(1 - 0.025 ** (1 / 30))
    # The third least of 300 uniform distances is itself the share of new ones below it.
    many = reference([k / 300 for k in range(300)], list(range(300)))
    shares = np.sort(np.random.default_rng(0).random((20_000, 300)), axis=1)[:, 2]
    assert many.expected() < many.expected_at_most()
    assert float((shares > many.expected_at_most()).mean()) == pytest.approx(0.025, abs=0.004)
    # Of many thousand sources the sum has many small parts.
    plenty = reference([k / 9000 for k in range(9000)], list(range(9000)))
    assert 0.011 < plenty.expected_at_most() < 0.013


def test_copies_are_found_and_real_pictures_are_not() -> None:
    noise = 0.05 * features_of(100, 3)
    copies = (
        TRAINING.features[:100] * torch.linspace(0.3, 1, 100)[:, None] + noise
    )  # paler, and a little noise
    found = memorisation(copies, TRAINING, HELDOUT)
    assert found.copied == 1
    assert found.interval == wilson(1.0, 100)
    assert found.nearer == 1
    assert found.reference.kind == "held-out pictures"
    assert found.warning is None
    again = memorisation(features_of(2000, 4), TRAINING, HELDOUT)
    assert again.copied is not None
    assert again.nearer is not None
    assert again.nearer_interval is not None
    assert again.copied < 0.03
    assert again.expected == pytest.approx(0.01)
    assert again.nearer == pytest.approx(0.5, abs=0.05)
    low, high = again.nearer_interval
    assert low < 0.5 < high
    assert high - low < 0.12
    # What is known of the real pictures can be used again.
    known = memorisation(features_of(2000, 4), TRAINING, HELDOUT, reference=again.reference)
    assert known.numbers() == again.numbers()
    # The rank is the plain count over all pairs.
    ours, theirs = again.samples.distance, again.reference.nearest.distance
    wins = (ours[:, None] < theirs).mean() + (ours[:, None] == theirs).mean() / 2
    assert again.nearer == pytest.approx(wins)


def test_the_share_follows_the_copies_planted() -> None:
    fresh, seen = features_of(200, 5), TRAINING.features[:200]
    shares, ranks = [], []
    for planted in (0, 20, 60, 120, 200):
        found = memorisation(torch.cat([seen[:planted], fresh[planted:]]), TRAINING, HELDOUT)
        assert found.copied is not None
        assert found.nearer is not None
        assert found.copied == pytest.approx(planted / 200, abs=0.03)
        shares.append(found.copied)
        ranks.append(found.nearer)
    assert shares == sorted(shares)
    assert ranks == sorted(ranks)


def tiles(sources: int, each: int, seed: int, first: int = 0) -> RealPictures:
    """Paintings, and tiles of them that are alike."""
    paintings = features_of(sources, seed).repeat_interleave(each, dim=0)
    features = paintings + 0.1 * features_of(sources * each, seed + 100)
    return real(features, np.arange(sources).repeat(each) + first, first * each)


def test_tiles_are_not_compared_with_their_own_painting() -> None:
    training, heldout = tiles(30, 20, 1), tiles(2, 20, 2, first=30)
    found = memorisation(features_of(300, 3), training, heldout)
    assert found.reference.kind == (
        "held-out pictures and training pictures, each against those of other sources"
    )
    assert found.reference.source_count == 32
    assert (found.reference.nearest.source != found.reference.sources).all()
    assert found.copied is not None
    assert found.limit is not None
    assert found.warning is not None
    assert "32 source pictures" in found.warning
    assert found.copied < 0.1
    # New tiles of the paintings trained on are as good as copies.
    other = memorisation(tiles(30, 5, 1).features + 0.05, training, heldout)
    assert other.copied == 1
    alone = memorisation(training.features, training, NONE)
    assert alone.reference.kind.startswith("training pictures, each")
    assert alone.copied == 1


def test_too_few_real_pictures_are_said_in_words() -> None:
    one = tiles(1, 50, 1)
    for training, heldout, count in (
        (one, NONE, 0),
        (one, tiles(3, 4, 2, first=1), 3),
        (tiles(5, 9, 1), NONE, 5),
    ):
        found = memorisation(features_of(9, 3), training, heldout)
        assert (found.copied, found.nearer, found.limit) == (None, None, None)
        assert found.warning is not None
        assert found.warning.startswith(f"only {count} source pictures to compare with")
        assert json.loads(json.dumps(found.numbers(), allow_nan=False))["copied"] is None
        assert len(closest_pairs(found, range(9))) > 0
        assert found.lines()
    with pytest.raises(ImpastoError, match="no generated pictures"):
        memorisation(features_of(0, 1), TRAINING, HELDOUT)
    with pytest.raises(ImpastoError, match="no training pictures"):
        memorisation(features_of(2, 1), NONE, HELDOUT)
    with pytest.raises(ImpastoError, match="not finite"):
        memorisation(features_of(2, 1) / 0, TRAINING, HELDOUT)


def test_a_collection_with_duplicates() -> None:
    # A tenth of the held-out pictures are training pictures under another name.
    same = torch.cat([TRAINING.features[:20], HELDOUT.features[20:]])
    found = memorisation(TRAINING.features[:50], TRAINING, real(same, first=400))
    assert found.reference.duplicates == 20
    assert len(found.reference.rows) == 180
    assert found.copied == 1
    assert found.warning is not None
    assert "20 of 200 real pictures are the same as a training picture" in found.warning
    # All but the same: the limit is as near, and it is said.
    close = same + 0.01 * features_of(200, 8)
    found = memorisation(features_of(50, 9), TRAINING, real(close, first=400))
    assert found.reference.duplicates == 0
    assert found.warning is not None
    assert "all but repeat a training picture" in found.warning


def test_the_closest_pairs() -> None:
    features = torch.cat([features_of(5, 11), TRAINING.features[[3, 3, 9]] * 2])
    found = memorisation(features, TRAINING, HELDOUT)
    pairs = closest_pairs(found, range(100, 108), count=4)
    assert [(pair.picture, pair.row, pair.source) for pair in pairs[:2]] == [
        (105, 3, 3),
        (107, 9, 9),
    ]
    assert [pair.farther for pair in pairs[:2]] == [1, 1]
    assert [pair.copied for pair in pairs[:2]] == [True, True]
    assert len({pair.source for pair in pairs}) == 4
    distances = [pair.distance for pair in pairs]
    assert distances == sorted(distances)
    reals = closest_real_pairs(found, 6)
    assert len({pair.picture for pair in reals} | {pair.source for pair in reals}) == 12
    assert reals[0].distance == found.reference.nearest.distance.min()
    assert reals[0].farther == pytest.approx(1 - 0.5 / 200)
    numbers = json.loads(json.dumps(found.numbers(), allow_nan=False))
    assert numbers["copied"] == 3 / 8
    assert numbers["reference_pictures"] == 200


@pytest.fixture(scope="module")
def masters() -> Collection:
    return open_or_pack("masters", 32)


def test_real_paintings(masters: Collection, tmp_path: Path) -> None:
    """Copies of tiles, changed as a generator might change them, against fresh paintings' tiles."""
    network = load_network("lite0")
    # A few tiles of each painting; of the first three, none is trained on.
    rows = np.concatenate([np.flatnonzero(masters.sources == s)[4::29][:4] for s in range(21)])
    pixels = masters.images(rows)
    features = network(torch.from_numpy(pixels)).features
    sources = masters.sources[rows]
    training = RealPictures(features, rows, sources).some(np.flatnonzero(sources >= 3))
    fresh = np.flatnonzero(sources < 3)
    seen = pixels[sources >= 3][2::8][:5]
    random = np.random.default_rng(0)
    noisy = np.clip(seen + random.normal(0, 3, seen.shape), 0, 255).astype(np.uint8)
    moved = np.roll(seen, 1, axis=2)
    warmer = np.clip(seen * np.array([1.1, 1, 0.9]), 0, 255).astype(np.uint8)
    mirrored = seen[:, :, ::-1]
    samples = np.concatenate([seen, noisy, moved, warmer, mirrored, pixels[fresh]])
    found = memorisation(network(torch.from_numpy(samples)).features, training, NONE)
    assert found.reference.source_count == 18
    copied = found.samples.distance < (found.limit or 0)
    kinds = copied[:25].reshape(5, 5).mean(axis=1)
    assert (kinds[[0, 1, 3, 4]] == 1).all(), kinds
    assert kinds[2] >= 0.75, kinds  # the edge that wraps around is new
    assert copied[25:].mean() <= 0.2

    pairs = closest_pairs(found, range(len(samples)), 5)
    assert all(pair.copied for pair in pairs)
    chosen = samples[[pair.picture for pair in pairs]]
    save_sheet(tmp_path / "sheet.png", found, pairs, chosen, masters, "copies")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 900
        red = (np.asarray(picture) == (200, 30, 30)).all(axis=2)
    assert red[:, : red.shape[1] // 2].any()
    # With nothing to compare with, there is still something to look at.
    alone = memorisation(features[:4], training.some(np.arange(4)), NONE)
    save_sheet(tmp_path / "a.png", alone, closest_pairs(alone, range(4)), pixels[:1], masters)
    assert (tmp_path / "a.png").is_file()
