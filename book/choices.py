"""What the page of four blocks shows of its selector: does it look at its image?"""

from contextlib import suppress

import numpy as np
import pandas as pd
import tables
import texts

from ssf.config import Refused
from ssf.datasets import sets
from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.figures.style import done, draw_sentence, figure, picture
from ssf.study.ledger import difference, pick
from ssf.study.statistics import percent

CHOICES = {
    "learned": "the selector's own",
    "another image's": "those it would keep in another image",
    "usual places": "the places that it keeps most often",
    "firing_rate": "the tokens that fire most",
    "random": "random tokens",
    "untrained": "those it would have kept before its training",
}


def looks():
    """What other choices, by `kind`, do in the learned selector's networks; perhaps no rows."""
    with suppress(Missing):
        return inside.look("choices").rename(columns={"choice": "kind"})
    return pd.DataFrame(columns=["seed", "kind", "accuracy", "same"])


def others():
    """Accuracy of the learned selector's networks with other choices, less that with its own."""
    frame = looks()
    own = pick(frame, "learned")
    for choice, label in CHOICES.items():
        part = pick(frame, choice)
        if part.empty:
            continue
        change = tables.columns(difference(part, own))
        if choice == "learned":
            change = dict.fromkeys(change, "–") | {"seeds": len(own)}
        yield {
            "tokens that stay": label,
            "shared with its own (%)": texts.hundredfold(part.same.mean()),
            "accuracy (%)": texts.hundredfold(part.accuracy.mean()),
            "minus its own": change.pop("mean"),
        } | change


def looked():
    """Whether the selector's choice depends on the image, and what that is worth."""
    frame = looks()
    asked = ("learned", "another image's", "usual places", "random")
    own, another, usual, chance = (pick(frame, kind) for kind in asked)
    if any(part.empty for part in (own, another, usual, chance)):
        return "It is not measured yet."
    change = difference(another, own)
    worth = "and gains" if change.interval[1] < 0 else "but we could not show that it gains"
    return (
        f"**It does, {worth} accuracy by it.** In two images, its choices share "
        f"{percent(another.same)} of the tokens, and they would share all if it did not look. "
        f"(Random choices share {percent(chance.same)}.) What is that worth? With the choice for "
        f"another image instead, accuracy changes by {change}. With the places "
        "that the selector keeps most often, the same in every image, it changes by "
        f"{difference(usual, own)}. With random tokens it changes by {difference(chance, own)}. So "
        "the change with another image's choice is our estimate of what looking at the image is "
        "worth. "
        "It may even be too large, because that choice is also unfamiliar to weights that were "
        "trained with the selector's own."
    )


def untrained():
    """How much of a selector's choice it makes before its training, too, in the same network."""
    frame = looks()
    new = pick(frame, "untrained")
    if new.empty:
        return "Whether a selector before its training would prefer the same places is not known."
    same, chance = (
        percent(pick(frame[frame.seed.isin(new.seed)], kind).same)
        for kind in ("untrained", "random")
    )
    return (
        f"Put into the trained network, the untrained selector keeps {same} of the tokens that the "
        f"trained one keeps at last. A random choice keeps {chance} of them ({texts.seeds(new)})."
    )


