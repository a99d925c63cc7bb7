"""The typed description of a training run; `settings.py` changes it by dotted names.

A recipe is a function that returns a `RunConfig`; `run.json` holds the resolved one. Counts and
intervals are in images (real pictures shown to the discriminator), never in steps.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from impasto.errors import ImpastoError, in_words
from impasto.files import read_json

FIRST_STAGE = "stage-1"
"""The folder, in that of a run in two stages, of the run that is its first one."""

Count = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _rising(interval: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError("an interval is two numbers from 0 to 1, the smaller one first")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Lowest and highest probability, such as (0.7, 1.0)."""


class Config(BaseModel):
    """Base of all settings: frozen, and a misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ramp(Config):
    """A number that goes from `start` to `end` along half a cosine wave while the run sees `images`
    images, and stays there (R3GAN, Huang et al. 2024, arXiv:2501.05441, appendix)."""

    start: float
    end: float
    images: Count

    def at(self, images_seen: int) -> float:
        """Its value after so many images."""
        share = min(images_seen / self.images, 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


def at(value: float | Ramp, images_seen: int) -> float:
    """What a setting that may change over the run is after so many images."""
    return value.at(images_seen) if isinstance(value, Ramp) else value


def _each(holds: Callable[[float], bool], words: str) -> Callable[[float | Ramp], float | Ramp]:
    """A check of a number, or of both ends of one that changes."""

    def check(value: float | Ramp) -> float | Ramp:
        ends = (value.start, value.end) if isinstance(value, Ramp) else (value,)
        if not all(holds(end) for end in ends):
            raise ValueError(f"Input should be {words}")
        return value

    return check


_Changing = Annotated[
    Annotated[float, Tag("number")] | Annotated[Ramp, Tag("ramp")],
    Discriminator(lambda value: "ramp" if isinstance(value, dict | Ramp) else "number"),
]
ScheduledPositive = Annotated[
    _Changing, AfterValidator(_each(lambda number: number > 0, "greater than 0"))
]
Scheduled = Annotated[
    _Changing, AfterValidator(_each(lambda number: number >= 0, "greater than or equal to 0"))
]
"""A number, or a ramp between two: `{start: 2, end: 0.2, images: 1000000}`."""
ScheduledShare = Annotated[
    _Changing, AfterValidator(_each(lambda number: 0 <= number <= 1, "from 0 to 1"))
]
ScheduledFraction = Annotated[
    _Changing, AfterValidator(_each(lambda number: 0 <= number < 1, "at least 0 and below 1"))
]


class NetworkConfig(Config):
    """A network by its file's name in `networks/`; further settings are its constructor's own."""

    model_config = ConfigDict(extra="allow")
    network: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class TermConfig(Config):
    """A term of the objective by its file's name in `objectives/`, with its weight and options."""

    model_config = ConfigDict(extra="allow")
    term: str
    weight: Scheduled = 1.0
    every: Count = 1
    """Only in every n-th update of a network, with n times the weight: as strong on average, for less
    (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section 3.1)."""
    only: Literal["discriminator", "generator"] | None = None
    """The one player whose loss it is part of; null: both, as far as the term has a half for each."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DecayConfig(Config):
    """A learning rate that falls to `factor` of itself every `images` images, smoothly (exponential
    decay) or all at once at the end of each interval."""

    factor: float = Field(gt=0, le=1)
    images: Count
    smooth: bool = True

    def share(self, images_seen: int) -> float:
        """What is left of the learning rate after `images_seen` images."""
        times = images_seen / self.images if self.smooth else images_seen // self.images
        return float(self.factor**times)


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015), algorithm 1."""

    optimiser: Literal["adam"] = "adam"
    learning_rate: ScheduledPositive
    learning_rate_decay: DecayConfig | None = None
    betas: tuple[Fraction, ScheduledFraction] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)


class RMSPropConfig(Config):
    """RMSProp (Tieleman and Hinton 2012); `decay` is the weight of the old squared gradient."""

    optimiser: Literal["rmsprop"] = "rmsprop"
    learning_rate: ScheduledPositive
    learning_rate_decay: DecayConfig | None = None
    decay: Fraction = 0.9
    eps: float = Field(default=1e-8, gt=0)


OptimiserConfig = Annotated[AdamConfig | RMSPropConfig, Field(discriminator="optimiser")]


