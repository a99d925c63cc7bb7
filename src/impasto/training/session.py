"""A run in memory: networks, pictures, objective, and the latents and labels of its grids."""

import numpy as np
import torch

from impasto.collection import Collection
from impasto.collection.provenance import taken_out
from impasto.config import RunConfig
from impasto.device import set_up_training
from impasto.formatting import counted
from impasto.messages import say
from impasto.networks import count_parameters
from impasto.objectives import Objective
from impasto.plugin_records import networks_of, records_of
from impasto.processes import ALONE, Processes
from impasto.sampling import latents_of_seeds
from impasto.sampling.class_choice import ClassGrid
from impasto.sampling.model import CollectionRecord, LabelRecord, ModelRecord
from impasto.training import run_folder
from impasto.training.encoded_pictures import training_pictures
from impasto.training.evaluation import TrainingEvaluator
from impasto.training.records import diversity
from impasto.training.resolve import hides_labels, label_sizes
from impasto.training.state import TrainState
from impasto.training.trainer import Trainer


class Session:
    """Everything that training a run works with, in memory.

    Args:
        config: resolved.
        collection: the training collection.
        device: of the networks.
        processes: those that train together.
        few: with an autoencoder, encode only a few pictures, for measuring the speed of steps.
    """

    def __init__(
        self,
        config: RunConfig,
        collection: Collection,
        device: torch.device,
        processes: Processes = ALONE,
        *,
        few: bool = False,
    ) -> None:
        set_up_training(device, config.training.precision)
        fields = [collection.fields[collection.field(name)] for name in config.labels]
        self.config = config
        self.device = device
        self.processes = processes
        self.collection = collection
        self.objective = Objective(config.objective, discriminator=config.discriminator is not None)
        self.pictures = training_pictures(config, collection, device, few=few)
        self.label_sizes = label_sizes(config, collection)
        self.objective.build_memory(config.resolution, self.label_sizes)
        self.state = TrainState.build(config, self.label_sizes, device, self.objective.memory)
        self.trainer = Trainer(config, self.objective, self.pictures, self.state, processes)
        self.evaluator = TrainingEvaluator(config, collection, device, processes)
        # All grids of a run show the same latents and labels, beside the same real pictures.
        self.fixed_latents = latents_of_seeds(range(config.training.grid), config.latent)
        self.reals, self.fixed_labels = self.pictures.fixed(config.training.grid)
        self.real_diversity = diversity(self.reals)
        rows, by_size = self.pictures.combinations()
        counts = by_size.sum(axis=0)
        labels = tuple(LabelRecord(name=f.name, classes=f.classes) for f in fields)
        # For each label field, a grid with the same few latents in every class, side by side.
        self.class_grids = {
            field.name: ClassGrid.of(position, labels, rows, counts)
            for position, field in enumerate(labels)
        }
        self.known = run_folder.collection_record(collection)
        sources = np.unique(collection.sources[self.pictures.rows])
        self.known |= {"count": len(self.pictures), "sources": len(sources)}
        self._model_record = self._record(labels, rows, by_size)

    def _record(
        self, labels: tuple[LabelRecord, ...], rows: np.ndarray, by_size: np.ndarray
    ) -> ModelRecord:
        """The record of the generator for `model.json`.

        Args:
            labels: the label fields with their classes.
            rows: int64 [R, F]: the combinations of classes.
            by_size: [S, R]: training pictures of each, for each size.
        """
        config = self.config
        return ModelRecord(
            recipe=config.recipe,
            resolution=config.resolution,
            buckets=config.buckets,
            latent=config.latent,
            generator=config.generator,
            discriminator=config.discriminator,
            autoencoder=config.autoencoder,
            labels=labels,
            label_rows=tuple(map(tuple, rows.tolist())),
            label_counts=tuple(by_size.sum(axis=0).tolist()),
            label_counts_by_size=tuple(map(tuple, by_size.tolist())) if len(by_size) > 1 else (),
            collection=CollectionRecord(
                **{key: self.known[key] for key in CollectionRecord.model_fields},
            ),
            parameters=count_parameters(self.state.generator),
            images_seen=0,
            real_noise=config.training.real_noise,
            fake_noise=config.training.fake_noise,
            hides_labels=hides_labels(config),
            plugins=records_of(
                [*networks_of(config.generator), *networks_of(config.discriminator)]
            ),
        )

    def prepare(self) -> None:
        """Prepare the memories of the objective's terms from training pictures, before the first step.

        The first process does it and sends the result to the others, so that all have the same values.
        """
        if not len(self.objective.memory):
            return

        def prepared() -> dict[str, torch.Tensor]:
            self.objective.prepare_memory(self.pictures.once)
            return {name: value.cpu() for name, value in self.state.memory.state_dict().items()}

        self.state.memory.load_state_dict(self.processes.on_first(prepared))

    def print_notes(self) -> None:
        """Print which part of the collection is used, how often each class is used, and whether pictures
        were removed from it."""
        lines = [self._part(), self.pictures.order_line(), taken_out(self.known["forgotten"])]
        for line in lines:
            if line:
                say(line)

    def _part(self) -> str:
        """A line about the part of the collection that is trained on; '' for all of it."""
        part = self.collection
        if part.condition is None:
            return ""
        return (
            f"only {part.condition}: {counted(len(part.train_indices), 'training picture')}, "
            f"{len(part.heldout_indices):,} held out"
        )

    def model_record(self) -> ModelRecord:
        """The record of the averaged generator as it is now."""
        return self._model_record.model_copy(update={"images_seen": self.state.images_seen})
