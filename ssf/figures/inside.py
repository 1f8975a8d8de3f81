"""Looks into some of the study's networks, for the book: rows that data/make_inside.py writes."""

import torch

from ssf.datasets import batches, sets
from ssf.engine import records
from ssf.presets import preset


def look(name):
    """The rows of data/results/inside_<name>.csv. Raises Missing, one sentence, without them."""
    return records.timings(f"inside_{name}", "data/make_inside.py")


def pictures(numbers):
    """(dataset, pixels [n,c,H,W], tokens' shares of foreground [n,N]) of cluttered test images."""
    config = preset("study-clutter")
    dataset = sets.load_for(config)
    pixels, _, foreground = dataset.part("test", torch.as_tensor(numbers))
    return dataset, pixels, batches.token_shares(foreground, config.model.tokens)
