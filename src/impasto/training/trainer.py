"""One step of training."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.augmentations import Augmentation
from impasto.config import RunConfig, at
from impasto.device import autocast
from impasto.networks import Judgement
from impasto.objectives import Objective, StepInputs
from impasto.processes import ALONE, Processes
from impasto.resolution import resolution_of
from impasto.training.adaptive import signs
from impasto.training.data import TrainingPictures
from impasto.training.mixing import mix_batches, unmix
from impasto.training.portions import BatchUpdate, Buffers, Counted, seed_portion
from impasto.training.state import TrainState
from impasto.training.step_statistics import (
    OVERFITTING,
    StepStatistics,
    note_judgements,
    note_loss,
)


@contextlib.contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Compute no gradients of these parameters inside the block, which saves a third of the work."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@torch.no_grad()
def clip(parameters: list[nn.Parameter], limit: float) -> None:
    """Clamp each value of these parameters to [-limit, limit], in place."""
    values: list[Tensor] = [*parameters]
    torch._foreach_clamp_min_(values, -limit)
    torch._foreach_clamp_max_(values, limit)


class Trainer:
    """One step of training: the discriminator's updates, then the generator's.

    Without a discriminator there are only the generator's, each with its own batch of real images.
    Every method in this project is trained here. Methods differ in the terms of their objective, in the
    number of updates of each network, and in their networks.
    """

    def __init__(
        self,
        config: RunConfig,
        objective: Objective,
        pictures: TrainingPictures,
        state: TrainState,
        processes: Processes = ALONE,
    ) -> None:
        self.config = config
        self.processes = processes
        self.objective = objective
        self.pictures = pictures
        self.state = state
        self.portion = config.training.batch // config.training.accumulate
        # A network may have frozen parts of its own, which must stay frozen.
        self.discriminator_parameters = [
            p for p in state.discriminator.parameters() if p.requires_grad
        ]
        self.generator_parameters = [p for p in state.generator.parameters() if p.requires_grad]
        self.decoder = getattr(state.generator, "decode", None)
        self.denoiser = getattr(state.generator, "denoise", None)
        augment = config.training.augment
        self.augmentation = None if augment is None else Augmentation(augment.kinds)
        self.buffers = Buffers(state.generator, state.discriminator, state.memory)
        self.pretraining = False

    def _latents(self) -> Tensor:
        dim, device = self.config.latent.size, self.pictures.device
        if self.config.latent.distribution == "uniform":
            return torch.rand(self.portion, dim, device=device) * 2 - 1
        return torch.randn(self.portion, dim, device=device)

    # In mixed precision only the networks compute in bfloat16, in the functions below. Losses are
    # float32: bfloat16 has too few digits for them.

    def _generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        with autocast(self.pictures.device, self.config.training.precision):
            images: Tensor = self.state.generator(latents, labels)
        return images.float()

    def _discriminate(self, images: Tensor, labels: Tensor) -> Judgement:
        with autocast(self.pictures.device, self.config.training.precision):
            judgement: Judgement = self.state.discriminator(images, labels)
        class_logits, painted = judgement.class_logits, judgement.reconstruction
        reconstruct, under = judgement.reconstruct, judgement.realness_under

        def realness_under(labels: Tensor) -> Tensor:
            assert under is not None
            with autocast(self.pictures.device, self.config.training.precision):
                return under(labels).float()

        def reconstruct_in_float32() -> tuple[tuple[Tensor, Tensor], ...]:
            assert reconstruct is not None
            with autocast(self.pictures.device, self.config.training.precision):
                pairs = reconstruct()
            return tuple((painted.float(), meant.float()) for painted, meant in pairs)

        return judgement._replace(
            realness=judgement.realness.float(),
            class_logits=class_logits and tuple(logits.float() for logits in class_logits),
            reconstruction=None if painted is None else painted.float(),
            reconstruct=None if reconstruct is None else reconstruct_in_float32,
            realness_under=None if under is None else realness_under,
        )

    def _decode(self, features: Tensor) -> Tensor:
        assert self.decoder is not None
        with autocast(self.pictures.device, self.config.training.precision):
            images: Tensor = self.decoder(features)
        return images.float()

    def _denoise(self, noisy: Tensor, *conditions: Tensor) -> Tensor:
        assert self.denoiser is not None
        with autocast(self.pictures.device, self.config.training.precision):
            images: Tensor = self.denoiser(noisy, *conditions)
        return images.float()

    def _step_inputs(
        self, images: Tensor, labels: Tensor, *, with_gradient: bool, fakes: bool = True
    ) -> StepInputs:
        """The inputs of a loss from one portion of a batch.

        Args:
            images: real ones [B, 3, H, W].
            labels: theirs [B, F].
            with_gradient: whether generated images keep their autograd graph.
            fakes: whether images are generated.
        """
        fake, fake_labels = images[:0], labels[:0]
        latents = images.new_empty(0, self.config.latent.size)
        if fakes:
            latents, fake_labels = self._latents(), labels
            if not self.objective.paired:
                fake_labels = self._drop_labels(self.pictures.random_labels(self.portion))
            if self.config.buckets:
                # A generated picture has the size of the real ones of its batch.
                self.state.generator.paint_as(resolution_of(images.shape[3], images.shape[2]))  # type: ignore[operator]
            with torch.set_grad_enabled(with_gradient):
                fake = self._generate(latents, fake_labels)
        return StepInputs(
            real=images,
            real_labels=labels,
            fake=fake,
            fake_labels=fake_labels,
            latents=latents,
            discriminate=self._discriminate,
            decode=None if self.decoder is None else self._decode,
            denoise=None if self.denoiser is None else self._denoise,
        )

    def _noisy(self, images: Tensor, deviation: float) -> Tensor:
        return images + deviation * torch.randn_like(images) if deviation else images

    def _probability(self) -> float | Tensor:
        """The current probability of each augmentation."""
        if self.state.adaptive is not None:
            return self.state.adaptive.probability
        augment = self.config.training.augment
        if augment is None:
            return 0.0
        probability = 1.0 if augment.probability is None else augment.probability
        return at(probability, self.state.images_seen)

    def _augmented(self, images: Tensor, deviation: float) -> Tensor:
        """Images [B, 3, H, W] for the discriminator: augmented, then with Gaussian noise added."""
        if self.augmentation is not None:
            images = self.augmentation(images, self._probability())
        return self._noisy(images, deviation)

    def _drop_labels(self, labels: Tensor) -> Tensor:
        """Label dropout: each label [B, F] becomes -1 with probability `training.hide_labels`."""
        share = at(self.config.training.hide_labels, self.state.images_seen)
        if share == 0 or labels.shape[1] == 0:
            return labels
        hidden = torch.rand(labels.shape, device=labels.device) < share
        return torch.where(hidden, -1, labels)

    def _mix_mask(self) -> Tensor | None:
        """Bool [B]: where a portion's real and generated images are swapped; None: nowhere."""
        share = self.config.training.mix_batches
        if share == 0:
            return None
        return torch.rand(self.portion, device=self.pictures.device) < share

    def _mirror_mask(self) -> Tensor | None:
        """Bool [B]: which of a portion's real images are mirrored; None: none."""
        if not self.config.training.mirror:
            return None
        return torch.rand(self.portion, device=self.pictures.device) < 0.5

    def _pictures(self, start: int, portion: int) -> tuple[Tensor, Tensor]:
        """One portion of the batch that begins with real image number `start` of the run."""
        images, labels = self.pictures.shown(
            start + portion * self.portion, self.portion, self._mirror_mask()
        )
        return images, self._drop_labels(labels)

    def _seed(self, update: int, portion: int) -> None:
        seed_portion(self.config.training.seed, self.state.steps, update, portion)

    def _new_update(self, parameters: list[nn.Parameter]) -> BatchUpdate:
        """The next update of a network."""
        return BatchUpdate(
            parameters, self.buffers, self.processes, self.config.training.accumulate
        )

    def _discriminator_update(self, statistics: StepStatistics, update: int) -> "Generated":
        """One discriminator update; returns how its images were generated.

        Args:
            statistics: of the step.
            update: number of the update in the step.
        """
        training, state = self.config.training, self.state
        optimiser = state.discriminator_optimiser
        assert optimiser is not None
        last = update == training.discriminator_steps - 1
        optimiser.zero_grad(set_to_none=True)
        batch = self._new_update(self.discriminator_parameters)
        # The generator's update uses these images again. With one portion they are kept with their
        # graph. With more, keeping the graphs would cost the memory that portions save.
        keep = last and len(batch.numbers) == 1 and not self.pretraining
        made = Generated(update, batch.start)
        number = state.images_seen // training.batch
        for portion in batch.numbers:
            with batch.portion(portion) as noted:
                self._seed(update, portion)
                images, labels = self._pictures(state.images_seen, portion)
                clean = self._step_inputs(images, labels, with_gradient=keep)
                made.kept = clean if keep else None
                mix = self._mix_mask()
                inputs = self._for_discriminator(mix_batches(clean, mix), number)
                with frozen(self.generator_parameters):
                    loss, shares = self.objective.loss(
                        "discriminator", inputs, images_seen=state.images_seen, update=number
                    )
                    (loss / training.accumulate).backward()
                # Of every update: a term with `every: n` may never be active in the last one.
                note_loss(noted, "discriminator", loss, shares)
                self._note_judgements(noted, inputs, mix, last)
        found = batch.finish()
        if state.adaptive is not None:
            state.adaptive.observe(*found.pop(OVERFITTING))
            if last:
                for name in ("probability", "overfitting_sign"):
                    value = getattr(state.adaptive, name)
                    found[f"augment/{name}"] = (value, value.new_ones(()))
        statistics.add(found)
        optimiser.step()
        if training.clip_weights is not None:
            clip(self.discriminator_parameters, training.clip_weights)
        state.images_seen += training.batch
        return made

    def _note_judgements(
        self, noted: dict[str, Counted], inputs: StepInputs, mix: Tensor | None, last: bool
    ) -> None:
        """Note statistics of the discriminator's outputs for the real and for the generated images.

        Args:
            noted: a portion's statistics, which are added to.
            inputs: of a discriminator update.
            mix: where its batches are swapped, see `mix_batches`.
            last: whether the update is the last of its step.
        """
        if not last and self.state.adaptive is None:
            return
        real, fake = unmix(inputs, mix)
        if last:
            note_judgements(noted, self.objective, real, fake, self.config.labels)
        if self.state.adaptive is not None:
            boundary = self.objective.boundary(real[0].realness, fake[0].realness)
            noted[OVERFITTING] = signs(real[0].realness, boundary)

    def _for_discriminator(self, clean: StepInputs, update: int) -> StepInputs:
        """The inputs of a discriminator update: augmented, detached from the generator, and with
        gradients where an active term needs them."""
        training = self.config.training
        reals, fakes = clean.real.detach(), clean.fake.detach()
        asked = [
            self.objective.needs_gradient_of(pictures, "discriminator", update)
            for pictures in ("real", "fake")
        ]
        return clean.changed(
            real=self._augmented(reals.requires_grad_(asked[0]), training.real_noise),
            fake=self._augmented(fakes.requires_grad_(asked[1]), training.fake_noise),
            real_origin=reals if asked[0] else None,
            fake_origin=fakes if asked[1] else None,
        )

    def _regenerate(self, made: "Generated", batch: BatchUpdate, portion: int) -> StepInputs:
        """The step inputs of a discriminator update again, with the autograd graph of its images."""
        if made.kept is not None:
            return made.kept
        self._seed(made.update, portion)
        images, labels = self._pictures(
            self.state.images_seen - self.config.training.batch, portion
        )
        assert made.buffers is not None  # a batch in one portion is kept
        assert batch.start is not None
        # The same buffers as then, so that they are the same images; afterwards those of now, for these
        # images have changed them already.
        self.buffers.set(made.buffers)
        inputs = self._step_inputs(images, labels, with_gradient=True)
        self.buffers.set(batch.start)
        return inputs

    def _generator_inputs(
        self, made: "Generated | None", batch: BatchUpdate, update: int, portion: int
    ) -> StepInputs:
        """The step inputs of a generator update before augmentation, which is seeded here too.

        The first update after the discriminator's uses the images generated there. All others generate
        new ones. The real images are those of the last discriminator update. Without a discriminator
        each update has real images of its own.
        """
        number = self.config.discriminator_steps + update
        if made is not None and update == 0:
            inputs = self._regenerate(made, batch, portion)
            self._seed(number, portion)
            return inputs
        self._seed(number, portion)
        start = self.state.images_seen
        if made is not None:
            start -= self.config.training.batch
        images, labels = self._pictures(start, portion)
        fakes = self.objective.uses_fakes("generator", self._generator_updates + update)
        return self._step_inputs(images, labels, with_gradient=True, fakes=fakes)

    @property
    def _generator_updates(self) -> int:
        """Generator updates before this step, if none was left out."""
        return self.state.steps * self.config.training.generator_steps

    def _generator_update(
        self, statistics: StepStatistics, made: "Generated | None", update: int
    ) -> None:
        """One generator update.

        Args:
            statistics: of the step.
            made: how the images of the last discriminator update were generated; None without a
                discriminator.
            update: number of the update in the step. The first uses those images.
        """
        training, state = self.config.training, self.state
        state.generator_optimiser.zero_grad(set_to_none=True)
        batch = self._new_update(self.generator_parameters)
        number = self._generator_updates + update
        for portion in batch.numbers:
            with batch.portion(portion) as noted:
                clean = self._generator_inputs(made, batch, update, portion)
                inputs = clean.changed(
                    fake=self._augmented(clean.fake, training.fake_noise),
                    real=self._augmented(clean.real, 0.0),
                )
                with frozen(self.discriminator_parameters):
                    loss, shares = self.objective.loss(
                        "generator", inputs, images_seen=state.images_seen, update=number
                    )
                    (loss / training.accumulate).backward()
                note_loss(noted, "generator", loss, shares)
        statistics.add(batch.finish())
        state.generator_optimiser.step()
        if made is None:
            state.images_seen += training.batch

    def _update_average(self) -> None:
        """Update the averaged generator, once a step."""
        training, state = self.config.training, self.state
        half_life = at(training.ema_half_life, state.images_seen)
        if training.ema_rampup is not None:
            trained = state.images_seen - training.pretrain_images
            half_life = min(half_life, training.ema_rampup * trained)
        state.update_average(self.config.images_a_step, half_life)

    def step(self) -> dict[str, Tensor]:
        """Train one step; returns its statistics, scalars that stay on the device."""
        training = self.config.training
        statistics = StepStatistics()
        self.state.schedule(self.config)
        self.pretraining = self.state.images_seen < training.pretrain_images
        made = None
        for update in range(self.config.discriminator_steps):
            made = self._discriminator_update(statistics, update)
        if not self.pretraining:
            for update in range(training.generator_steps):
                self._generator_update(statistics, made, update)
            self._update_average()
        self.state.steps += 1
        return statistics.means()


@dataclass
class Generated:
    """How a discriminator update generated its images, so that the generator's update can reuse them."""

    update: int
    """Number of the discriminator update in its step."""
    buffers: list[Tensor] | None
    """All buffers at the beginning of that update, if the batch has several portions."""
    kept: StepInputs | None = None
    """The step inputs, with the graph of the generated images, if they were kept."""