OPTIMISERS: dict[str, type[Config]] = {"adam": AdamConfig, "rmsprop": RMSPropConfig}


class LatentConfig(Config):
    """The generator's input: `dim` independent values, standard normal or uniform in [-1, 1]."""

    dim: Count
    distribution: Literal["normal", "uniform"] = "normal"


class AugmentConfig(Config):
    """How pictures, real and generated, are changed before the discriminator judges them, in both
    networks' updates, so that it cannot learn the few there are by heart (Zhao et al. 2020,
    arXiv:2006.10738)."""

    kinds: tuple[str, ...] = Field(min_length=1)
    """In this order, each by its file's name in `augmentations/`."""
    probability: ScheduledShare | None = None
    """Of each kind for each picture. By default 1; with `target`, 0 to begin with."""
    target: float | None = Field(default=None, gt=-1, lt=1)
    """Adaptive: the probability rises while the discriminator's value for real pictures is above its
    boundary more often than this says (E[sign(D(x))], 0.6 in Karras et al. 2020, arXiv:2006.06676,
    section 3), and falls while it is not."""
    images: Count = 500_000
    """Images in which an adaptive probability could go from 0 to 1."""

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_is_a_list_too(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> "AugmentConfig":
        if self.target is not None and isinstance(self.probability, Ramp):
            raise ValueError("a probability that is adapted to a target cannot follow a ramp too")
        return self


class TrainingConfig(Config):
    """How long, in what portions, and what is written down on the way."""

    images: Count | None = None
    """Length of the run, rounded up to whole steps; or given as `epochs`."""
    epochs: float | None = Field(default=None, gt=0)
    """Length in passes over the training split."""
    batch: Count
    """Pictures whose gradients make one optimiser step."""
    accumulate: Count = 1
    """Equal portions that a batch is split into, to fit a small memory."""
    discriminator_steps: Count = 1
    """Discriminator steps before each generator step (5 for a Wasserstein critic)."""
    pretrain_images: int = Field(default=0, ge=0)
    """Images for which the discriminator trains alone, before the first generator step."""
    balance: str | None = None
    """A label field whose classes take turns in being shown, and being asked of the generator;
    pictures of unknown class count as a class. By default every picture is shown once an epoch."""
    balance_by: Literal["equal", "square_root"] = "equal"
    """How often each class of `balance` is shown: all equally often (a batch of a multiple of their
    number holds as many of each), or in proportion to the square root of its pictures."""
    real_noise: float = Field(default=0, ge=0)
    """Standard deviation, on the scale of pictures in [-1, 1], of Gaussian noise added to the real
    pictures that the discriminator judges: a brake on one that learns them by heart. Without noise
    on generated ones too, the generator learns to paint the noise."""
    fake_noise: float = Field(default=0, ge=0)
    """The same for generated pictures, in both networks' updates. As much of both is instance noise
    (Sønderby et al. 2017, arXiv:1610.04490)."""
    hide_labels: ScheduledShare = 0
    """Label dropout probability: the share of labels that become unknown, for each field: so the pair
    learns to paint by some of the fields, or by none. As a ramp from 1 downwards it learns to paint
    before it learns classes, against the collapse that few pictures a class can bring (Shahbazi et
    al. 2022, arXiv:2201.06578)."""
    mirror: bool = False
    """Every real picture is shown mirrored half of the time."""
    augment: AugmentConfig | None = None
    """Changes of real and generated pictures before they are judged; null: none."""
    ema_half_life: Scheduled = 0
    """Images after which a weight's share in the averaged generator has halved; 0: no averaging."""
    ema_rampup: float | None = Field(default=None, gt=0)
    """The half-life is at most this share of the images seen so far, so that the first, poor weights
    are soon forgotten (0.05 in StyleGAN2-ADA, Karras et al. 2020, arXiv:2006.06676, appendix C). Not
    so where a training starts from a model and keeps all of it: its first weights are good ones."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of what the networks compute; weights, losses and sums stay in float32. `auto`: bfloat16 on GPUs
    and CPUs with instructions for it (Ampere and later; AVX512-BF16, AMX), float32 elsewhere."""
    channels_last: bool = True
    """Keep the channels of a pixel together in memory, which is quicker on CPUs and CUDA."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    grid: Count = 64
    """Pictures in a sample grid."""
    stats_every: Count | None = None
    """Images between rows of `stats.jsonl`; by default a two-hundredth of the run."""
    samples_every: Count | None = None
    """Images between sample grids; by default a fortieth of the run."""
    checkpoint_every: Count | None = None
    """Images between checkpoints; by default a hundredth of the run, but at least 10,000."""
    keep_newest: Count = 2
    """Checkpoints kept, counted from the newest."""
    keep_every: Count | None = 10
    """Besides, every n-th checkpoint is kept for good; null: none."""

    @model_validator(mode="after")
    def _check(self) -> "TrainingConfig":
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} does not divide by accumulate {self.accumulate}")
        return self


class EvaluationConfig(Config):
    """How the averaged generator is scored on the way, and what the scores decide.

    Each stage of a run has its own. A run that was begun before there was this section is not
    evaluated.
    """

    every: int | None = Field(default=None, ge=0)
    """Images between evaluations, and one at the end; 0: none. By default a tenth of the run, but at
    least 20 times `pictures`, so that it takes a small share of the time; a run shorter than that has
    none, unless it has `patience`."""
    pictures: int = Field(default=500, ge=2)
    """Generated for an evaluation: seeds 0 and on, the same every time."""
    per_class: int = Field(default=0, ge=0)
    """More are generated of classes with fewer than this among them, for scores by class."""
    features: str = "lite0"
    """The feature network, by its file's name in `features/`."""
    reference: int = Field(default=2_000, ge=2)
    """Training pictures that are compared with, at most."""
    keep_best: int = Field(default=1, ge=0)
    """Checkpoints kept, besides the others, for the best (lowest) smoothed KID: the mean of this and
    up to two earlier evaluations. `RUN/best` stands for the very best wherever a model is asked for."""
    patience: Count | None = None
    """Images without a new best smoothed KID after which training ends; null: never."""


class DoctorConfig(Config):
    """What is done when the numbers of a run are no longer finite, or explode, see
    `training/doctor.py`."""

    rollbacks: int = Field(default=3, ge=0)
    """How often it goes back to the last good checkpoint and on with both learning rates halved,
    before it stops with advice; 0: it stops at once."""


class RunConfig(Config):
    """Everything that makes a training run, but for the collection and the device."""

    recipe: str
    resolution: Count
    labels: tuple[str, ...] = ()
    """Label fields of the collection that the networks are conditioned on."""
    latent: LatentConfig
    generator: NetworkConfig
    discriminator: NetworkConfig
    objective: tuple[TermConfig, ...] = Field(min_length=1)
    generator_optimiser: OptimiserConfig
    discriminator_optimiser: OptimiserConfig
    training: TrainingConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    doctor: DoctorConfig = DoctorConfig()
    first_stage: "RunConfig | None" = None
    """A run that is trained first, in this run's folder; its generator becomes the frozen beginning
    of this run's one. It shares this run's latent and seed. Its labels are this run's or some of
    them; where they are the same, changing this run's changes both."""


# pydantic's wording where a user would not understand it.
def _describe(error: ValidationError) -> str:
    """The first thing wrong, as `training.batch: ...`."""
    first = error.errors()[0]
    tags = ("adam", "rmsprop", "number", "ramp")
    place = ".".join(str(part) for part in first["loc"] if part not in tags)
    message = in_words(first)
    return f"{place}: {message}" if place else message


def parse_config(value: Mapping[str, Any], where: str) -> RunConfig:
    """Validate a mapping, such as the `config` of a `run.json` found at `where`.

    Raises:
        ImpastoError: with the first setting that is wrong.
    """
    try:
        return RunConfig.model_validate(value)
    except ValidationError as error:
        raise ImpastoError(f"{where}: {_describe(error)}") from error


Record = TypeVar("Record", bound=BaseModel)


def read_record(path: Path, what: str, kind: type[Record]) -> Record:
    """Read a JSON file as a `kind`; `what` names it in errors ("model", "checkpoint", ...).

    Raises:
        ImpastoError: the file is missing, no JSON, or not such a record.
    """
    try:
        return kind.model_validate(read_json(path, what))
    except ValidationError as error:
        raise ImpastoError(f"{path} is damaged ({_describe(error)}); restore a copy") from error


def to_yaml(config: RunConfig) -> str:
    """The configuration as readable YAML, in the order of the classes above."""
    text: str = yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return text
