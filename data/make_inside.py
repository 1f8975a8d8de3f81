"""Write what some of the study's networks are like inside, few rows of each: results/inside_*.csv.

.venv/bin/python data/make_inside.py          # minutes where the runs are there, else it trains
.venv/bin/python data/make_inside.py choices  # one of LOOKS
"""

import re
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from ssf.config import Selector
from ssf.datasets import sets
from ssf.datasets.batches import parts as parts_of
from ssf.datasets.batches import split
from ssf.engine import files, observe, records, runs
from ssf.engine.observe import against_truth, tokens_before
from ssf.figures import inside
from ssf.model import tickets
from ssf.model.selector import top
from ssf.model.training import apply_masks, evaluate, make_network
from ssf.presets import preset
from ssf.study import experiments, ledger
from ssf.study.ledger import pick

LAYER = "blocks.0.attention.proj.linear.weight"  # a square one, [64,64]
IMAGES, ASKED = 8, 3  # test images, the first of each class; those whose attention is looked at
SHOWN, PHOTOGRAPHS = 2, 6  # a seed of four blocks; as many photographs, a class each
SEEN = 5000  # training images whose choices are averaged


def mask_rows():
    """The layer's weights, a row an output: the round that removed each, 0 for none."""
    dense = preset("study")
    gone_in = torch.zeros(dense.model.width, dense.model.width, dtype=torch.int64)
    for number in range(experiments.ROUNDS, 0, -1):
        kept = runs.run(dense.with_(ticket=experiments.ticket(number))).masks[LAYER]
        gone_in[~kept] = number
    return pd.DataFrame(gone_in.numpy()).add_prefix("input_")


def first_of_classes(count, config=None):
    """Number of the first test image of each of the first classes, of cluttered-fashion if no
    configuration names another set."""
    labels = sets.load_for(config or preset("study-clutter")).test_labels
    return [int((labels == c).nonzero()[0]) for c in range(count)]


def token_rows():
    """Every token of the pictures: its share of foreground, and its scores.

    `learned`: the log-probability of being kept, before the last block, where half are kept;
    `firing_rate`: in the dense network, mean over time and channels.
    """
    dense, half = (
        runs.run(preset("study-clutter").with_(selector=selector)).network.cpu()
        for selector in (None, Selector(keep_ratio=0.5))
    )
    numbers = first_of_classes(IMAGES)
    dataset, pixels, shares = inside.pictures(numbers)
    shown, size = dataset.standardise(pixels), shares.shape[1]
    with torch.no_grad():
        rates = tokens_before(dense, shown, 1).x.mean((0, 3))
        learned = half.selector.scores(1, tokens_before(half, shown, 1))
    columns = {"image": np.repeat(numbers, size), "token": np.tile(range(size), len(numbers))}
    for name, values in {"foreground": shares, "learned": learned, "firing_rate": rates}.items():
        columns[name] = values.flatten().numpy().round(5)
    return pd.DataFrame(columns)


def attention_rows():
    """What a token of the item attends to, and one of the background, in the last dense block:
    q·k with every token, summed over time and heads.

    The first is the token with most foreground. The other one shows nothing of the item and is the
    farthest from the first, apart from the picture's border, where zeros surround it.
    """
    dense = runs.run(preset("study-clutter")).network.cpu()
    numbers = first_of_classes(ASKED)
    dataset, pixels, shares = inside.pictures(numbers)
    layer = f"blocks.{len(dense.blocks) - 1}.attention.qkv.lif"
    q, k, _ = observe.spikes(dense, dataset.standardise(pixels))[layer].float().chunk(3, dim=-1)
    counts = torch.einsum("tbic,tbjc->bij", q, k).long()  # heads side by side: their sum
    rows = []
    side = round(shares.shape[1] ** 0.5)
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
    inner = (places.remainder(side - 1) > 0).all(1)
    for number, share, count in zip(numbers, shares, counts, strict=True):
        item = int(share.argmax())
        away = (places - places[item]).norm(dim=1) * inner * (share == 0)
        for asks, query in (("item", item), ("background", int(away.argmax()))):
            rows += [(number, asks, query, i, int(n)) for i, n in enumerate(count[query])]
    return pd.DataFrame(rows, columns=["image", "asks", "query", "token", "attention"])


def score_rows():
    """How well two scores find the foreground in the same networks, the learned selector's own.

    A row for each seed and score: recall and precision of the half of the tokens that it keeps.
    """
    rows = []
    for seed in range(experiments.FIRST):
        config = preset("study-clutter", seed=seed).with_(selector=Selector(keep_ratio=0.5))
        network, dataset = runs.run(config, any_code=True).network.cpu(), sets.load_for(config)
        for score in ("learned", "firing_rate"):
            network.selector.kind = score
            table = against_truth(network, network.selector, dataset, seed=seed)
            means = {name: round(table[name].mean().item(), 6) for name in ("recall", "precision")}
            rows.append({"seed": seed, "score": score} | means)
    return pd.DataFrame(rows)


