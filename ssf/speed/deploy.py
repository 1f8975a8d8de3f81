"""A trained network compiled for inference on a CPU: it computes only where spikes and weights are.

Spikes are bits, 64 channels a word; a layer adds one row of weights for every bit that is set
(events.c). BatchNorm is folded in. What a ticket has killed is removed exactly: the current of a
neuron without incoming weights is its bias, so what fires is known before any image is seen. If it
never does it is dropped; if it does, a linear layer takes its contribution into a bias of its own
for each time step, and a convolution, which sees a border, keeps it. Neurons that nothing reads go
too, pairs of q and k of which one is silent, and with its last pair or value a head. Rows of
weights without a survivor are skipped, and dropped tokens are gone.
"""

import copy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ssf.config import Refused, demand
from ssf.kernels import build
from ssf.kernels.neurons import folded
from ssf.kernels.spikes import LANES, WORD, Grid, Rows
from ssf.model.neuron import LIF
from ssf.model.selector import Tokens

SILENT = -1  # instead of a neuron's index: one without weights and bias, which never fires


def indices(chosen, multiple=1):
    """Indices of the chosen neurons, SILENT ones added up to a multiple; at least one multiple."""
    chosen = chosen.flatten().nonzero().squeeze(1)
    missing = -len(chosen) % multiple if len(chosen) else multiple
    return F.pad(chosen, (0, missing), value=SILENT)


@dataclass
class Layer:
    """Weights [c_out, c_in, taps], biases [T, c_out], and the threshold of the neurons behind."""

    weight: torch.Tensor
    bias: torch.Tensor
    v_threshold: float

    @classmethod
    def of(cls, unit, time_steps):
        """A LinearUnit or ConvUnit with its BatchNorm folded in."""
        layer = unit.linear if hasattr(unit, "linear") else unit.conv
        scale, bias = folded(unit.bn)
        weight = layer.weight.double().reshape(*layer.weight.shape[:2], -1) * scale[:, None, None]
        if layer.bias is not None:
            bias = bias + layer.bias.double() * scale
        bias = bias.detach().float().expand(time_steps, -1)
        return cls(weight.detach().float(), bias, float(unit.lif.v_threshold))

    def constant(self, tau):
        """Spikes [T, c_out] of the neurons without incoming weights; NaN for the others."""
        fed = (self.weight != 0).flatten(1).any(1)
        return LIF(tau, self.v_threshold)(self.bias).masked_fill(fed, torch.nan)

    def may_fire(self, tau):
        """Which neurons may ever fire, [c_out]."""
        return ~(self.constant(tau) == 0).all(0)

    def read(self):
        """Which inputs some weight reads, [c_in]."""
        return (self.weight != 0).any(2).any(0)

    def outputs(self, neurons):
        """Those neurons, by index or SILENT, in that order."""
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, 1))[neurons]  # SILENT: the last, of zeros
        return replace(self, weight=weight, bias=F.pad(self.bias, (0, 1))[:, neurons])

    def inputs(self, neurons):
        """With the inputs from those neurons, by index or SILENT, in that order."""
        return replace(self, weight=F.pad(self.weight, (0, 0, 0, 1))[:, neurons])

    def with_known(self, constants):
        """With inputs that are known, [T, c_in] (else NaN), taken into the bias."""
        return replace(self, bias=self.bias + constants.nan_to_num() @ self.weight.sum(2).T)


