"""These tests compare impasto with other projects; they run in an environment that has them."""

import os

# Nothing is fetched: all weights here are random, or installed.
os.environ["HF_HUB_OFFLINE"] = "1"