def measure_batchnorm(network, images, size):
    """Put BatchNorm's averages in order: means over batches of the images, the weights as they are.

    Training leaves averages that weigh its last steps most, when the weights still changed.
    """
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d)):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
    torch.manual_seed(0)  # of the tokens that are sampled
    network.train()
    with torch.no_grad():
        for batch in images.split(size):
            network.forward_tokens(batch)
    network.eval()


def trained_on(config, dataset):
    """The standardised images that a config trains on, without the validation split."""
    share, size = config.data.validation_share, config.data.train_size
    used, _ = split(dataset.train_labels, size, share, config.seed)
    return dataset.standardise(dataset.train_images[used])


def batchnorm_rows():
    """Accuracy of the replication's networks, and with BatchNorm's averages measured anew.

    Over the training images, the validation split left out. A row for each network of the claims.
    """
    rows = []
    for seed in range(experiments.FRESH, experiments.FRESH + experiments.FIRST):
        for kind, config in experiments.replication(seed):
            if config.ticket and config.ticket.round < experiments.HEADLINE:
                continue  # a search's earlier rounds
            run, dataset = runs.run(config, any_code=True), sets.load_for(config)
            measure = partial(evaluate, run.network, *dataset.part("test"), dataset.standardise)
            before = measure()[0]
            measure_batchnorm(run.network, trained_on(config, dataset), config.train.batch_size)
            rows.append({"kind": kind, "seed": seed, "accuracy": before, "anew": measure()[0]})
    return pd.DataFrame(rows).round(6)


def untrained(config, early, masks, dataset, images):
    """Test accuracy of a network with early weights, {name: tensor}, where masks leave them.

    BatchNorm's averages are measured over the images; nothing is trained.
    """
    network = make_network(config)
    network.load_state_dict(network.state_dict() | early)
    apply_masks(network, masks)
    measure_batchnorm(network, images, config.train.batch_size)
    return evaluate(network, *dataset.part("test"), dataset.standardise)[0]


def both_masks(config):
    """{"ticket": a ticket's masks, "random": those of the random ticket of its round}."""
    found = runs.run(config).masks
    masks = {name: found[name] for name in tickets.full_masks(make_network(config))}  # as drawn
    return {"ticket": masks, "random": tickets.shuffled(masks, config.seed)}


def largest(weights, masks):
    """Masks that keep as many weights of each layer, those of largest magnitude."""
    kept = {}
    for name, mask in masks.items():
        flat = torch.zeros(mask.numel(), dtype=torch.bool)
        flat[top(weights[name].abs().view(1, -1), int(mask.sum()))[0]] = True
        kept[name] = flat.view_as(mask)
    return kept


def masked_rows(seeds=range(experiments.FIRST)):
    """What a mask is worth before anything is trained with it, in the study's searches.

    Test accuracy of the weights that tickets are rewound to: all of them (round 0), those of each
    round's mask, those of the random ticket's, and the largest of them, as many in each layer.
    """
    rows = []
    for seed in seeds:
        dense = preset("study", seed=seed)
        dataset = sets.load_for(dense)
        images = trained_on(dense, dataset)
        runs.run(dense)
        rewound = experiments.ticket(1).rewind_epoch
        early, _ = files.read_tensors(records.run_folder(dense) / f"epoch-{rewound}.safetensors")
        masks = {0: {"dense": {}}}
        for number in range(1, experiments.HEADLINE + 1):
            both = both_masks(dense.with_(ticket=experiments.ticket(number)))
            masks[number] = both | {"largest": largest(early, both["ticket"])}
        for number, kinds in masks.items():
            for kind, mask in kinds.items():
                accuracy = untrained(dense, early, mask, dataset, images)
                about = {"kind": kind, "seed": seed, "ticket.round": number}
                rows.append(about | {"accuracy": accuracy})
    return pd.DataFrame(rows).round(6)


def kept_by(network, images, prepare, given=()):
    """Logits [n,classes], and the tokens kept at each location, [n,N] of 0 and 1.

    given: for each location the tokens that are to be kept, [n,N]; () for the selector's choice.
    """
    network.eval()
    torch.manual_seed(0)  # of random tokens
    selector, outputs = network.selector, []
    with torch.no_grad():
        for x, *wanted in parts_of((images, *given)):
            if wanted:
                asked = dict(zip(selector.locations, wanted, strict=True))
                selector.scores = lambda block, tokens, at=asked: at[block].gather(1, tokens.grid)
            outputs.append(network.forward_tokens(prepare(x)))
    vars(selector).pop("scores", None)
    logits, kept = zip(*outputs, strict=True)
    return torch.cat(logits), [torch.cat(each) for each in zip(*kept, strict=True)]


