"""Training: the loop, the run folder, checkpoints. Read `loop.py` first."""

from impasto.training.config_files import load_config
from impasto.training.runs import resume, train

__all__ = ["load_config", "resume", "train"]
