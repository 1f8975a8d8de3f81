"""What headline networks answer to each test image, so that intervals can cover images, too."""

import numpy as np
import torch

from ssf import folders
from ssf.datasets import sets
from ssf.engine import files
from ssf.model import training
from ssf.study import experiments

EXPERIMENTS = ("tickets", "codesign", "cifar10", "events")  # those with headline networks
KINDS = ("dense", "ticket", "random", "reinit", "all_tokens", "selector", "random_selector", "both")
LAST = {"cifar10-jpeg": experiments.CIFAR10_ROUNDS}  # the headline's round; elsewhere HEADLINE


def path(data):
    """Of a data set's answers."""
    return folders.results() / f"answers_{data}.npz"


def read(data):
    """{id: classes, uint8 [images]} of a data set's networks, and their "labels"; {} for none."""
    if not path(data).exists():
        return {}
    with np.load(path(data), allow_pickle=False) as file:
        return dict(file)


def is_headline(kind, config):
    last = LAST.get(config.data.name, experiments.HEADLINE)
    return kind in KINDS and (config.ticket is None or config.ticket.round == last)


def keep(kind, run):
    """Add the answers of a finished network, if it is a headline's, to the committed ones."""
    config = run.config
    if not is_headline(kind, config):
        return
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
