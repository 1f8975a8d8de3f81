"""Inside some networks of the study's seed 0: rows few enough to commit, for the book's pictures and controls.

`python -m ssf inside` writes data/results/inside_*.csv from the runs, which it trains where they are not there.
"""

import numpy as np
import pandas as pd
import torch

from ssf import folders
from ssf.config import Selector
from ssf.datasets import sets
from ssf.engine import records, runs
from ssf.engine.truth import tokens_before
from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments

LAYER = "blocks.0.attention.proj.linear.weight"  # a square one, [64,64]
IMAGES, ASKED = 8, 3  # test images, the first of each class; those whose attention is looked at


def mask():
    """The layer's weights, a row an output: the round of the search that removed each, 0 for those that are left."""
    dense = preset("study")
    found = torch.zeros(dense.model.width, dense.model.width, dtype=torch.int64)
    for number in range(experiments.ROUNDS, 0, -1):
        kept = runs.run(dense.with_(ticket=experiments.ticket(number))).masks[LAYER]
        found[~kept] = number
    return pd.DataFrame(found.numpy(), columns=[f"input_{i}" for i in range(found.shape[1])])


def pictures(places):
    """(dataset, pixels [n,c,H,W], share of each token [n,N] that is foreground) of cluttered-fashion's test images."""
    config = preset("study-clutter")
    dataset = sets.load_for(config)
    pixels, _, foreground = dataset.part("test", torch.as_tensor(places))
    return dataset, pixels, sets.token_shares(foreground, config.model.tokens)


def first_of_classes(count):
    """Number of the first test image of each of the first classes."""
    labels = sets.load_for(preset("study-clutter")).test_labels
    return [int((labels == c).nonzero()[0]) for c in range(count)]


def tokens():
    """Every token of the pictures: its share of foreground, its scores, and whether two selectors keep it.

    `learned`: the log-probability of being kept, before the last block, of the network that keeps half;
    `firing_rate`: in the dense network, mean over time and channels; `block_0`, `block_1`: kept by the selectors of
    the network that has one before each block.
    """
    config = preset("study-clutter")
    dense = runs.run(config).network.cpu()
    half = runs.run(config.with_(selector=Selector(keep_ratio=0.5))).network.cpu()
    twice = runs.run(
        config.with_(selector=Selector(keep_ratio=0.7, locations=(0, 1)))
    ).network.cpu()
    places = first_of_classes(IMAGES)
    dataset, pixels, shares = pictures(places)
    shown, size = dataset.standardise(pixels), shares.shape[1]
    with torch.no_grad():
        rate = tokens_before(dense, shown, 1).x.mean((0, 3))
        learned = half.selector.scores(1, tokens_before(half, shown, 1))
        first, second = twice.forward_tokens(shown)[1]
    columns = {"image": np.repeat(places, size), "token": np.tile(range(size), len(places))}
    for name, values in (("foreground", shares), ("learned", learned), ("firing_rate", rate)):
        columns[name] = values.flatten().numpy().round(5)
    return pd.DataFrame(
        columns | {"block_0": first.flatten().int(), "block_1": second.flatten().int()}
    )


def attention():
    """What a token of the item attends to, and one of the background: q·k with every token, summed over time and heads.

    Of the dense network's last block. The first is the token with most foreground, the other one with least.
    """
    dense = runs.run(preset("study-clutter")).network.cpu()
    places = first_of_classes(ASKED)
    dataset, pixels, shares = pictures(places)
    layer = f"blocks.{len(dense.blocks) - 1}.attention.qkv.lif"
    spikes = cost.spikes(dense, dataset.standardise(pixels))[layer]
    q, k, _ = spikes.float().chunk(3, dim=-1)
    together = torch.einsum("tbic,tbjc->bij", q, k).long()  # heads side by side: their sum
    rows = []
    for i, place in enumerate(places):
        for asks, query in (
            ("item", int(shares[i].argmax())),
            ("background", int(shares[i].argmin())),
        ):
            rows += [
                (place, asks, query, token, int(a)) for token, a in enumerate(together[i, query])
            ]
    return pd.DataFrame(rows, columns=["image", "asks", "query", "token", "attention"])


TABLES = {"mask": mask, "tokens": tokens, "attention": attention}


def rows(name):
    """A table of data/results/ of the repository. Raises Missing, one sentence, where it is not there."""
    return records.committed(
        f"inside_{name}", "python -m ssf inside", folders.shipped() / "results"
    )
