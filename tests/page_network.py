"""Networks as a page has them, in torch and in Node: for tests."""

import node
import safetensors.numpy
import torch

from ssf import folders
from ssf.config import Model, Selector
from ssf.datasets import sets
from ssf.figures import live
from ssf.model.spikformer import Spikformer

FOLDER = folders.home() / "data" / "live"
NAMES = [line.split()[1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines()]


def committed():
    return [(FOLDER / name).read_bytes() for name in NAMES]


def data_set():
    return sets.load("fashion-mini")


def dense_rows(arrays, name, size):
    """A weight's whole numbers, a sparse one's with its zeros."""
    if f"{name}.weight" in arrays:
        return torch.from_numpy(arrays[f"{name}.weight"]).double()
    values, gaps = (torch.from_numpy(arrays[f"{name}.{part}"]) for part in ("values", "gaps"))
    numbers = torch.zeros(size, dtype=torch.float64)
    numbers[(gaps.long() + 1).cumsum(0) - 1] = values.double()
    return numbers


@torch.no_grad()
def in_torch(raw):
    """(Spikformer in float64 of a file's weights, its Model, what the file tells)."""
    about, arrays = live.read(raw), safetensors.numpy.load(raw)
    form = dict(about["model"])
    own = form.pop("selector", None)
    model = Model(**form | {"pool_stages": tuple(form["pool_stages"])})
    selector = None
    if own:
        ratio = own["counts"][0] / model.tokens
        selector = Selector(own["kind"], ratio, tuple(own["locations"]))
    network = Spikformer(model, selector).double().eval()
    for name, (layer, norm) in live.layers(network).items():
        bias = torch.from_numpy(arrays[f"{name}.bias"]).double()
        power = torch.from_numpy(arrays[f"{name}.power"]).double()
        rows = dense_rows(arrays, name, layer.weight.numel()).view(-1, len(bias)) / 2**power
        layer.weight.copy_(rows.T.reshape(layer.weight.shape))
        if norm is None:
            layer.bias.copy_(bias)
            continue
        if layer.bias is not None:
            layer.bias.zero_()
        norm.bias.copy_(bias)
        norm.eps = 0.0
    return network, model, about


def keeping(network, tokens):
    """The network with a choice of the tokens before its first block, whatever it chose before."""
    network.selector = Chosen(tokens)
    return network


class Chosen(torch.nn.Module):
    """A selector that keeps given tokens, for `Spikformer.walk`."""

    kind, locations, removes, head_averages_dropped = "chosen", (0,), True, False

    def __init__(self, tokens):
        super().__init__()
        self.chosen, self.tokens = torch.tensor([tokens]), 64

    def choose(self, _, tokens):
        return self.chosen.expand(tokens.x.shape[1], -1)


def in_node(code, **given):
    """What code returns, of live.js as `ssf` and what is given as `given`."""
    return node.run(
        f"const ssf = require({str(live.OWN / 'live.js')!r});"
        "const {images, size} = given, all = ssf.bytes(images || '');"
        f"const part = i => all.subarray(i * size, (i + 1) * size); {code}",
        given,
    )
