"""What headline networks answer to each test image, and intervals that cover images, too.

All seeds are tested on the same images, so an interval over seeds says nothing of other images.
"""

import numpy as np
import torch

from ssf import folders
from ssf.config import Failed
from ssf.datasets import sets
from ssf.engine import files
from ssf.model import training
from ssf.study import experiments
from ssf.study.statistics import Estimate, bootstrap

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


def difference(these, those):
    """(Estimate over seeds, (low, high) over seeds and images) of these rows minus those.

    Of the seeds whose networks' answers are kept on both sides; None without two of them. Raises
    Failed where an answer's accuracy is not its row's.
    """
    kept = read(these["data.name"].iloc[0])
    rights = [of_rows(frame, kept) for frame in (these, those)]
    seeds = sorted(rights[0].keys() & rights[1].keys())
    if len(seeds) < 2:
        return None
    right, other = (np.stack([right[seed] for seed in seeds]) for right in rights)
    values = right.astype(float) - other
    return Estimate(tuple(values.mean(1))), bootstrap(values)


def of_rows(frame, kept):
    """{seed: bool [images], where the network is right} of the rows whose answers are kept."""
    rights = {}
    for row in frame[frame.id.isin(kept)].to_dict("records"):
        rights[row["seed"]] = kept[row["id"]] == kept["labels"]
        if abs(rights[row["seed"]].mean() - row["accuracy"]) > 1e-6:
            raise Failed(f"the answers of {row['id']} are not those of the network of its row.")
    return rights
