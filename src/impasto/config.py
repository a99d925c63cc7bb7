"""The typed description of a training run; `settings.py` changes it by dotted names.

A recipe is a function that returns a `RunConfig`; `run.json` holds the resolved one. Counts and
intervals are in images (real pictures shown to the discriminator), never in steps.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from impasto.config_values import (
    Config,
    Count,
    Finite,
    Fraction,
    Interval,
    Line,
    NotNegative,
    PictureSize,
    Positive,
    Ramp,
    Scheduled,
    ScheduledFraction,
    ScheduledPositive,
    ScheduledShare,
    Share,
    Steps,
    Whole,
    at,
)
from impasto.errors import ImpastoError, in_words
from impasto.files import read_json

FIRST_STAGE = "stage-1"
"""The subfolder with the first stage of a two-stage run."""


class NetworkConfig(Config):
    """A network by its file's name in `networks/`; other settings are its constructor's."""

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
    """Use the term in every n-th update of a network only, with n times the weight: the same
    average at less cost (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section 3.1)."""
    only: Literal["discriminator", "generator"] | None = None
    """The network whose loss it is part of; null: both, if the term has a loss for both."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DecayConfig(Config):
    """A learning rate that is multiplied by `factor` every `images` images, smoothly (exponential
    decay) or in steps."""

    factor: float = Field(gt=0, le=1)
    images: Count
    smooth: bool = True

    def share(self, images_seen: int) -> float:
        """The factor of the learning rate after `images_seen` images."""
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
    """RMSProp (Tieleman and Hinton 2012); `decay` is the weight of the old squared gradient.

    As in torch, the average of squared gradients starts at zero and `eps` is added after the root. In
    TensorFlow it starts at one, and `eps` is added before the root.
    """

    optimiser: Literal["rmsprop"] = "rmsprop"
    learning_rate: ScheduledPositive
    learning_rate_decay: DecayConfig | None = None
    decay: Fraction = 0.9
    eps: float = Field(default=1e-8, gt=0)


OptimiserConfig = Annotated[AdamConfig | RMSPropConfig, Field(discriminator="optimiser")]


OPTIMISERS: dict[str, type[Config]] = {"adam": AdamConfig, "rmsprop": RMSPropConfig}


class LatentConfig(Config):
    """The generator's input: `dim` independent values, standard normal or uniform in [-1, 1]."""

    dim: Count | None = None
    """Number of values; null: as many as the network needs, if it does not take any number."""
    distribution: Literal["normal", "uniform"] = "normal"

    @property
    def size(self) -> int:
        """`dim`, once it is resolved."""
        assert self.dim is not None
        return self.dim


