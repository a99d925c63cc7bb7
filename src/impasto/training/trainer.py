"""The two players with their optimisers, and one step of their game."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.augmentations import Augmentation
from impasto.config import AdamConfig, OptimiserConfig, RunConfig, at
from impasto.device import autocast, memory_format
from impasto.networks import Judgement, build_discriminator, build_generator
from impasto.objectives import Objective, StepInputs
from impasto.training.adaptive import AdaptiveProbability
from impasto.training.data import TrainingPictures
from impasto.training.doctor import Intervention, learning_rate_factor


def build_optimiser(config: OptimiserConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of one network, in torch's fastest form for it."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    rate = at(config.learning_rate, 0)
    if isinstance(config, AdamConfig):
        betas = (config.betas[0], at(config.betas[1], 0))
        return torch.optim.Adam(parameters, rate, betas=betas, eps=config.eps, fused=True)
    return torch.optim.RMSprop(parameters, rate, alpha=config.decay, eps=config.eps)


@contextlib.contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """These weights gather no gradient from what is computed meanwhile: a third of the work."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _adaptive(config: RunConfig, device: torch.device) -> AdaptiveProbability | None:
    augment = config.training.augment
    if augment is None or augment.target is None:
        return None
    return AdaptiveProbability(
        target=augment.target,
        adjust_images=augment.images,
        start=at(augment.probability or 0.0, 0),
        device=device,
    )


@dataclass
class TrainState:
    """Everything that training changes."""

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    """The generator with exponentially averaged weights: what is sampled and exported."""
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    images_seen: int = 0
    """Real pictures shown to the discriminator: the clock of training."""
    steps: int = 0
    seconds: float = 0.0
    """Training time so far, over all sessions of the run."""
    adaptive: AdaptiveProbability | None = None
    """How often pictures are augmented, where that follows the discriminator."""
    interventions: tuple[Intervention, ...] = ()
    """Of the doctor, so far; each has halved the learning rates."""

    @classmethod
    def build(
        cls, config: RunConfig, label_sizes: tuple[int, ...], device: torch.device
    ) -> "TrainState":
        """Fresh players; their first weights are a function of `training.seed` alone."""
        torch.manual_seed(config.training.seed)
        form = memory_format(device, config.training.channels_last)
        generator = build_generator(
            config.generator.network,
            config.generator.options,
            latent_dim=config.latent.dim,
            resolution=config.resolution,
            label_sizes=label_sizes,
        ).to(device, memory_format=form)  # type: ignore[call-overload]
        discriminator = build_discriminator(
            config.discriminator.network,
            config.discriminator.options,
            resolution=config.resolution,
            label_sizes=label_sizes,
        ).to(device, memory_format=form)  # type: ignore[call-overload]
        return cls(
            generator,
            discriminator,
            copy.deepcopy(generator).eval().requires_grad_(False),
            build_optimiser(config.generator_optimiser, generator),
            build_optimiser(config.discriminator_optimiser, discriminator),
            adaptive=_adaptive(config, device),
        )

    def begin_with(self, first_stage: nn.Module) -> None:
        """Put a trained first stage's weights into the generator that is stacked on it."""
        for network in (self.generator, self.average):
            stage: nn.Module = network.base  # type: ignore[assignment]
            stage.load_state_dict(first_stage.state_dict())

    def schedule(self, config: RunConfig) -> None:
        """Set the optimisers' settings of this moment: functions of the clock and of what the doctor
        did, so nothing else to keep."""
        for optimiser, settings in (
            (self.generator_optimiser, config.generator_optimiser),
            (self.discriminator_optimiser, config.discriminator_optimiser),
        ):
            rate, decay = at(settings.learning_rate, self.images_seen), settings.learning_rate_decay
            if decay is not None:
                rate *= decay.share(self.images_seen)
            rate *= learning_rate_factor(self.interventions)
            for group in optimiser.param_groups:
                group["lr"] = rate
                if isinstance(settings, AdamConfig):
                    group["betas"] = (settings.betas[0], at(settings.betas[1], self.images_seen))

    @torch.no_grad()
    def update_average(self, images: int, half_life: float) -> None:
        """Move the averaged generator towards the current one, `images` after the last time.

        Running statistics of batch norm are averaged like the weights they belong to. Other buffers
        are copied: an average of spectral norm's unit vectors, say, would not be one.
        """
        share = 1.0 if half_life == 0 else 1 - 0.5 ** (images / half_life)
        new, old = self.generator.state_dict(), self.average.state_dict()
        weights = {name for name, _ in self.generator.named_parameters()}
        averaged = [n for n in new if n in weights or n.endswith(("running_mean", "running_var"))]
        torch._foreach_lerp_([old[n] for n in averaged], [new[n] for n in averaged], share)
        for name in new.keys() - set(averaged):
            old[name].copy_(new[name])


