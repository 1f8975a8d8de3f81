"""What networks answer to each test image, so that intervals can cover test images, too."""

import numpy as np
import torch
from filelock import FileLock

from ssf import folders
from ssf.datasets import sets
from ssf.engine import files
from ssf.model import training
from ssf.study import experiments

EXPERIMENTS = ("replication", *experiments.NEXT)


def path(data):
    """Of a data set's answers."""
    return folders.results() / f"answers_{data}.npz"


def read(data):
    """{id: classes, uint8 [images]} of a data set's networks, and their "labels"; {} for none."""
    if not path(data).exists():
        return {}
    with np.load(path(data), allow_pickle=False) as file:
        return dict(file)


def lacks(name, config):
    """Whether a network of this experiment has no answers that should be kept."""
    return name in EXPERIMENTS and config.hash() not in read(config.data.name)


def keep(run):
    """Add the answers of a finished network to the committed ones."""
    data, dataset = run.config.data.name, sets.load_for(run.config)
    test, labels, foreground = dataset.part("test")
    logits = training.answers(run.network, test, foreground, dataset.standardise)
    own = {run.config.hash(): logits.argmax(1), "labels": labels}
    with FileLock(folders.cache() / "answers.lock"):  # trainings run beside each other
        kept = read(data) | {name: t.to(torch.uint8).cpu().numpy() for name, t in own.items()}
        files.write(path(data), lambda temporary: save(temporary, kept))


def save(to, arrays):
    with to.open("wb") as file:
        np.savez_compressed(file, **arrays)
