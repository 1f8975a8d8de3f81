"""A trained network as a page computes with it: one small file of weights, and the page itself.

BatchNorm is folded in. A weight is a whole number of 8 or 16 bits times its channel's power of two,
and a pixel is a whole number less another, so that sums of spikes are exact in whatever order they
are taken: the page (live.js computes, live-page.js shows) fires the very spikes that torch does.
"""

import base64
import copy
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from ssf import folders
from ssf.config import Refused, RunConfig, demand
from ssf.datasets import batches, clutter, sets
from ssf.engine import files, records, runs
from ssf.kernels.neurons import folded
from ssf.model import training

VERSION = 1  # of the file; live.js reads no other
LIMIT = 150_000  # bytes of a network's file
BITS = (8, 16)  # the first with which every class stays the same is taken
CHECKED, SHOWN = 200, 20  # test images: those classes are of, and those of a page
BIAS = 2.0**20  # a bias is a multiple of 1 / BIAS
OWN = Path(__file__).parent
# of a run's record, what the page tells of it
TOLD = ("id", "seed", "accuracy", "parameters", "parameters_left", "sparsity", "macs", "commit")
SELECTORS = ("learned", "firing_rate")  # that the page computes
BARE = ("fashion-mini", "fashion-mnist")  # nothing is behind the item


def layers(network):
    """{name: (a Linear or Conv, the BatchNorm behind it or None)} of all that have weights."""
    units = {name: unit for name, unit in network.named_modules() if hasattr(unit, "bn")}
    pairs = {n: (u.linear if hasattr(u, "linear") else u.conv, u.bn) for n, u in units.items()}
    for i, predictor in enumerate(network.selector.predictors if network.selector else ()):
        pairs |= {f"selector.{i}.{j}": (predictor[2 * j], None) for j in (0, 1)}
    return pairs | {"head": (network.head, None)}


def whole(weight, bits):
    """Whole numbers of so many bits, and the powers of two [c_out] that weights are these over."""
    largest = weight.abs().flatten(1).amax(1).clamp(min=2.0**-40)
    powers = torch.log2((2 ** (bits - 1) - 1) / largest).floor()
    return (weight * 2 ** shaped(powers, weight)).round(), powers


def shaped(values, weight):
    """Values [c_out] that multiply a weight [c_out, ...]."""
    return values.view(-1, *[1] * (weight.ndim - 1))


@torch.no_grad()
def rounded(network, statistics, bits):
    """The network with its weights rounded, in float64, of pixels less their mean; and its arrays.

    Args:
        statistics: mean and standard deviation of the pixels, each [c,1,1], in grey levels.
    """
    network, arrays = copy.deepcopy(network).cpu().double().eval(), {}
    mean, std = (value.double().cpu() for value in statistics)
    for name, (layer, norm) in layers(network).items():
        weight, bias = layer.weight, torch.zeros(len(layer.weight), dtype=torch.float64)
        bias = bias if layer.bias is None else layer.bias
        if norm is not None:
            scale, shift = folded(norm)
            weight, bias = weight * shaped(scale, weight), bias * scale + shift
        if name == "stem.stages.0":
            weight = weight / std
            bias = bias + (weight * (mean.round() - mean)).sum((1, 2, 3))
        numbers, powers = whole(weight, bits)
        layer.weight.copy_(numbers / 2 ** shaped(powers, weight))
        bias = (bias * BIAS).round() / BIAS
        if norm is None:
            layer.bias.copy_(bias)
        else:
            layer.bias = None
            norm.reset_parameters()  # what is left is to add the bias
            norm.bias.copy_(bias)
            norm.eps = 0.0
        arrays |= stored(name, numbers, bits)
        arrays |= {f"{name}.power": powers.numpy().astype(np.int8)}
        arrays |= {f"{name}.bias": bias.numpy().astype(np.float32)}
    return network, arrays


def stored(name, numbers, bits):
    """A weight's whole numbers [c_out, c_in, ...] as arrays, a row an input: dense or sparse."""
    rows = numbers.movedim(0, -1).flatten().numpy().astype(f"int{bits}")
    values, gaps = sparse(rows)
    if values.nbytes + gaps.nbytes < rows.nbytes:
        return {f"{name}.values": values, f"{name}.gaps": gaps}
    return {f"{name}.weight": rows}


