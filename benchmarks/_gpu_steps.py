"""The steps of `on_gpu.py`, each a function of its task that gives rows for the table."""

import contextlib
import copy
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import impasto
from benchmarks._device_checks import CHECKS, DrawnOnCpu
from benchmarks.on_gpu import Row, Task
from benchmarks.time_to_quality import parse_entry
from benchmarks.training_profile import Stepper
from impasto.collection import Collection, PackOptions, pack
from impasto.device import choose_device, set_up_training, wait_for
from impasto.errors import ImpastoError, lacks_memory
from impasto.features import FeatureNetwork, lite0
from impasto.features._efficientnet_lite import EfficientNetLite
from impasto.networks import build_generator
from impasto.registry import load_recipe
from impasto.sampling import Model, Sampler
from impasto.settings import change
from impasto.training.data import TrainingPictures
from impasto.training.resolve import resolve
from impasto.training.session import Session

GENRES, STYLES = ("landscape", "portrait", "marina", "still life"), ("Cubism", "Rococo", "Ukiyo-e")


def machine(task: Task) -> Iterator[Row]:
    """What it is measured on."""
    device = choose_device(task.device)
    row: Row = {
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "lite0's weights": "published" if _has_lite0() else "random",
    }
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        row |= {
            "name": facts.name,
            "memory GB": facts.total_memory / 1e9,
            "capability": f"{facts.major}.{facts.minor}",
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
        }
    yield row


def products(task: Task) -> Iterator[Row]:
    """The best of ten large matrix products in each kind of numbers."""
    device = choose_device(task.device)
    side = 8192 if device.type != "cpu" else 128 if task.tiny else 1024
    kinds = [("float32", torch.float32, False), ("bfloat16", torch.bfloat16, False)]
    if device.type == "cuda":
        kinds.insert(1, ("tf32", torch.float32, True))
    for name, dtype, tf32 in kinds:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        best = float("inf")
        for _ in range(11):  # the first one chooses an algorithm
            wait_for(device)
            began = time.perf_counter()
            a @ b
            wait_for(device)
            best = min(best, time.perf_counter() - began)
        yield {"numbers": name, "side": side, "TFLOP/s": 2 * side**3 / best / 1e12}


