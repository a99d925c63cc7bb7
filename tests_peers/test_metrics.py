"""Metrics against scipy, prdc and torch-fidelity: on the same features, and from the same pictures.

The bounds stand a little above what was measured; the comments say what that was.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image, ImageFilter
from prdc import compute_prdc
from scipy import linalg
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from impasto.features import Extracted, load_network
from impasto.metrics import Moments, Sample, frechet, kid, prdc, scores
from impasto.metrics.frechet import frechet_distance
from impasto.metrics.inception_score import inception_score, inception_score_splits
from tests.helpers.random_inception import random_tensors

PICTURES = 48


def drawn(count: int, width: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    """Features [count, width] whose spectrum falls as real ones do, never negative."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99)) / width**0.5
    falling = torch.arange(1, width + 1.0) ** -0.4
    rows = torch.randn(count, width, generator=generator) * falling * spread
    return (rows @ mixing + shift).abs()


def by_square_root(fake: Tensor, real: Tensor) -> float:
    one, other = fake.double().numpy(), real.double().numpy()
    product = np.cov(one, rowvar=False) @ np.cov(other, rowvar=False)
    root = float(np.trace(linalg.sqrtm(product)).real)
    apart = float(np.square(one.mean(0) - other.mean(0)).sum())
    return apart + float(one.var(0, ddof=1).sum() + other.var(0, ddof=1).sum()) - 2 * root


@pytest.mark.timeout(1200)  # sqrtm itself takes a minute or two on a busy machine
@pytest.mark.parametrize(
    ("fakes", "reals", "width", "bound"),
    [
        (2500, 3000, 2048, 1e-10),  # measured: 7e-15
        (500, 400, 2048, 1e-6),  # measured: 5e-8, the rounding of square roots near 0
        (100, 900, 512, 1e-6),  # measured: 4e-8
    ],
    ids=["full rank", "fewer pictures than dimensions", "fewer generated ones"],
)
def test_frechet_distance_equals_scipy(fakes: int, reals: int, width: int, bound: float) -> None:
    fake, real = drawn(fakes, width, 1, 1.1, 0.01), drawn(reals, width, 2)
    expected = by_square_root(fake, real)
    found = scores_alone(fake, real)
    one, other = Moments.of(fake), Moments.of(real)
    of_moments = frechet_distance(one.mean, one.covariance, other.mean, other.covariance)
    print(
        f"\nfd {fakes} {reals}: {abs(found / expected - 1):.1e} {abs(of_moments / expected - 1):.1e}"
    )
    assert found == pytest.approx(expected, rel=bound)
    assert of_moments == pytest.approx(expected, rel=bound)


def scores_alone(fake: Tensor, real: Tensor) -> float:
    """The Fréchet distance as `scores` computes it, without the interval."""
    return frechet.prepare(Sample(fake, None), Sample(real, None))(torch.arange(len(fake)))["fd"]


def kernel_distance(fake: Tensor, real: Tensor) -> float:
    return kid.prepare(Sample(fake, None), Sample(real, None))(torch.arange(len(fake)))["kid"]


def nearest(fake: Tensor, real: Tensor, nearest_k: int) -> dict[str, float]:
    """Precision, recall, density and coverage."""
    values = prdc.prepare(Sample(fake, None), Sample(real, None), nearest_k)
    return values(torch.arange(len(fake)))