def words_of(neurons):
    """Words that the spikes of so many neurons take."""
    return -(-neurons // WORD)


class Unit:
    """A Layer ready to run on spikes."""

    def __init__(self, layer, model):
        c_out = len(layer.weight)
        self.layer, self.model, self.words = layer, model, words_of(c_out)
        # a row of weights is as long as its neurons and the words that are put out have room for
        longest = 8 if self.words % 2 == 0 else 4
        vectors = next(n for n in (8, 4, 2, 1) if n <= longest and (n - 1) * LANES < c_out)
        self.library = build.library("events", TIME=model.time_steps, VECS=vectors)
        self.rows = Rows(layer.weight, vectors)
        self.live = self.rows.live()
        self.bias = F.pad(layer.bias, (0, self.rows.short)).contiguous()

    def __call__(self, x, grid):
        """Spikes [B,T,positions,words] of spikes x."""
        rows, words, steps = self.rows, x.shape[3], self.model.time_steps
        out = grid.empty(len(x), steps, self.words)
        self.library.unit(
            x, words, rows.width, out, self.words, len(x), *rows.layout(grid), rows.rows, self.live,
            self.bias, *rows.scratch(grid, words, steps), None, self.model.tau,
            self.layer.v_threshold,
        )  # fmt: skip
        return out


class FirstUnit:
    """The first convolution, of pixels: torch computes its currents, once for a still image."""

    def __init__(self, layer, model):
        every = torch.ones(len(layer.weight), dtype=torch.bool)
        self.layer, self.model = layer.outputs(indices(every, LANES)), model
        self.words = words_of(len(layer.weight))
        self.library = build.library("events", TIME=model.time_steps, VECS=1)

    def __call__(self, images, grid):
        """Spikes of images [B, own, c, H, W], own = T or 1."""
        weight, bias = self.layer.weight.unflatten(2, (3, 3)), self.layer.bias[0].contiguous()
        maps = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        currents = F.conv2d(maps, weight, bias, padding=1).permute(0, 2, 3, 1).contiguous()
        out = grid.empty(len(images), self.model.time_steps, self.words)
        self.library.fire(
            currents, images.shape[1], len(weight) // LANES, out, len(images), *grid.map,
            grid.positions, self.words, self.model.tau, self.layer.v_threshold,
        )  # fmt: skip
        return out


class Attention:
    """LIF(q (kᵀ v) · scale) of what is left: pairs of q and k and values, each [heads, d] of bool.

    `pairs` and `values` are then indices into q, k and v, [heads · d]; a head's values are filled
    up with SILENT ones to whole pieces of 16.
    """

    def __init__(self, pairs, values, model):
        self.model, d = model, values.shape[1]
        self.pairs, by_head = indices(pairs, WORD), []
        for head, mine in enumerate(values):  # the first has a piece even if nothing is left
            own = indices(mine, LANES) if mine.any() or head == 0 else mine.nonzero()[:, 0]
            by_head.append(torch.where(own == SILENT, SILENT, own + head * d))
        self.values = torch.cat(by_head)
        pieces = torch.tensor([len(own) // LANES for own in by_head])
        head = self.pairs.clamp(min=0) // d  # a SILENT pair asks nothing of head 0
        self.last = pieces.cumsum(0)[head]
        self.first = self.last - pieces[head]
        self.pieces, self.deepest = int(pieces.sum()), int(pieces.max())
        self.library = build.library("events", TIME=model.time_steps, VECS=1)

    def __call__(self, x):
        model, tokens, words = self.model, x.shape[2], words_of(len(self.values))
        out = Grid(tokens=tokens).empty(len(x), model.time_steps, words).zero_()
        vectors = len(self.pairs) * self.deepest + (1 + tokens) * self.pieces
        work = build.empty(torch.get_num_threads(), vectors, LANES)
        self.library.attention(
            x, x.shape[3], out, words, len(x), tokens, len(self.pairs) // WORD, self.pieces,
            self.first, self.last, self.deepest, work, model.attention_scale, model.tau,
            model.attention_v_threshold,
        )  # fmt: skip
        return out


class Block:
    def __init__(self, block, model):
        parts = block.attention.qkv, block.attention.proj, block.fc1, block.fc2
        qkv, proj, fc1, fc2 = (Layer.of(unit, model.time_steps) for unit in parts)
        fires = qkv.may_fire(model.tau).view(3, model.heads, -1)
        pairs, values = fires[0] & fires[1], fires[2] & proj.read().view(model.heads, -1)
        alive = (pairs.any(1) & values.any(1))[:, None]
        pairs, values = pairs & alive, values & alive
        self.attention = Attention(pairs, values, model)
        chosen = self.attention.pairs, self.attention.pairs, self.attention.values
        # in the layer of all three, q starts at 0, k at width and v at 2 · width
        starts = enumerate(chosen)
        own = [torch.where(of == SILENT, SILENT, of + i * model.width) for i, of in starts]
        self.qkv = Unit(qkv.outputs(torch.cat(own)), model)
        self.proj = Unit(proj.inputs(self.attention.values), model)

        constants = fc1.constant(model.tau)
        fc2 = fc2.with_known(constants)
        hidden = constants[0].isnan() & fc2.read()
        self.fc1 = Unit(fc1.outputs(indices(hidden)), model)
        self.fc2 = Unit(fc2.inputs(indices(hidden)), model)
        self.left = [
            ("fc1", hidden.sum().item(), len(hidden)),
            ("heads", alive.sum().item(), model.heads),
            ("q and k", 2 * pairs.sum().item(), 2 * model.width),
            ("v", values.sum().item(), model.width),
        ]

    def __call__(self, x):
        grid = Grid(tokens=x.shape[2])
        x = torch.cat([x, self.proj(self.attention(self.qkv(x, grid)), grid)], 3)
        return torch.cat([x, self.fc2(self.fc1(x, grid), grid)], 3)


def shrunk(layers, tau):
    """The stem's layers without channels that never fire or nothing reads; the last is whole."""
    for i in range(len(layers) - 1):
        fires = indices(layers[i].may_fire(tau))
        layers[i], layers[i + 1] = layers[i].outputs(fires), layers[i + 1].inputs(fires)
    for i in reversed(range(len(layers) - 1)):
        read = indices(layers[i + 1].read())
        layers[i], layers[i + 1] = layers[i].outputs(read), layers[i + 1].inputs(read)
    return layers


def can_deploy(device):
    """Whether networks can be compiled for inference here."""
    return device.type == "cpu" and build.library("events", TIME=4, VECS=1) is not None


class Deployed:
    """A trained Spikformer for inference: images or frames, float -> logits [B,classes].

    It predicts what the network does, up to rounding: a current may be summed in another order.
    Weights that are exactly zero are taken for pruned. `left`: {part: (neurons left, of so many)};
    heads count whole ones.

    Raises ValueError without a C compiler, for a network on a GPU, and for selectors that ask for
    more than tokens.
    """

    @torch.autocast("cpu", enabled=False)
    def __init__(self, network, model, batch=64):
        if not can_deploy(next(network.parameters()).device):
            needs = "a C compiler (cc on the PATH, or its name in CC) and to be on the CPU"
            raise Refused(f"a deployed network needs {needs}: network.cpu().")
        kind = network.selector.kind if network.selector else None
        allowed = "one that goes by the tokens alone"
        demand(kind not in ("attention", "oracle"), "selector.kind", kind, allowed)
        self.head, self.selector = copy.deepcopy(network.head), copy.deepcopy(network.selector)
        self.model, self.batch, self.image_shape = model, batch, network.image_shape
        self.library = build.library("events", TIME=model.time_steps, VECS=1)
        units = network.stem.stages
        layers = shrunk([Layer.of(unit, model.time_steps) for unit in units], model.tau)
        self.stages = [FirstUnit(layers[0], model), *(Unit(layer, model) for layer in layers[1:])]
        self.position = Unit(Layer.of(network.stem.position, model.time_steps), model)
        self.blocks = [Block(block, model) for block in network.blocks]
        channels = sum(unit.conv.out_channels for unit in units)
        self.left = {"SPS": (sum(len(layer.weight) for layer in layers), channels)}
        for part, left, of in (row for block in self.blocks for row in block.left):
            before = self.left.get(part, (0, 0))
            self.left[part] = before[0] + left, before[1] + of

    @torch.inference_mode()
    @torch.autocast("cpu", enabled=False)
    def __call__(self, images):
        of_its_kind = images.dtype == torch.float32 and images.device.type == "cpu"
        if images.shape[1:] != self.image_shape or not of_its_kind:
            raise Refused(
                f"images are {list(images.shape)}, {images.dtype}, on {images.device}; "
                f"allowed: [B, {', '.join(map(str, self.image_shape))}], torch.float32, on the CPU."
            )
        return torch.cat([self.logits(part) for part in images.split(self.batch)])

    def logits(self, images):
        x = self.tokens(images.unsqueeze(1) if images.ndim == 4 else images)
        grid = torch.arange(x.shape[2]).expand(len(x), -1)
        for i, block in enumerate(self.blocks):
            if self.selector is None or i not in self.selector.locations:
                x = block(x)
                continue
            chosen = self.selector.choose(i, Tokens(self.counts(x).transpose(0, 1), grid))
            words = chosen[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
            through = block(x.gather(2, words))
            if self.selector.removes:
                x, grid = through, grid.gather(1, chosen)
                continue
            added = through[..., x.shape[3] :]  # the spikes of the block, none for other tokens
            words = chosen[:, None, :, None].expand_as(added)
            silence = added.new_zeros(*x.shape[:3], added.shape[3])
            x = torch.cat([x, silence.scatter(2, words, added)], 3)
        return self.head(self.counts(x).mean((1, 2)))

    def tokens(self, x):
        """The stem: spikes [B,T,N,words] of images [B,own,c,H,W].

        Two trains, the last stage's and the position's.
        """
        side = self.model.side
        for i, stage in enumerate(self.stages):
            x = stage(x, Grid(side))
            if i in self.model.pool_stages:
                half = (side + 1) // 2
                pooled = Grid(half).empty(*x.shape[:2], x.shape[3])
                self.library.pool(x, pooled, len(x) * x.shape[1], side, x.shape[3])
                x, side = pooled, half
        x = torch.cat([x, self.position(x, Grid(side))], 3)
        return x.unflatten(2, (side + 2, side + 2))[:, :, 1:-1, 1:-1].flatten(2, 3).contiguous()

    def counts(self, x):
        """The residual stream [B,T,N,C] as numbers."""
        width = words_of(self.model.width)
        out = build.empty(*x.shape[:3], width * WORD)
        self.library.counts(x, x.shape[3], width, out, x.shape[:3].numel())
        return out[..., : self.model.width]
