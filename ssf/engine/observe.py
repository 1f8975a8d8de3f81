"""Token selectors against the truth: which of the kept tokens are foreground, where the data set tells."""

import torch

from ssf.datasets import sets
from ssf.model.selector import Tokens, top


@torch.no_grad()
def tokens_before(network, images, block, foreground=None):
    """What a selector before that block looks at (`selector.Tokens`), no token dropped. images as the network's."""
    network.eval()
    x = network.stem(images.transpose(0, 1) if images.ndim == 5 else images)
    grid, received = torch.arange(x.shape[2], device=x.device).expand(x.shape[1], -1), None
    for i in range(block):
        attention = network.blocks[i].attention
        watched, attention.watched = attention.watched, i == block - 1
        x = network.blocks[i](x)
        received, attention.watched = getattr(attention, "received", None), watched
    return Tokens(x, grid, None, received, foreground)


def precision_recall(scores, foreground, keep):
    """Per image: precision and recall of the `keep` tokens of highest score. scores [B,N]; foreground [B,N], bool."""
    hits = foreground.gather(1, top(scores, keep)).sum(1).float()
    return hits / keep, hits / foreground.sum(1)


def average_precision(scores, foreground):
    """Per image: mean, over its foreground tokens, of the precision down to each in the order of the scores.

    The area under the curve of precision against recall, without interpolation; of equal scores, the first is first.
    """
    order = foreground.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    precision = order.cumsum(1) / torch.arange(1, order.shape[1] + 1, device=order.device)
    return (precision * order).sum(1) / order.sum(1)


@torch.no_grad()
def against_truth(network, selector, dataset, count=1000, seed=0):
    """How well a selector's first choice finds the foreground, on `count` test images; {column: one value an image}.

    A token is foreground where any pixel of it is: what is not is background and nothing else. Columns: precision and
    recall of the tokens kept, average precision of the score, `share` of the tokens that are foreground, and `fits`,
    whether they are no more than are kept.

    Args:
        network: in whose tokens it chooses. selector: a `TokenSelector` with as many channels.
    """
    block, keep, columns = selector.locations[0], selector.counts[0], []
    where = next(network.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for images, _, foreground in sets.batches(
            dataset.part("test", torch.arange(min(count, len(dataset.test_labels))))
        ):
            shares = sets.token_shares(foreground, selector.tokens).to(where)
            tokens = tokens_before(network, dataset.standardise(images).to(where), block, shares)
            scores, true = selector.scores(block, tokens), shares > 0
            precision, recall = precision_recall(scores, true, keep)
            columns.append(
                {
                    "precision": precision,
                    "recall": recall,
                    "average precision": average_precision(scores, true),
                    "share": true.float().mean(1),
                    "fits": true.sum(1) <= keep,
                }
            )
    return {name: torch.cat([part[name] for part in columns]).cpu() for name in columns[0]}
