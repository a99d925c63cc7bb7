"""One step of training."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from impasto.augmentations import Augmentation
from impasto.config import RunConfig, at
from impasto.device import autocast
from impasto.networks import Judgement
from impasto.objectives import Objective, StepInputs
from impasto.training.data import TrainingPictures
from impasto.training.state import TrainState


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


class Trainer:
    """One step of training: the discriminator's updates, then the generator's.

    Every method in this project is trained here. Methods differ in the terms of their objective, in the
    number of discriminator updates, and in their networks.
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
        # A network may have frozen parts of its own, which must stay frozen.
        self.discriminator_parameters = [
            p for p in state.discriminator.parameters() if p.requires_grad
        ]
        self.generator_parameters = [p for p in state.generator.parameters() if p.requires_grad]
        self.decoder = getattr(state.generator, "decode", None)
        augment = config.training.augment
        self.augmentation = None if augment is None else Augmentation(augment.kinds)

    def _latents(self) -> Tensor:
        dim, device = self.config.latent.dim, self.pictures.device
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
            discriminate=self._discriminate,
            decode=None if self.decoder is None else self._decode,
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

    def _mirrored(self, images: Tensor) -> Tensor:
        if not self.config.training.mirror:
            return images
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        return torch.where(mirrored, images.flip(3), images)

    def _portions(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch that begins with real image number `start` of the run, in portions."""
        for part in range(self.config.training.accumulate):
            images, labels = self.pictures.shown(start + part * self.portion, self.portion)
            yield self._mirrored(images), self._drop_labels(labels)

    def _discriminator_step(
        self, statistics: "StepStatistics", *, last: bool, keep: bool = False
    ) -> StepInputs | None:
        """One discriminator update.

        Args:
            statistics: of the step.
            last: whether this is the last discriminator update of the step; its scores are recorded.
            keep: return the step inputs, with the graph of the generated images.
        """
        training, state = self.config.training, self.state
        update = state.images_seen // training.batch
        made: StepInputs | None = None
        state.discriminator_optimiser.zero_grad(set_to_none=True)
        for images, labels in self._portions(state.images_seen):
            made = self._step_inputs(images, labels, with_gradient=keep)
            reals, fakes = images.detach(), made.fake.detach()
            asked = [
                self.objective.needs_gradient_of(pictures, "discriminator", update)
                for pictures in ("real", "fake")
            ]
            inputs = made.changed(
                real=self._augmented(reals.requires_grad_(asked[0]), training.real_noise),
                fake=self._augmented(fakes.requires_grad_(asked[1]), training.fake_noise),
                real_origin=reals if asked[0] else None,
                fake_origin=fakes if asked[1] else None,
            )
            with frozen(self.generator_parameters):
                loss, shares = self.objective.loss(
                    "discriminator", inputs, images_seen=state.images_seen, update=update
                )
                (loss / training.accumulate).backward()
            # Of every update: a term with `every: n` may never be active in the last one.
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
        """One generator update, with the real images of the last discriminator update.

        Args:
            statistics: of the step.
            made: step inputs whose generated images are used again; None: new ones are generated.
        """
        training, state = self.config.training, self.state
        state.generator_optimiser.zero_grad(set_to_none=True)
        portions = (
            [made]
            if made is not None
            else (
                self._step_inputs(images, labels, with_gradient=True)
                for images, labels in self._portions(state.images_seen - training.batch)
            )
        )
        for clean in portions:
            inputs = clean.changed(
                fake=self._augmented(clean.fake, training.fake_noise),
                real=self._augmented(clean.real, 0.0),
            )
            with frozen(self.discriminator_parameters):
                loss, shares = self.objective.loss(
                    "generator", inputs, images_seen=state.images_seen, update=state.steps
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
        """Train one step; returns its statistics, scalars that stay on the device.

        With the batch in one piece, the generator's update uses the generated images of the last
        discriminator update, so they are generated once. In portions (`accumulate`) they are generated
        again: keeping their graphs would cost the memory that portions save.
        """
        training = self.config.training
        statistics = StepStatistics()
        self.state.schedule(self.config)
        pretraining = self.state.images_seen < training.pretrain_images
        made: StepInputs | None = None
        for update in range(training.discriminator_steps):
            last = update == training.discriminator_steps - 1
            keep = last and training.accumulate == 1 and not pretraining
            made = self._discriminator_step(statistics, last=last, keep=keep)
        if not pretraining:
            self._generator_step(statistics, made)
        self.state.steps += 1
        return statistics.means()


class StepStatistics:
    """Scalars of one step, averaged over its portions. They are never copied to the host here."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        self._values.setdefault(name, []).append(value.detach().float())

    @torch.no_grad()
    def add_judgements(
        self, objective: Objective, inputs: StepInputs, fields: tuple[str, ...]
    ) -> None:
        """Add the discriminator's mean scores and accuracies.

        `accuracy/real` and `accuracy/fake` are the shares of real and generated images that it
        classifies right, `accuracy/FIELD/...` the share whose class it predicts. The latter is NaN for
        a batch without a known label.
        """
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