def preferred():
    """How often the selector keeps the places in the middle of the image, and those at its rim."""
    own = pick(looks(), "learned").filter(like="place_")
    if own.empty:
        return "It is not measured yet."
    side = round(own.shape[1] ** 0.5)
    grid = own.mean().to_numpy().reshape(side, side)
    inner = np.pad(np.ones((side // 2, side // 2)), side // 4) > 0
    rim = np.pad(np.zeros((side - 2, side - 2)), 1, constant_values=1) > 0
    return (
        f"After its training ({texts.seeds(own)}), it keeps each of the {inner.sum()} places in "
        f"the middle in {percent([grid[inner].mean()])} of the images on average, and each of the "
        f"{rim.sum()} at the rim in {percent([grid[rim].mean()])}."
    )


def uniform():
    """How often a place is kept if all are kept equally often."""
    own = pick(looks(), "learned").filter(like="place_")
    return percent(own.mean()) if len(own) else "the same share"


def draw_places():
    """How often the selector keeps each place of the grid, the mean over seeds; and before it is
    trained, both of the seeds where that was measured, if there are any."""
    parts = {"trained": pick(looks(), "learned"), "before training": pick(looks(), "untrained")}
    if len(asked := parts["before training"].seed):
        parts["trained"] = parts["trained"][parts["trained"].seed.isin(asked)]
    parts = {label: part.filter(like="place_").mean() for label, part in parts.items() if len(part)}
    if not parts:
        return draw_sentence("not measured yet")
    fig, axes = figure(rows=len(parts), height=2.6, squeeze=False)
    most = 100 * max(shares.max() for shares in parts.values())
    for ax, (label, shares) in zip(axes[:, 0], parts.items(), strict=True):
        side = round(len(shares) ** 0.5)
        grid = 100 * shares.to_numpy().reshape(side, side)
        shown = ax.imshow(grid, cmap="Blues", vmin=0, vmax=most)
        ax.set(xticks=[], yticks=[], title=label if len(parts) > 1 else "")
    fig.colorbar(shown, ax=axes, label="kept in so many test images (%)")
    return done(fig)


def alike():
    """How much the selector's own choices in two photographs share, beside its usual places."""
    try:
        frame = inside.look("photographs")
    except Missing:
        return "It is not measured yet."
    own, usual = (frame.pivot(index="image", columns="token", values=choice).to_numpy()
                  for choice in ("learned", "usual_places"))  # fmt: skip
    kept, count = own[0].sum(), len(own)
    both = (own @ own.T / kept)[~np.eye(count, dtype=bool)].mean()
    same, chance = (own * usual).sum() / own.sum(), kept / own.shape[1]
    return (
        f"On average, two of these photographs share {percent([both])} of the tokens that the "
        f"selector keeps. (Two random choices of as many would share {percent([chance])}.) Each "
        f"shares {percent([same])} with the selector's usual places, so {percent([1 - same])} of "
        "what it keeps lies outside them."
    )


SHOWN = {  # on photographs: the column's name in the rows, and above the pictures
    "learned": "its own\nchoice",
    "usual_places": "its usual\nplaces",
    "untrained": "before its\ntraining",
    "firing_rate": "what fires\nmost",
}
FADED, GONE = 0.15, 0.8  # of a dropped token's colours so much is left; the grey of the rest
GAP = 2  # pixels around a picture


def draw_photographs():
    """The first test image of some classes, and what is left of it after each of some choices.

    Raises Missing without the rows, Refused without the images, which are not in the repository.
    """
    frame = inside.look("photographs")
    numbers = frame.image.unique()
    images = sets.load("cifar10-jpeg").test_images[numbers]
    side = round((len(frame) / len(numbers)) ** 0.5)
    lines = []
    for number, image in zip(numbers, images, strict=True):
        colours, part = picture(image), frame[frame.image == number]
        cell = np.ones((len(colours) // side, len(colours) // side))
        tiles = [colours]
        for choice in SHOWN:
            kept = np.kron(part[choice].to_numpy().reshape(side, side), cell)[..., None]
            tiles.append(GONE + (colours - GONE) * np.maximum(kept, FADED))
        framed = [np.dstack([tile, np.ones(tile.shape[:2])]) for tile in tiles]  # opaque
        lines.append(np.hstack([np.pad(tile, [(GAP, GAP)] * 2 + [(0, 0)]) for tile in framed]))
    size = len(lines[0])
    fig, ax = figure(height=0.92 * len(lines) + 0.4)
    ax.imshow(np.vstack(lines).clip(0, 1))
    ax.set_xticks(np.arange(len(SHOWN) + 1) * size + size / 2, ["the\nphotograph", *SHOWN.values()])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return done(fig)


def figures():
    """{name: figure}. Without the images, the committed photographs stay."""
    drawn = {"places": draw_places()}
    with suppress(Missing, Refused):
        drawn["photographs"] = draw_photographs()
    return drawn
