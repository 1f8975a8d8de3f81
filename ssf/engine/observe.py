"""What a finished network does on test images: its activity, and its selector against the truth."""

import torch

from ssf.datasets import batches
from ssf.model import cost, training
from ssf.model.selector import top

LOOKED_AT = 100  # test images behind firing rates and operations
# how well a selector finds the foreground, where the data set tells; None for the others
TRUTH = ("recall", "precision", "average_precision", "share")


def observe(config, dataset, network, masks):
    """{column: value} of a record: `activity_columns` and, where the set tells, `TRUTH`."""
    images = torch.arange(min(LOOKED_AT, len(dataset.test_labels)))
    looks = []
    with training.own_random_state():
        torch.manual_seed(config.seed)  # for the random selector
        for pixels, _, foreground in batches.parts(dataset.part("test", images)):
            pixels = dataset.standardise(pixels.to(training.device()))
            foreground = None if foreground is None else foreground.to(pixels.device)
            inputs = pixels, training.truth(network, foreground)
            look = cost.activity(network, config.model, config.selector, *inputs)
            looks.append((len(pixels), *look))
    columns = activity_columns(*cost.averaged(looks), masks)
    if config.selector and dataset.test_foreground is not None:
        scores = against_truth(network, network.selector, dataset, seed=config.seed)
        for column in TRUTH:
            columns[column] = scores[column.replace("_", " ")].float().mean().item()
    return columns


def activity_columns(firing_rates, operations, masks):
    """What a trained network does with an image, a mean over some.

    SOPs (additions that spikes cause), energy (microjoules, two accounts of `cost.energy`) and
    firing rate; `sops_left` and `energy_left` (one addition) where pruned weights are skipped.
    """
    left = cost.surviving(operations, masks)
    return {
        "sops": sum(row.sops for row in operations if row.binary),
        "sops_left": sum(row.sops for row in left if row.binary),
        "firing_rate": sum(firing_rates.values()) / len(firing_rates),
        "energy_one_addition": sum(cost.energy(operations, "one addition").values()),
        "energy_multiplied": sum(cost.energy(operations, "multiplied").values()),
        "energy_left": sum(cost.energy(left, "one addition").values()),
    }


@torch.no_grad()
def tokens_before(network, images, block, foreground=None):
    """What a selector before that block looks at, `selector.Tokens`."""
    attention = network.blocks[max(block - 1, 0)].attention
    watched, attention.watched = attention.watched, True
    tokens, _ = network.eval().walk(images, foreground, block)
    attention.watched = watched
    return tokens


def precision_recall(scores, foreground, keep):
    """Precision and recall, [B] each, of the `keep` tokens of highest score.

    scores: [B,N]. foreground: [B,N], bool.
    """
    hits = foreground.gather(1, top(scores, keep)).sum(1).float()
    return hits / keep, hits / foreground.sum(1)


def average_precision(scores, foreground):
    """Per image: mean, over its foreground tokens, of the precision down to each, best score first.

    The area under the curve of precision against recall, without interpolation; of equal scores,
    the first is first.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    hits = foreground.gather(1, order).float()
    precision = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return (precision * hits).sum(1) / hits.sum(1)


@torch.no_grad()
def against_truth(network, selector, dataset, count=1000, seed=0):
    """How well a selector's first choice finds the foreground, {column: a value for each image}.

    A token is foreground where any pixel of it is. Columns: precision and recall of the tokens
    kept, average precision of the score, `share` of the tokens that are foreground, and `fits`,
    whether they are no more than are kept.

    Args:
        network: in whose tokens it chooses. selector: a `TokenSelector` with as many channels.
        count: of test images.
    """
    block, keep, parts = selector.locations[0], selector.counts[0], []
    device = next(network.parameters()).device
    images = torch.arange(min(count, len(dataset.test_labels)))
    with training.own_random_state():
        torch.manual_seed(seed)
        for pixels, _, foreground in batches.parts(dataset.part("test", images)):
            shares = batches.token_shares(foreground, selector.tokens).to(device)
            pixels = dataset.standardise(pixels).to(device)
            scores = selector.scores(block, tokens_before(network, pixels, block, shares))
            true = shares > 0
            precision, recall = precision_recall(scores, true, keep)
            columns = {"precision": precision, "recall": recall, "share": true.float().mean(1)}
            columns["average precision"] = average_precision(scores, true)
            parts.append(columns | {"fits": true.sum(1) <= keep})
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
