"""What networks answer to each test image, so that intervals can cover test images, too."""

import numpy as np
import torch

from ssf import folders
from ssf.datasets import sets
from ssf.engine import files
from ssf.model import training


def path(data):
    """Of a data set's answers."""
    return folders.results() / f"answers_{data}.npz"


def read(data):
    """{id: classes, uint8 [images]} of a data set's networks, and their "labels"; {} for none."""
    if not path(data).exists():
        return {}
    with np.load(path(data), allow_pickle=False) as file:
        return dict(file)


def keep(run):
    """Add the answers of a finished network to the committed ones."""
    config = run.config
    kept, dataset = read(config.data.name), sets.load_for(config)
    if config.hash() in kept:
        return
    test, labels, foreground = dataset.part("test")
    logits = training.answers(run.network, test, foreground, dataset.standardise)
    kept[config.hash()] = logits.argmax(1).to(torch.uint8).cpu().numpy()
    kept["labels"] = labels.to(torch.uint8).cpu().numpy()
    files.write(path(config.data.name), lambda temporary: save(temporary, kept))


def save(to, arrays):
    with to.open("wb") as file:
        np.savez_compressed(file, **arrays)
