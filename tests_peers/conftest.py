"""These tests compare impasto with other projects; they run in an environment that has them."""

import os

# Two of these processes share two cores, so each computes with one thread.
os.environ["OMP_NUM_THREADS"] = "1"

# Nothing is fetched: all weights here are random, or installed.
os.environ["HF_HUB_OFFLINE"] = "1"
