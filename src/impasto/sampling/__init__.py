"""From seeds to images: for training's grids, the command line, evaluation and everything else."""

from impasto.sampling.grid import grid_picture
from impasto.sampling.model import Model, find_model
from impasto.sampling.sampler import Sampler
from impasto.sampling.seeds import latents_of_seeds, parse_seeds

__all__ = ["Model", "Sampler", "find_model", "grid_picture", "latents_of_seeds", "parse_seeds"]
