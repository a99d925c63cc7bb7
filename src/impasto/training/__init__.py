"""Training: the loop, the run folder, checkpoints. Read `loop.py` first."""

from impasto.training.runs import resume, train

__all__ = ["resume", "train"]