class AugmentConfig(Config):
    """Augmentation of real and generated pictures before the discriminator, in both networks'
    updates, so that it cannot memorise few pictures (Zhao et al. 2020, arXiv:2006.10738)."""

    kinds: tuple[str, ...] = Field(min_length=1)
    """Names of files in `augmentations/`, applied in this order."""
    probability: ScheduledShare | None = None
    """Probability of each kind for each picture. Default 1; with `target`, it starts at 0."""
    target: float | None = Field(default=None, gt=-1, lt=1)
    """Target of adaptive augmentation: the probability rises while E[sign(D(x) - boundary)] over
    real pictures is above this, and falls below it (0.6 in Karras et al. 2020, arXiv:2006.06676,
    section 3)."""
    images: Count = 500_000
    """Images in which an adaptive probability can rise from 0 to 1."""

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
    """The length, the batch, and what is recorded during training."""

    images: Count | None = None
    """Length of the run, rounded up to whole steps; or given as `epochs`."""
    epochs: float | None = Field(default=None, gt=0)
    """Length in passes over the training split."""
    batch: Count
    """Pictures in one optimiser step."""
    accumulate: Count = 1
    """Number of equal parts that a batch is split into (gradient accumulation), to save memory."""
    discriminator_steps: Count = 1
    """Discriminator steps before each generator step (5 for a Wasserstein critic)."""
    generator_steps: Count = 1
    """Generator steps after the discriminator's. The first uses the generated pictures of the last
    discriminator step, each further one new latents and labels. ArtGAN's published code for CIFAR-10
    takes 1, 3 or 5."""
    clip_weights: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """After each of its updates, the discriminator's trained parameters are clamped to [-c, c] with
    this c; null: no clipping. It is the first constraint of a Wasserstein critic (0.01 in Arjovsky et
    al. 2017, arXiv:1701.07875, algorithm 1)."""
    pretrain_images: int = Field(default=0, ge=0)
    """Images for which the discriminator trains alone, before the first generator step."""
    balance: str | None = None
    """A label field whose classes are balanced, for real and generated pictures; unknown counts as
    a class. By default every picture is used once an epoch."""
    balance_by: Literal["equal", "square_root"] = "equal"
    """The frequency of each class of `balance`: equal (a batch of a multiple of their number has
    equally many of each), or proportional to the square root of its pictures."""
    real_noise: float = Field(default=0, ge=0)
    """Standard deviation of Gaussian noise added to the discriminator's real pictures (in [-1, 1]),
    against memorisation. Without noise on generated pictures too, the generator learns to imitate
    the noise."""
    fake_noise: float = Field(default=0, ge=0)
    """Standard deviation of Gaussian noise added to generated pictures, in both networks' updates. The
    value of `real_noise` gives instance noise (Sønderby et al. 2017, arXiv:1610.04490)."""
    mix_batches: float = Field(default=0, ge=0, le=0.5)
    """Probability that a real and a generated picture are swapped between the discriminator's two
    batches, each with its labels, before augmentation and noise, against memorisation (Marin Moreno's
    ArtGAN report, 2020, names it as future work, without a share). Losses are computed on the mixed
    batches; scores and accuracies are recorded of the real and of the generated pictures."""
    hide_labels: ScheduledShare = 0
    """Label dropout probability: the share of labels set to unknown, for each field, so that the
    networks also learn with some or no labels. A ramp down from 1 trains unconditionally first,
    against collapse with few pictures a class (Shahbazi et al. 2022, arXiv:2201.06578)."""
    mirror: bool = False
    """Mirror each real picture with probability 0.5."""
    augment: AugmentConfig | None = None
    """Augmentation; null: none."""
    ema_half_life: Scheduled = 0
    """Half-life, in images, of the generator's moving average (EMA); 0: no averaging."""
    ema_rampup: float | None = Field(default=None, gt=0)
    """The half-life is at most this share of the images seen so far, so that the first weights are
    soon dropped (0.05 in StyleGAN2-ADA, Karras et al. 2020, arXiv:2006.06676, appendix C). It is
    not used when all weights come from a model."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the networks' computation; weights, losses and sums stay in float32. `auto`:
    bfloat16 on GPUs and CPUs with instructions for it (Ampere and later; AVX512-BF16, AMX), float32
    elsewhere."""
    channels_last: bool = True
    """Use the channels-last memory format, which is faster on CPUs and CUDA."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of all random numbers: initial weights, the order of pictures, latents and augmentation."""
    grid: Count = 64
    """Pictures in a sample grid."""
    stats_every: Count | None = None
    """Images between rows of `stats.jsonl`; by default a two-hundredth of the run."""
    samples_every: Count | None = None
    """Images between sample grids; by default a fortieth of the run."""
    checkpoint_every: Count | None = None
    """Images between checkpoints; by default a hundredth of the run, but at least 10,000."""
    keep_newest: Count = 2
    """Number of newest checkpoints kept."""
    keep_every: Count | None = 10
    """Besides the newest, every so many-th scheduled checkpoint is kept; null: none."""

    @model_validator(mode="after")
    def _check(self) -> "TrainingConfig":
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} does not divide by accumulate {self.accumulate}")
        return self

    def settings_of_a_discriminator(self) -> list[str]:
        """Names of changed settings that have no effect without a discriminator."""
        names = (
            *("discriminator_steps", "clip_weights", "pretrain_images", "real_noise"),
            *("fake_noise", "mix_batches", "augment"),
        )
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) != fields[name].default]


class EvaluationConfig(Config):
    """Evaluation of the averaged generator during training, separately for each stage of a run.

    Older runs without this section are not evaluated.
    """

    every: int | None = Field(default=None, ge=0)
    """Images between evaluations, and one at the end; 0: none. By default a tenth of the run, but at
    least 20 times `pictures`; a run shorter than that has none, unless it has `patience`."""
    most_time: float | None = Field(default=None, gt=0, le=1)
    """Most time for evaluations, as a share of the training time; null: no limit. The first evaluation
    is timed; then only as many are made as fit, evenly spread, with one at the end. By default 0.05;
    null if `every` or `patience` is set."""
    pictures: int = Field(default=500, ge=2)
    """Number of generated pictures, of the seeds from 0 on. With several sizes, all of them together
    have about this number, equally many of each."""
    per_class: int = Field(default=0, ge=0)
    """Least number of each class; extra pictures are generated for scores by class."""
    features: str = "lite0"
    """The feature network, by its file's name in `features/`."""
    reference: int = Field(default=2_000, ge=2)
    """Most training pictures in the reference; with several sizes, in all of them together."""
    keep_best: int = Field(default=1, ge=0)
    """Number of extra checkpoints kept for the lowest smoothed KID: the mean of this and up to two
    earlier evaluations. `RUN/best` stands for the best one."""
    patience: Count | None = None
    """Images without a new best smoothed KID after which training ends; null: never."""
    only_if_copying: bool = False
    """With `patience`: training ends only if the last two evaluations also found more copies of training
    pictures than chance explains."""


