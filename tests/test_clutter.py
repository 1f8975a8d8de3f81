import hashlib

import pytest
import torch

from ssf import folders
from ssf.datasets import clutter, sets
from ssf.datasets.batches import token_shares
from ssf.presets import preset


@pytest.fixture(scope="module")
def items():
    return sets.embedded(folders.shipped())["test"][0][:200]


def test_every_machine_makes_the_same(items):
    """The digest of the first canvases, as made when the set was defined."""
    images, foreground = clutter.canvases(items, 0.5)
    seen = hashlib.sha256(images.numpy().tobytes() + foreground.numpy().tobytes()).hexdigest()
    assert seen[:16] == "592dae5c0c8056a3"


def test_an_image_does_not_depend_on_those_made_with_it(items):
    masks = clutter.item_masks(items)
    alone = clutter.cluttered(items, masks, [17])
    among = clutter.cluttered(items, masks, range(10, 30))
    assert torch.equal(alone[0][0], among[0][7]) and torch.equal(alone[1][0], among[1][7])
    assert not torch.equal(clutter.cluttered(items, masks, [17], seed=1)[0], alone[0])


def test_the_item_is_in_front_and_whole(items):
    """Whatever the difficulty, the foreground is the same, and shows the same."""
    easy, where = clutter.canvases(items, 0)
    for difficulty in (0.5, 1):
        hard, same = clutter.canvases(items, difficulty)
        assert torch.equal(where, same)
        inside = (
            torch.nn.functional.avg_pool2d(where[:, None].float(), 3, 1, 1)[:, 0] == 1
        )  # away from its edge
        change = (hard.int() - easy.int()).abs()
        assert (change[inside] <= 1).float().mean() > 0.98 and change[~where].float().mean() > 10
    size = where.any(1).sum(1).maximum(where.any(2).sum(1))
    assert size.max() <= clutter.SIZES[1] and 0.05 < where.float().mean() < 0.5


def test_difficulty_0_is_an_empty_canvas(items):
    images, where = clutter.canvases(items, 0)
    around = torch.nn.functional.max_pool2d(where[:, None].float(), 3, 1, 1)[:, 0] == 0
    assert images[around].float().mean() < 0.5  # an item's own faint pixels are not drawn


def test_fragments_come_from_other_items(items):
    """Alone among copies of one blank picture, an item has nothing behind it but noise."""
    blank = torch.zeros_like(items)
    blank[5] = items[5]
    masks = clutter.item_masks(blank)
    images, where = clutter.cluttered(blank, masks, [5], difficulty=1)
    assert images[~where].float().max() <= 170


def test_a_mask_encloses_its_holes_and_ends_at_the_item():
    ring = torch.zeros(2, 28, 28, dtype=torch.uint8)
    ring[0, 5:15, 5:15], ring[0, 7:13, 7:13] = 200, 0
    ring[1, 20:23, 3:9] = clutter.INK
    masks = clutter.item_masks(ring)
    assert masks[0, 5:15, 5:15].all() and masks[0].sum() == 100
    assert masks[1].sum() == 18


@pytest.mark.slow
def test_a_network_of_the_set_learns_with_the_oracle():
    """Training and evaluation take the truth along: the oracle keeps foreground, first of all."""
    from ssf.engine import runs
    from ssf.model import training

    told = {
        "data.name": "cluttered-fashion",
        "data.train_size": 64,
        "data.difficulty": 0.0,
        "train.epochs": 1,
    }
    config = preset("smoke", **told, **{"selector.kind": "oracle", "selector.keep_ratio": 0.2})
    run = runs.run(config)
    dataset = sets.load_for(config)
    images, _, foreground = dataset.part("test", torch.arange(50))
    truth = training.truth(run.network, foreground)
    with torch.no_grad():
        _, (kept,) = run.network.forward_tokens(dataset.standardise(images), truth)
    k = config.selector.counts(config.model.tokens)[0]
    assert torch.equal((kept * (truth > 0)).sum(1), (truth > 0).sum(1).clamp(max=k).float())
    assert token_shares(foreground, config.model.tokens).shape == kept.shape
    for name, wrong in (("data.name", "fashion-mini"), ("data.augment", "published")):
        with pytest.raises(ValueError, match="oracle"):
            config.with_(
                **{name: wrong, **({"data.difficulty": 0.5} if name == "data.name" else {})}
            )