def other_choices(network, dataset, before):
    """(choice, logits, last choice [n,N]) of the test images: a learned selector's own, and others.

    another image's: what it keeps in the next test image, so each place is kept as often. usual
    places: those that it keeps most often in training images. Then the tokens that fire most, and
    random ones. untrained: what `before` keeps, the selector before its training, which is left in
    the network. All with the network's own other weights.
    """
    images, prepare = dataset.test_images, dataset.standardise
    logits, own = kept_by(network, images, prepare)
    yield "learned", logits, own[-1]
    _, seen = kept_by(network, dataset.train_images[:SEEN], prepare)
    usual = [kept.mean(0).expand(len(images), -1) for kept in seen]
    given = {"another image's": [kept.roll(1, 0) for kept in own], "usual places": usual}
    for choice, places in given.items():
        logits, kept = kept_by(network, images, prepare, places)
        yield choice, logits, kept[-1]
    for network.selector.kind in ("firing_rate", "random"):
        logits, kept = kept_by(network, images, prepare)
        yield network.selector.kind, logits, kept[-1]
    network.selector = before
    logits, kept = kept_by(network, images, prepare)
    yield "untrained", logits, kept[-1]


def choice_rows():
    """Does the learned selector of four blocks look at its image? A row a choice and trained seed.

    `same`: the share of the selector's own last choice that each choice makes, too. `place_…`: how
    often a place is left after the last choice. Seeds that have rows keep them, so that the others
    can be trained elsewhere. Raises Missing where no seed is trained.
    """
    known = []
    with suppress(records.Missing):
        known = inside.look("choices").to_dict("records")
    rows, seen = [], {row["seed"] for row in known}
    for seed in set(pick(ledger.rows("four_blocks"), "selector").seed) - seen:
        config = dict(experiments.four_blocks(seed))["selector"]
        network, dataset = runs.run(config, any_code=True).network.cpu(), sets.load_for(config)
        found = list(other_choices(network, dataset, make_network(config).selector))
        own = found[0][2]
        for choice, logits, kept in found:
            row = {"seed": seed, "choice": choice}
            row["accuracy"] = (logits.argmax(1) == dataset.test_labels).float().mean().item()
            row["same"] = ((kept * own).sum() / own.sum()).item()
            rows.append(row | {f"place_{i}": share.item() for i, share in enumerate(kept.mean(0))})
    if not known + rows:
        raise records.Missing("python -m ssf study four_blocks trains the selectors to look at.")
    return pd.DataFrame(known + rows).round(6).sort_values("seed", kind="stable")


def of_seed_shown(kind):
    """(config, network, data set) of the last of that kind of four blocks, of seed SHOWN."""
    config = dict(experiments.four_blocks(SHOWN))[kind]
    return config, runs.run(config, any_code=True).network.cpu(), sets.load_for(config)


def photograph_rows():
    """What is left of each token's place after the last choice, 1 or 0, of the first test images
    of each of some classes; columns: `other_choices`."""
    config, network, dataset = of_seed_shown("selector")
    numbers = first_of_classes(PHOTOGRAPHS, config)
    few = replace(dataset, test_images=dataset.test_images[numbers])
    columns = {"image": np.repeat(numbers, config.model.tokens)}
    columns["token"] = np.tile(range(config.model.tokens), len(numbers))
    for choice, _, kept in other_choices(network, few, make_network(config).selector):
        columns[re.sub(r"\W+", "_", choice)] = kept.flatten().int().numpy()
    return pd.DataFrame(columns)


def rate_rows():
    """How much each layer's neurons fire, over the first test images, in networks of four blocks:
    a row a kind and layer, spikes per neuron and time step."""
    rows = []
    for kind in ("dense", "all_tokens", "selector"):
        _, network, dataset = of_seed_shown(kind)
        images = dataset.standardise(dataset.test_images[: observe.LOOKED_AT])
        for layer, rate in observe.firing_rates(network, images).items():
            rows.append({"kind": kind, "seed": SHOWN, "layer": layer, "rate": round(rate, 6)})
    return pd.DataFrame(rows)


LOOKS = {
    "mask": mask_rows, "tokens": token_rows, "attention": attention_rows, "scores": score_rows,
    "batchnorm": batchnorm_rows, "choices": choice_rows, "photographs": photograph_rows,
    "rates": rate_rows, "masked": masked_rows,
}  # fmt: skip

if __name__ == "__main__":
    for name in sys.argv[1:] or LOOKS:
        print(records.export(LOOKS[name](), f"inside_{name}"))