class DoctorConfig(Config):
    """The reaction to divergence, see `training/doctor.py`."""

    rollbacks: int = Field(default=3, ge=0)
    """How often training goes back to the last good checkpoint with learning rates halved,
    before it stops; 0: it stops at once."""


class RunConfig(Config):
    """All settings of a training run, without the collection and the device."""

    recipe: str
    from_model: bool = False
    """Continue a finished model (`--from`): its generator, latent and label fields replace those of this
    config, and its discriminator too, if this config has one."""
    resolution: PictureSize
    buckets: tuple[PictureSize, ...] = ()
    """All sizes that one generator makes, of different proportions, `resolution` among them; each batch
    is of one. Empty: `resolution` only."""
    labels: tuple[str, ...] = ()
    """Label fields of the collection that the networks are conditioned on."""
    latent: LatentConfig
    generator: NetworkConfig
    discriminator: NetworkConfig | None
    """The discriminator; null: there is none, and the objective consists of terms that need none."""
    objective: tuple[TermConfig, ...] = Field(min_length=1)
    generator_optimiser: OptimiserConfig
    discriminator_optimiser: OptimiserConfig | None
    training: TrainingConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    doctor: DoctorConfig = DoctorConfig()
    autoencoder: NetworkConfig | None = None
    """A frozen autoencoder: the generator makes latents, which its decoder turns into pictures; null:
    the generator makes pictures."""
    first_stage: "RunConfig | None" = None
    """A first stage, trained first in this run's folder. With the generator `stacked`, its generator
    becomes the frozen first part of this run's. With others, this run starts from its weights, as with
    `--from`. It has the same latent and seed. Its labels are this run's or some of them; if equal,
    changing one changes both. It may have a first stage of its own."""

    @property
    def stages(self) -> list["RunConfig"]:
        """The configs of all stages, the first one first, this one last."""
        return [*(self.first_stage.stages if self.first_stage is not None else ()), self]

    @property
    def grows(self) -> bool:
        """Whether the run starts from its first stage's weights."""
        return self.first_stage is not None and self.generator.network != "stacked"

    @property
    def discriminator_steps(self) -> int:
        """Discriminator updates in a step: `training.discriminator_steps`, or 0 without one."""
        return 0 if self.discriminator is None else self.training.discriminator_steps

    @property
    def images_a_step(self) -> int:
        """Real pictures in a step: a batch for each discriminator update, or, without a
        discriminator, for each generator update."""
        return self.training.batch * (self.discriminator_steps or self.training.generator_steps)

    @model_validator(mode="after")
    def _check_discriminator(self) -> "RunConfig":
        if self.discriminator is not None:
            if self.discriminator_optimiser is None:
                raise ValueError("discriminator_optimiser is null, but there is a discriminator")
            return self
        if self.discriminator_optimiser is not None:
            raise ValueError(
                "discriminator is null: set discriminator_optimiser to null too, such as with "
                "--set discriminator_optimiser=null"
            )
        if idle := self.training.settings_of_a_discriminator():
            raise ValueError(
                f"training.{idle[0]} is about a discriminator, and discriminator is null: leave it out"
            )
        return self


# Replacements for unclear messages of pydantic.
def _describe(error: ValidationError) -> str:
    """The first error, as `training.batch: ...`."""
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


MOST_RECORD = 2**24
"""Bytes of the largest record that is read."""


def read_record(path: Path, what: str, kind: type[Record]) -> Record:
    """Read a JSON file as a `kind`; `what` is its name in errors ("model", "checkpoint", ...).

    Raises:
        ImpastoError: the file is missing, no JSON, or not such a record.
    """
    try:
        return kind.model_validate(read_json(path, what, MOST_RECORD))
    except ValidationError as error:
        raise ImpastoError(f"{path} is damaged ({_describe(error)}); restore a copy") from error


def to_yaml(config: RunConfig) -> str:
    """The configuration as readable YAML, in the order of the classes above."""
    text: str = yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return text


__all__ = [
    "FIRST_STAGE",
    "OPTIMISERS",
    "AdamConfig",
    "AugmentConfig",
    "Config",
    "Count",
    "DecayConfig",
    "DoctorConfig",
    "EvaluationConfig",
    "Finite",
    "Fraction",
    "Interval",
    "LatentConfig",
    "Line",
    "NetworkConfig",
    "NotNegative",
    "OptimiserConfig",
    "PictureSize",
    "Positive",
    "RMSPropConfig",
    "Ramp",
    "Record",
    "RunConfig",
    "Scheduled",
    "ScheduledFraction",
    "ScheduledPositive",
    "ScheduledShare",
    "Share",
    "Steps",
    "TermConfig",
    "TrainingConfig",
    "Whole",
    "at",
    "parse_config",
    "read_record",
    "to_yaml",
]