class Trainer:
    """One step of training: the discriminator's turns, then the generator's.

    Every method in this project is played here; methods differ in their objective's terms, in the
    number of turns, and in their networks.
    """

    def __init__(
        self,
        config: RunConfig,
        objective: Objective,
        pictures: TrainingPictures,
        state: TrainState,
    ) -> None:
        self.config = config
        self.objective = objective
        self.pictures = pictures
        self.state = state
        self.portion = config.training.batch // config.training.accumulate
        # A network may hold frozen parts of its own; only these are switched on and off.
        self.judging = [p for p in state.discriminator.parameters() if p.requires_grad]
        self.painting = [p for p in state.generator.parameters() if p.requires_grad]
        self.decoder = getattr(state.generator, "decode", None)
        augment = config.training.augment
        self.augmentation = None if augment is None else Augmentation(augment.kinds)

    def _latents(self) -> Tensor:
        dim, device = self.config.latent.dim, self.pictures.device
        if self.config.latent.distribution == "uniform":
            return torch.rand(self.portion, dim, device=device) * 2 - 1
        return torch.randn(self.portion, dim, device=device)

    # In mixed precision only the networks compute in bfloat16, within these two functions; losses
    # are float32, for three digits are too few for them.

    def _generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        with autocast(self.pictures.device, self.config.training.precision):
            images: Tensor = self.state.generator(latents, labels)
        return images.float()

    def _judge(self, images: Tensor, labels: Tensor) -> Judgement:
        with autocast(self.pictures.device, self.config.training.precision):
            judgement: Judgement = self.state.discriminator(images, labels)
        class_logits, painted = judgement.class_logits, judgement.reconstruction
        reconstruct, under = judgement.reconstruct, judgement.realness_under

        def realness_under(labels: Tensor) -> Tensor:
            assert under is not None
            with autocast(self.pictures.device, self.config.training.precision):
                return under(labels).float()

        def reconstruct_so() -> tuple[tuple[Tensor, Tensor], ...]:
            assert reconstruct is not None
            with autocast(self.pictures.device, self.config.training.precision):
                pairs = reconstruct()
            return tuple((painted.float(), meant.float()) for painted, meant in pairs)

        return judgement._replace(
            realness=judgement.realness.float(),
            class_logits=class_logits and tuple(logits.float() for logits in class_logits),
            reconstruction=None if painted is None else painted.float(),
            reconstruct=None if reconstruct is None else reconstruct_so,
            realness_under=None if under is None else realness_under,
        )

    def _decode(self, features: Tensor) -> Tensor:
        assert self.decoder is not None
        with autocast(self.pictures.device, self.config.training.precision):
            images: Tensor = self.decoder(features)
        return images.float()

    def _step_inputs(self, images: Tensor, labels: Tensor, *, with_gradient: bool) -> StepInputs:
        latents = self._latents()
        fake_labels = labels
        if not self.objective.paired:
            fake_labels = self._drop_labels(self.pictures.random_labels(self.portion))
        with torch.set_grad_enabled(with_gradient):
            fake = self._generate(latents, fake_labels)
        return StepInputs(
            real=images,
            real_labels=labels,
            fake=fake,
            fake_labels=fake_labels,
            latents=latents,
            discriminate=self._judge,
            generate=self._generate,
            decode=None if self.decoder is None else self._decode,
        )

    def _noisy(self, images: Tensor, deviation: float) -> Tensor:
        return images + deviation * torch.randn_like(images) if deviation else images

    def _probability(self) -> float | Tensor:
        """How likely each augmentation of a picture is at this moment."""
        if self.state.adaptive is not None:
            return self.state.adaptive.probability
        augment = self.config.training.augment
        if augment is None:
            return 0.0
        probability = 1.0 if augment.probability is None else augment.probability
        return at(probability, self.state.images_seen)

    def _shown(self, images: Tensor, deviation: float) -> Tensor:
        """Pictures as the discriminator is to see them: augmented, under noise."""
        if self.augmentation is not None:
            images = self.augmentation(images, self._probability())
        return self._noisy(images, deviation)

    def _drop_labels(self, labels: Tensor) -> Tensor:
        """Labels [B, F] as the players are told them, some as unknown."""
        share = at(self.config.training.hide_labels, self.state.images_seen)
        if share == 0 or labels.shape[1] == 0:
            return labels
        hidden = torch.rand(labels.shape, device=labels.device) < share
        return torch.where(hidden, -1, labels)

    def _mirrored(self, images: Tensor) -> Tensor:
        if not self.config.training.mirror:
            return images
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        return torch.where(mirrored, images.flip(3), images)

    def _portions(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch of pictures number `start` and on of the run, portion by portion."""
        for part in range(self.config.training.accumulate):
            images, labels = self.pictures.shown(start + part * self.portion, self.portion)
            yield self._mirrored(images), self._drop_labels(labels)

    def _discriminator_step(
        self, statistics: "StepStatistics", *, last: bool, keep: bool = False
    ) -> StepInputs | None:
        """One discriminator step.

        Args:
            statistics: of the step.
            last: whether this is the step's last turn, of which the judgements are told.
            keep: give the round back, its fakes with the graph that made them.
        """
        training, state = self.config.training, self.state
        turn = state.images_seen // training.batch
        made: StepInputs | None = None
        state.discriminator_optimiser.zero_grad(set_to_none=True)
        for images, labels in self._portions(state.images_seen):
            made = self._step_inputs(images, labels, with_gradient=keep)
            reals, fakes = images.detach(), made.fake.detach()
            asked = [
                self.objective.needs_gradient_of(pictures, "discriminator", turn)
                for pictures in ("real", "fake")
            ]
            inputs = made.changed(
                real=self._shown(reals.requires_grad_(asked[0]), training.real_noise),
                fake=self._shown(fakes.requires_grad_(asked[1]), training.fake_noise),
                real_origin=reals if asked[0] else None,
                fake_origin=fakes if asked[1] else None,
            )
            with frozen(self.painting):
                loss, shares = self.objective.loss(
                    "discriminator", inputs, images_seen=state.images_seen, turn=turn
                )
                (loss / training.accumulate).backward()
            # Of every turn: a term that is not in each of them may never be in the last one.
            statistics.add("loss/discriminator", loss)
            for name, share in shares.items():
                statistics.add(f"term/{name}/discriminator", share)
            if last:
                statistics.add_judgements(self.objective, inputs, self.config.labels)
            if state.adaptive is not None:
                boundary = self.objective.boundary(
                    inputs.real_judgement.realness, inputs.fake_judgement.realness
                )
                state.adaptive.observe(inputs.real_judgement.realness, boundary)
                if last:
                    statistics.add("augment/probability", state.adaptive.probability)
                    statistics.add("augment/overfitting_sign", state.adaptive.overfitting_sign)
        state.discriminator_optimiser.step()
        state.images_seen += training.batch
        return made if keep else None

    def _generator_step(self, statistics: "StepStatistics", made: StepInputs | None) -> None:
        """One generator step, on the fakes of `made` where there is one, beside the real pictures of
        the last discriminator's turn."""
        training, state = self.config.training, self.state
        state.generator_optimiser.zero_grad(set_to_none=True)
        rounds = (
            [made]
            if made is not None
            else (
                self._step_inputs(images, labels, with_gradient=True)
                for images, labels in self._portions(state.images_seen - training.batch)
            )
        )
        for clean in rounds:
            inputs = clean.changed(
                fake=self._shown(clean.fake, training.fake_noise),
                real=self._shown(clean.real, 0.0),
            )
            with frozen(self.judging):
                loss, shares = self.objective.loss(
                    "generator", inputs, images_seen=state.images_seen, turn=state.steps
                )
                (loss / training.accumulate).backward()
            statistics.add("loss/generator", loss)
            for name, share in shares.items():
                statistics.add(f"term/{name}/generator", share)
        state.generator_optimiser.step()
        half_life = at(training.ema_half_life, state.images_seen)
        if training.ema_rampup is not None:
            trained = state.images_seen - training.pretrain_images
            half_life = min(half_life, training.ema_rampup * trained)
        state.update_average(training.batch * training.discriminator_steps, half_life)

    def step(self) -> dict[str, Tensor]:
        """Play one step; its statistics are scalars that stay on the device.

        With the batch in one piece, the generator's turn judges the very fakes of the last
        discriminator's turn, so they are made once. In portions (`accumulate`), holding all their
        graphs would cost the memory that portions save, so they are made anew.
        """
        training = self.config.training
        statistics = StepStatistics()
        self.state.schedule(self.config)
        pretraining = self.state.images_seen < training.pretrain_images
        made: StepInputs | None = None
        for turn in range(training.discriminator_steps):
            last = turn == training.discriminator_steps - 1
            keep = last and training.accumulate == 1 and not pretraining
            made = self._discriminator_step(statistics, last=last, keep=keep)
        if not pretraining:
            self._generator_step(statistics, made)
        self.state.steps += 1
        return statistics.means()


class StepStatistics:
    """Scalars of one step, averaged over its portions; never read on the host here."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        self._values.setdefault(name, []).append(value.detach().float())

    @torch.no_grad()
    def add_judgements(
        self, objective: Objective, inputs: StepInputs, fields: tuple[str, ...]
    ) -> None:
        """How well the discriminator does: its mean scores, and the share of pictures, real and
        generated, that it takes for what they are, and whose class it names. Where a batch shows no
        picture of known class, its share is NaN."""
        real, fake = inputs.real_judgement, inputs.fake_judgement
        boundary = objective.boundary(real.realness, fake.realness)
        self.add("score/real", objective.score(real.realness).mean())
        self.add("score/fake", objective.score(fake.realness).mean())
        self.add("accuracy/real", (real.realness > boundary).float().mean())
        self.add("accuracy/fake", (fake.realness <= boundary).float().mean())
        for kind, judgement, labels in (
            ("real", real, inputs.real_labels),
            ("fake", fake, inputs.fake_labels),
        ):
            for field, logits in enumerate(judgement.class_logits or ()):
                known = labels[:, field] >= 0
                right = (logits.argmax(dim=1) == labels[:, field]) & known
                self.add(f"accuracy/{fields[field]}/{kind}", right.sum() / known.sum())

    def means(self) -> dict[str, Tensor]:
        return {
            name: values[0] if len(values) == 1 else torch.stack(values).mean()
            for name, values in self._values.items()
        }
