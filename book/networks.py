"""The networks that compute in the pages: their files checked, their scripts, what pages say."""

import shutil
from statistics import median

import pandas as pd
from chapters import ROOT
from tables import in_markdown

from ssf.datasets import sets
from ssf.figures import live
from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments
from ssf.study.statistics import percent

FOLDER = ROOT / "data" / "live"
SMALL = 10  # pictures of the landing page, one of each class
LIGHT = slice(-2, -1)  # its network: the ticket of the last round but one, a file of 20 kB
TOUCH = """<link rel="stylesheet" href="_static/live.css">
<div class="ssf-live"{small}><p>The network is loading.</p>
<noscript>This part of the page needs JavaScript.</noscript></div>
<script src="_static/{data}.js"></script>
<script src="_static/live.js"></script>
<script src="_static/live-page.js"></script>
"""


def committed():
    """The files, bytes, in the order of their checksums: the selector's, dense, the rounds."""
    names = [line.split()[1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines()]
    return [sets.intact(FOLDER / name, "data/make_live.py") for name in names]


def data_set():
    _, config = next(experiments.live(0))
    return sets.load_for(config), config.model.tokens


def selector_cost():
    """Share of the unpruned network's MACs, all tokens kept, that its learned selector adds."""
    _, config = next(experiments.live(0))
    own = [row for row in cost.layers(config.model, config.selector) if row.role == "selector"]
    return sum(row.macs for row in own) / cost.macs(config.model)


def pairs(left):
    """Whether, with a share `left` of the weights, products of pairs of tokens are most MACs."""
    _, config = next(experiments.live(0))
    products = sum(row.macs for row in cost.layers(config.model) if row.role == "attention")
    return products > left * (cost.macs(config.model) - products)


def texts():
    """{name: text} of the numbers that the live page states."""
    pictures = pd.read_csv(FOLDER / "pictures.csv")
    dataset, tokens = data_set()
    ways = (*live.SELECTORS, "truth", "chance", "lost")
    middle = {f"live_{way}": f"{median(pictures[way]):g}" for way in ways}
    easiest = pictures.loc[pictures.lost.idxmin()]
    last = pictures[f"round_{experiments.LIVE_ROUNDS}"]
    told = [live.read(raw) for raw in committed()]
    dense, *tickets = [each["record"]["accuracy"] for each in told[1:]]
    first, sparsest = told[0]["model"], told[-1]["record"]
    return middle | {
        "live_tokens": str(tokens),
        "live_pictures": str(len(pictures)),
        "live_kept": str(first["selector"]["counts"][0]),
        "live_selector_cost": f"{100 * selector_cost():.1f} %",
        "live_luckier": str((pictures.chance < pictures.truth).sum()),
        "live_rounds": str(len(tickets)),
        "live_higher": str(sum(accuracy > dense for accuracy in tickets)),
        "live_right": str((pictures.answer == pictures.label).sum()),
        "live_lost_least": str(easiest.lost),
        "live_lost_picture": str(easiest.name + 1),
        "live_lost_from": dataset.classes[easiest.answer],
        "live_lost_to": dataset.classes[easiest.flips_to],
        "live_same": str((last == pictures.round_0).sum()),
        "live_left": f"{100 * sparsest['parameters_left'] / sparsest['parameters']:.0f} %",
        "live_gone": f"{100 * sparsest['sparsity']:.0f} %",
    }


def rows():
    """A line a network: what it is, what is left, its accuracy, the commit and the row's id."""
    for (kind, config), raw in zip(experiments.live(0), committed(), strict=True):
        record = live.read(raw)["record"]
        name = f"ticket, round {config.ticket.round}" if config.ticket else kind
        yield {
            "network": "unpruned, with a selector" if kind == "selector" else name,
            "parameters left": f"{record['parameters_left']:,}",
            "accuracy (%)": f"{100 * record['accuracy']:.1f}",
            "file (kB)": f"{len(raw) / 1000:.0f}",
            "commit": f"`{record['commit'][:7]}`",
            "row": f'<span id="row-{record["id"]}">`{record["id"]}`</span>',
        }


def pages(book):
    """What pages include: the network in full, in small, and the table of the rows."""
    left = 1 - live.read(committed()[LIGHT][0])["record"]["sparsity"]
    paper = preset("paper-cifar10")
    small = TOUCH.format(small=" data-small", data="live-small-data")
    words = (
        "A small spiking transformer runs on this page and names the picture below. It is a pruned "
        f"network, a *ticket*: only {100 * left:.0f} % of its weights are left. Its first layers "
        "describe the picture square by square. Each description is a *token*, made of *spikes*: "
        "in each time step a neuron fires or is silent. Then the network drops tokens, those with "
        "the fewest spikes first. (An empty square may fire, too.) How long does the answer hold? "
        "Take over, and erase squares with a finger, the mouse or the keyboard."
    )
    saving = percent(cost.saving(paper.model, paper.selector))
    caveat = (
        "The saving below the picture is this network's. With so few weights, most of the work "
        "compares tokens in pairs, so a token that goes saves more than its share. In the paper's "
        f"network for CIFAR, as published, dropping tokens saves {saving} in all. "
    )
    caveat = caveat if pairs(left) else ""
    text = f"{words}\n\n{small}\n\n{caveat}[](live.md) shows more.\n"
    (book / "_live_small.md").write_text(text)
    (book / "_live.md").write_text(TOUCH.format(small="", data="live-data"))
    (book / "_live_rows.md").write_text(in_markdown(rows()))


def bundle(html):
    """Scripts, style and data beside the compiled pages."""
    static, raws, (dataset, tokens) = html / "_static", committed(), data_set()
    for name in ("live.js", "live-page.js", "live.css"):
        shutil.copy(live.OWN / name, static)
    (static / "live-data.js").write_text(live.script(raws, dataset, tokens))
    (static / "live-small-data.js").write_text(live.script(raws[LIGHT], dataset, tokens, SMALL))