def sparse(row):
    """The values that are not 0, and how many zeros are before each, uint8.

    256 zeros in a row take an entry of their own: a gap of 255, then a value of 0.
    """
    places = row.nonzero()[0]
    gaps = np.diff(places, prepend=-1) - 1
    ends = np.cumsum(gaps // 256 + 1) - 1
    values = np.zeros(ends[-1] + 1 if len(ends) else 0, row.dtype)
    long = np.full(len(values), 255, np.uint8)
    values[ends], long[ends] = row[places], gaps % 256
    return values, long


def pixels(dataset, rows):
    """Test images as a rounded network takes them: grey levels less a whole number, float64."""
    return dataset.test_images[rows].double() - dataset.statistics[0].double().round()


def refuse(config, network):
    """Raise Refused for a network that the page can't compute, or whose file would be too large."""
    model, selector = config.model, config.selector
    demand(model.encoding == "direct", "model.encoding", model.encoding, "direct, for images")
    if selector:
        demand(selector.kind in SELECTORS, "selector.kind", selector.kind, " or ".join(SELECTORS))
        demand(selector.removes, "selector.dropped", selector.dropped, "removed")
    within(sum(int(layer.weight.count_nonzero()) for layer, _ in layers(network).values()), 8)


def within(size, bits):
    if size > LIMIT:
        allowed = f"at most {LIMIT:,}; a smaller width, or a ticket, fits"
        raise Refused(f"the network's file has {size:,} bytes at {bits} bits; allowed: {allowed}.")


def compact(run, dataset):
    """The file of a Run's network, bytes: safetensors, and what the page tells of it as metadata.

    Raises Refused for what the page can't compute, and for a file of more than LIMIT bytes.
    """
    config, trained = run.config, run.network.cpu()
    refuse(config, trained)
    chosen = torch.arange(min(CHECKED, len(dataset.test_labels)))
    own = training.answers(trained, dataset.standardise(dataset.test_images[chosen])).argmax(1)
    for bits in BITS:
        network, arrays = rounded(trained, dataset.statistics, bits)
        same = training.answers(network, pixels(dataset, chosen)).argmax(1) == own
        if same.all():
            break
    about = {"version": VERSION, "bits": bits, "same": int(same.sum()), "checked": len(same)}
    about |= {"data": dataset.title, "mean": dataset.statistics[0].flatten().round().int().tolist()}
    about |= {"classes": dataset.classes, "model": network_form(config)}
    about |= {"record": {key: run.record[key] for key in TOLD}}
    raw = safetensors.numpy.save(arrays, {"ssf": json.dumps(about)})
    within(len(raw), bits)
    return raw


def read(raw):
    """What a file tells of its network."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(json.loads(raw[8:start])["__metadata__"]["ssf"])


def network_form(config):
    """What the page needs to know of a config to compute with the weights."""
    model, selector = config.model, config.selector
    names = ("channels", "side", "depth", "width", "heads", "time_steps", "tau", "v_threshold")
    names += ("attention_v_threshold", "attention_scale", "pool_stages", "classes", "mlp_ratio")
    form = {name: getattr(model, name) for name in names}
    if selector:
        form["selector"] = {"kind": selector.kind, "locations": selector.locations}
        form["selector"]["counts"] = selector.counts(model.tokens)
    return form


def pictures(dataset, tokens, count=SHOWN):
    """Test images for a page, the first of each class, then the second: pixels, labels and `truth`,
    how many of each token's pixels are foreground."""
    labels = dataset.test_labels
    places = [(labels == label).nonzero()[:, 0] for label in range(len(dataset.classes))]
    ranks = range(-(-count // len(places)))
    chosen = torch.stack([own[rank] for rank in ranks for own in places])[:count]
    shown = {"images": text(dataset.test_images[chosen]), "labels": labels[chosen].tolist()}
    shown["numbers"] = chosen.tolist()
    if (truth := foreground(dataset, chosen)) is not None:
        area = truth[0].numel() // tokens
        shares = batches.token_shares(truth, tokens) * area
        shown["truth"] = text(shares.round().to(torch.uint8))
    return shown


def foreground(dataset, chosen):
    """Which pixels are the item, bool [n,H,W]: as the set tells, or where it has no background."""
    if dataset.name in BARE:
        return clutter.item_masks(dataset.test_images[chosen, 0])
    truth = dataset.test_foreground
    return None if truth is None else truth[chosen]


def text(data):
    """Bytes, or the bytes of an array, in base64."""
    raw = data if isinstance(data, bytes) else data.numpy().tobytes()
    return base64.b64encode(raw).decode()


def script(networks, dataset, tokens, count=SHOWN):
    """The page's data as a script: networks (bytes, `compact`) and `pictures`."""
    data = {"networks": [text(raw) for raw in networks]} | pictures(dataset, tokens, count)
    return f"window.ssfLive = {json.dumps(data, separators=(',', ':'))};\n"


def page(networks, dataset, tokens):
    """One self-contained page, HTML, of networks (bytes, `compact`); the first is shown first."""
    text = (OWN / "live.html").read_text()
    text = text.replace("/* data */", script(networks, dataset, tokens))
    for place, name in {"css": "live.css", "network": "live.js", "page": "live-page.js"}.items():
        text = text.replace(f"/* {place} */", (OWN / name).read_text())
    return text


def export(names, path):
    """Write the page of some finished runs, ids under runs/, all of one data set."""
    found = []
    for name in names:
        folder = folders.runs() / name
        allowed = f"the id of a finished run in {folders.runs()}"
        demand((folder / "record.json").exists(), "RUN", name, allowed)
        record = records.read_record(folder)
        found.append(runs.Run(RunConfig.from_flat(record), record))
    data, model = found[0].config.data, found[0].config.model
    for run in found:
        fits = (run.config.data.name, run.config.model.tokens) == (data.name, model.tokens)
        demand(fits, "RUN", run.record["id"], "runs of one data set and with as many tokens")
    dataset = sets.load_for(found[0].config)
    text = page([compact(run, dataset) for run in found], dataset, model.tokens)
    files.write(Path(path), lambda temporary: temporary.write_text(text))
    return path