@pytest.mark.parametrize("nearest_k", [1, 3, 5])
@pytest.mark.parametrize(("fakes", "reals", "width"), [(700, 900, 64), (1500, 300, 12)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_precision_recall_density_coverage_equal_prdc(
    nearest_k: int, fakes: int, reals: int, width: int, kind: torch.dtype
) -> None:
    fake, real = drawn(fakes, width, 1, 1.2).to(kind), drawn(reals, width, 2).to(kind)
    expected = compute_prdc(real.numpy(), fake.numpy(), nearest_k)
    assert nearest(fake, real, nearest_k) == pytest.approx(expected, abs=1e-9)
    if nearest_k == 5:
        found = scores("prdc", Sample(fake, None), Sample(real, None))
        assert {score.name: score.value for score in found} == pytest.approx(expected, abs=1e-9)


def test_scores_of_features_equal_torch_fidelity() -> None:
    """In float64 the formulas agree to rounding; torch-fidelity's own float32 is compared below."""
    fake, real = drawn(500, 64, 1, 1.1).double(), drawn(500, 64, 2).double()
    options = {"kid_subsets": 1, "kid_subset_size": 500, "rng_seed": 0, "verbose": False}
    theirs = kid_features_to_metric(fake, real, **options)["kernel_inception_distance_mean"]
    assert kernel_distance(fake, real) == pytest.approx(theirs, rel=1e-9)
    options |= {"prc_neighborhood": 3, "prc_batch_size": 100, "save_cpu_ram": False}
    prc = prc_features_to_metric(fake, real, **options)
    ours = nearest(fake, real, 3)
    assert ours["precision"] == pytest.approx(prc["precision"], abs=1e-6)
    assert ours["recall"] == pytest.approx(prc["recall"], abs=1e-6)
    logits = 3 * drawn(505, 20, 3)
    for shuffle, order in (
        (False, None),
        (True, torch.from_numpy(np.random.RandomState(2020).permutation(505))),
    ):
        isc = isc_features_to_metric(logits, 10, shuffle, 2020)
        mean, deviation = inception_score_splits(logits.double().softmax(1), 10, order)
        assert mean == pytest.approx(isc["inception_score_mean"], rel=1e-9)
        assert deviation == pytest.approx(isc["inception_score_std"], rel=1e-6)


def test_kid_is_the_expectation_of_torch_fidelitys_subsets() -> None:
    """The mean of a hundred random subsets lies within five standard errors of the score of all."""
    fake, real = drawn(400, 32, 1, 1.2).double(), drawn(400, 32, 2).double()
    options = {"kid_subsets": 100, "kid_subset_size": 200, "rng_seed": 0, "verbose": False}
    theirs = kid_features_to_metric(fake, real, **options)
    assert kernel_distance(fake, real) == pytest.approx(
        theirs["kernel_inception_distance_mean"],
        abs=5 * theirs["kernel_inception_distance_std"] / 100**0.5,
    )


def paint(folder: Path, seed: int, blur: float) -> None:
    """Coloured noise, softened, as PNGs of 40 x 32 px."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(PICTURES):
        coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC)
        picture.filter(ImageFilter.GaussianBlur(blur)).save(folder / f"{number:03d}.png")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Path]]:
    """Generated pictures, real ones, and random weights."""
    root = tmp_path_factory.mktemp("parity")
    paint(root / "fake", 1, 1.5)
    paint(root / "real", 2, 0.5)
    torch.save(random_tensors(), root / "weights.pth")
    yield root / "fake", root / "real", root / "weights.pth"
    (root / "weights.pth").unlink()  # 95 MB


@pytest.mark.timeout(1200)  # torch-fidelity takes general eigenvalues at 2048 dimensions
def test_scores_of_pictures_equal_torch_fidelity(folders: tuple[Path, Path, Path]) -> None:
    """Folder to score, both through Inception with the same random weights."""
    fakes, reals, weights = folders
    theirs: dict[str, Any] = torch_fidelity.calculate_metrics(
        input1=str(fakes),
        input2=str(reals),
        **dict.fromkeys(("isc", "fid", "kid", "prc", "save_cpu_ram"), True),
        **dict.fromkeys(("cuda", "cache", "verbose", "samples_shuffle"), False),
        feature_extractor="inception-v3-compat",  # or precision and recall would take VGG
        feature_extractor_weights_path=str(weights),
        isc_splits=4,
        kid_subsets=1,
        kid_subset_size=PICTURES,
        batch_size=16,
    )
    network = load_network("inception", weights=str(weights))

    def seen(folder: Path) -> Extracted:
        paths = sorted(folder.glob("*.png"))
        return network(torch.from_numpy(np.stack([np.asarray(Image.open(p)) for p in paths])))

    fake, real = seen(fakes), seen(reals)
    assert fake.logits is not None
    chances = fake.logits.double().softmax(1)
    mean, deviation = inception_score_splits(chances, 4)
    assert 1 < mean <= inception_score(chances)
    parts = nearest(fake.features, real.features, 3)
    ours = {
        "frechet_inception_distance": scores_alone(fake.features, real.features),
        "kernel_inception_distance_mean": kernel_distance(fake.features, real.features),
        "inception_score_mean": mean,
        "inception_score_std": deviation,
        "precision": parts["precision"],
        "recall": parts["recall"],
    }
    for name, value in ours.items():
        print(f"\n{name}: {value} {theirs[name]} {abs(value - theirs[name]) / theirs[name]:.1e}")
    # Measured: FID 2e-6, KID 2e-5 (torch-fidelity sums its kernels in float32), IS 1e-9, its
    # deviation 4e-7, precision and recall the same pictures.
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=1e-4), name