def collection(task: Task) -> Iterator[Row]:
    """Pictures of coloured blocks in two label fields, packed."""
    count, side = (24, 32) if task.tiny else (512, 256)
    folder = Path(task.folder) / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    lines = ["file,style,genre"]
    for number in range(count):
        blocks = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        blocks.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:04}.jpg")
        style, genre = STYLES[number % len(STYLES)], GENRES[number // 2 % len(GENRES)]
        lines.append(f"{number:04}.jpg,{style},{genre}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(
        resolution=side,
        smaller=() if task.tiny else (32, 64, 128),
        fit="crop",
        encoding="raw",
        labels=("style", "genre"),
        name="blocks",
    )
    began = time.perf_counter()
    packed = pack(folder, _collection(task), options).collection
    seconds = time.perf_counter() - began
    yield {"pictures": len(packed), "pixels": side, "pictures/s": len(packed) / seconds}


def _collection(task: Task) -> Path:
    return Path(task.folder) / "collection"


def checks(task: Task) -> Iterator[Row]:
    """Plain functions about the device: a row each, and what it found or how it failed."""
    device = choose_device(task.device)
    packed = Collection.open(_collection(task))
    with lite0_weights():
        for check in CHECKS:
            row: Row = {"check": check.__name__.replace("_", " ")}
            try:
                yield {**row, "found": check(device, packed)}
            except Exception as error:
                yield {**row, "failed": f"{type(error).__name__}: {error}"}


# Training


def recipe(task: Task, *, recipe: str, batches: list[int]) -> Iterator[Row]:
    """Images a second of a recipe at several batches, memory, and arithmetic."""
    seconds = 0.1 if task.tiny else 2.0
    operations: float | None = None
    for batch in batches:
        try:
            with lite0_weights():
                stepper = _stepper(task, recipe, batch)
            device = stepper.session.device
            _forget_peak(device)
            if operations is None:  # which warms up, too; they are in proportion to the batch
                operations = stepper.operations() / stepper.images
            rate = _steps_a_second(stepper, seconds)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            yield {"batch": batch, "failed": "not enough memory"}
            return
        images = rate * stepper.images
        yield {
            "batch": batch,
            "precision": stepper.precision,
            "images/s": images,
            "ms a step": 1000 / rate,
            "GFLOP an image": operations / 1e9,
            "TFLOP/s": images * operations / 1e12,
            "peak GB": _peak(device),
        }


def _stepper(task: Task, recipe: str, batch: int) -> Stepper:
    text = f"{recipe}{',' if ':' in recipe else ':'}training.batch={batch}"
    if "training.precision" not in text:
        text += ",training.precision=auto"
    device = choose_device(task.device)
    stepper = Stepper(text, str(_collection(task)), device)
    set_up_training(device, stepper.session.config.training.precision)
    return stepper


def _steps_a_second(stepper: Stepper, seconds: float) -> float:
    device = stepper.session.device

    def now() -> float:
        wait_for(device)
        return time.perf_counter()

    for _ in range(3):
        stepper.step()
    # Steps are asked for without waiting in between, as in training.
    needed = max(1, round(seconds * stepper.steps_for(seconds / 4, now)))
    began = now()
    for _ in range(needed):
        stepper.step()
    return needed / (now() - began)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None


def compiled(task: Task, *, recipe: str) -> Iterator[Row]:
    """A recipe's speed with both networks compiled, against that without."""
    seconds = 0.1 if task.tiny else 2.0
    for mode in (None, "default", "reduce-overhead"):
        with lite0_weights():
            stepper = _stepper(task, recipe, 4 if task.tiny else 32)
        state = stepper.session.state
        began = time.perf_counter()
        if mode is not None:
            for network in (state.generator, state.discriminator):
                network.compile(mode=mode)
        try:
            stepper.step()
            wait_for(stepper.session.device)
            first = time.perf_counter() - began
            images = _steps_a_second(stepper, seconds) * stepper.images
            yield {"mode": mode or "none", "images/s": images, "first step s": first}
        except Exception as error:  # whatever the compiler meets
            words = str(error).strip().splitlines()
            yield {"mode": mode, "failed": f"{type(error).__name__}: {words[0] if words else ''}"}


def reading(task: Task) -> Iterator[Row]:
    """Batches of pictures on the device: with and without the thread that reads ahead, by turns."""
    device, side = choose_device(task.device), 32 if task.tiny else 256
    packed = Collection.open(_collection(task)).at(side)
    pictures = TrainingPictures(packed, ("style",), 0, device, torch.channels_last)
    ahead = pictures._read_ahead()
    batch, batches = (4, 20) if task.tiny else (64, 100)
    for turn, (name, way) in enumerate([("none", None), ("ahead", ahead)] * 2):
        pictures._ahead = way
        wait_for(device)
        began = time.perf_counter()
        for number in range(batches):
            pictures.shown((turn * batches + number) * batch, batch)
        wait_for(device)
        rate = batches * batch / (time.perf_counter() - began)
        yield {"thread": name, "pixels": side, "batch": batch, "pictures/s": rate}


# Equality


SMALL = {
    "ukiyoe_dcgan_v2": "generator.width=16,discriminator.width=16",
    "flagship_32": "training.mirror=true",
    "r3gan_32": "generator.width=16,discriminator.width=16",
}
"""What makes recipes quick enough to train on a CPU for comparison."""


def equality(task: Task, *, recipe: str) -> Iterator[Row]:
    """The gradients of some steps on the device and on the CPU, in float32 from the same weights.

    GANs and Adam amplify rounding from step to step, so each step begins with the weights that the CPU
    has there. How far rounding alone sets gradients apart is measured: the CPU computes them twice, the
    second time with maps in another memory format, which sums in another order.
    """
    steps = 3 if task.tiny else 20
    text = f"{recipe}:resolution=32,training.batch=16,{SMALL[recipe]}"
    device, cpu = choose_device(task.device), torch.device("cpu")
    with lite0_weights():
        exact = _Course.run(task, text, cpu, steps)
        summed = _Course.run(task, f"{text},training.channels_last=false", cpu, steps, exact)
        other = _Course.run(task, text, device, steps, exact)
    row: Row = {"steps": steps}
    for network in (0, 1):
        name = ("discriminator", "generator")[network]
        rounding, apart = summed.distance(exact, network), other.distance(exact, network)
        row |= {f"{name}'s gradients": apart, f"{name}'s of a CPU to itself": rounding}
        if not apart <= 10 * rounding:
            row["failed"] = f"{name}: more than ten times the distance of a CPU to itself"
    yield row


@dataclass
class _Course:
    """What a training went through."""

    weights: list[tuple[dict[str, Tensor], ...]]
    """Of discriminator and generator, before each step."""
    gradients: list[tuple[Tensor, ...]]
    """All of the discriminator and all of the generator, in each step, in float64."""

    @classmethod
    def run(
        cls, task: Task, text: str, device: torch.device, steps: int, along: "_Course | None" = None
    ) -> "_Course":
        """Train so many steps in IEEE float32, each from the weights of a course that is given."""
        entry = parse_entry(text)
        config = change(load_recipe(entry.recipe)(), {**entry.set, "training.precision": "float32"})
        packed = Collection.open(_collection(task)).at(32)
        session = Session(resolve(config, packed), packed, device)
        set_up_training(device, "float32")
        networks = (session.state.discriminator, session.state.generator)
        course = cls([], [])
        for number in range(steps):
            if along is not None:
                for network, weights in zip(networks, along.weights[number], strict=True):
                    network.load_state_dict(weights)
            course.weights.append(tuple(copy.deepcopy(each.state_dict()) for each in networks))
            torch.manual_seed(number)
            with DrawnOnCpu():
                session.trainer.step()
            course.gradients.append(
                tuple(
                    torch.cat(
                        [
                            p.grad.cpu().double().flatten()
                            for p in each.parameters()
                            if p.grad is not None
                        ]
                    )
                    for each in networks
                )
            )
        return course

    def distance(self, other: "_Course", network: int) -> float:
        """The largest distance of a step's gradients, in shares of the other's."""
        distances = [
            (mine[network] - theirs[network]).norm() / theirs[network].norm()
            for mine, theirs in zip(self.gradients, other.gradients, strict=True)
        ]
        return float(torch.stack(distances).max())


# Sampling and features


def sampling(task: Task) -> Iterator[Row]:
    """Pictures a second of generators with random weights, and of the model in the package."""
    device = choose_device(task.device)
    count, batch = (8, 4) if task.tiny else (4096, 256)
    recipes = (parse_entry("first_look").recipe,) if task.tiny else ("flagship_256", "r3gan_64")
    generators = [("masters", Model.load("masters").generator, Model.load("masters").latent, 1)]
    for name in recipes:
        config = load_recipe(name)()
        network = build_generator(
            config.generator.network,
            config.generator.options,
            latent_dim=config.latent.dim,
            resolution=config.resolution,
        )
        generators.append((name, network, config.latent, 0))
    for name, network, latent, fields in generators:
        for precision in ("float32", "bfloat16"):
            sampler = Sampler(network, latent, device, label_fields=fields, precision=precision)
            list(sampler.batches(range(batch), batch=batch))
            began = time.perf_counter()
            for _ in sampler.batches(range(count), batch=batch):
                pass
            rate = count / (time.perf_counter() - began)
            yield {"model": name, "precision": precision, "batch": batch, "pictures/s": rate}


def features(task: Task) -> Iterator[Row]:
    """Pictures a second of feature networks, and their largest difference from the CPU's features."""
    device = choose_device(task.device)
    count = 8 if task.tiny else 2048
    pixels = torch.randint(256, (count, 64, 64, 3), dtype=torch.uint8)
    with lite0_weights():
        network = _lite0(device)
        on_cpu = _lite0(torch.device("cpu"))(pixels[:8]).features
    found = network(pixels[:64]).features[:8]
    began = time.perf_counter()
    network(pixels)
    rate = count / (time.perf_counter() - began)
    apart = float((found - on_cpu).abs().max() / on_cpu.abs().max())
    yield {"network": "lite0", "pictures/s": rate, "largest difference": apart}


def _lite0(device: torch.device) -> FeatureNetwork:
    return lite0.load(device=device)


def _has_lite0() -> bool:
    try:
        return lite0._weights().is_file()
    except ImpastoError:
        return False


@contextlib.contextmanager
def lite0_weights() -> Iterator[None]:
    """Where lite0's weights are not installed, random ones stand in."""
    if _has_lite0():
        yield
        return

    def random(_: Path) -> EfficientNetLite:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return EfficientNetLite("lite0").eval()

    with mock.patch.multiple(lite0, _weights=lambda: Path(__file__), _read=random):
        yield


# Whole runs


def resume(task: Task) -> Iterator[Row]:
    """A run that lost its second half is resumed, and compared with what it was."""
    run, rate = _train(task, "whole")
    cut = run.with_name(f"{run.name}-cut")
    shutil.copytree(run, cut)
    shutil.rmtree(_newest(cut))
    _call(task, ["-m", "impasto", "resume", str(cut), "--data", str(_collection(task))])
    distance = _distance(_newest(run), _newest(cut))
    row: Row = {"images/s": rate, "identical": distance == 0, "distance": distance}
    if not distance < 0.1:
        row["failed"] = "the resumed run has other weights"
    yield row


def processes(task: Task) -> Iterator[Row]:
    """One run on two processes, which share the device if there is only one."""
    alone, rate = _train(task, "alone")
    runner = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    together, both = _train(task, "together", runner)
    distance = _distance(_newest(alone), _newest(together))
    row: Row = {"images/s of one": rate, "images/s of two": both, "distance": distance}
    if not distance < 0.1:
        row["failed"] = "two processes train other weights than one"
    yield row


def _train(task: Task, name: str, runner: list[str] | None = None) -> tuple[Path, float]:
    """Train a small recipe in two halves of a run; gives the run and images a second.

    Raises:
        RuntimeError: it failed, or made another number of runs than one.
    """
    images = 32 if task.tiny else 4096
    out = Path(task.folder) / f"runs-{task.step}-{name}"
    settings: dict[str, Any] = {
        "evaluation.every": 0,
        "training.accumulate": 2,
        "training.checkpoint_every": images // 2,
        "training.samples_every": images,
        "training.stats_every": images // 4,
        "resolution": 32,
        "training.batch": 8 if task.tiny else 64,
    }
    if task.tiny:
        settings |= {"generator.width": 8, "discriminator.width": 8}
    words = [*(runner or []), "-m", "impasto", "train", "ukiyoe_dcgan_v2"]
    words += ["--data", str(_collection(task)), "--out", str(out), "--images", str(images)]
    words += ["--device", task.device]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    _call(task, words)
    runs = sorted(out.iterdir())
    if len(runs) != 1:
        raise RuntimeError(f"{len(runs)} runs were made by one command, which should be one run")
    rows = [json.loads(line) for line in (runs[0] / "stats.jsonl").read_text().splitlines()]
    return runs[0], rows[-1]["images_per_second"]


def _call(task: Task, words: list[str]) -> None:
    environment = {**os.environ, "IMPASTO_CACHE": str(Path(task.folder) / "cache")}
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=task.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr, sep="\n", flush=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"impasto: exit status {done.returncode}: {said[-1] if said else ''}")


def _newest(run: Path) -> Path:
    return sorted((run / "checkpoints").glob("[0-9]*"))[-1]


def _distance(one: Path, other: Path) -> float:
    """How far the weights of two checkpoints are from each other, in shares of their size."""
    first, second = (
        torch.cat(
            [
                tensor.double().flatten()
                for tensor in Model.load(each).generator.state_dict().values()
            ]
        )
        for each in (one, other)
    )
    return float((first - second).norm() / first.norm())
