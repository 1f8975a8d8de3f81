"""A trained network compiled for inference on a CPU: it computes where there are spikes and weights, and nowhere else.

Spikes are bits, 64 channels a word, and a layer adds one row of weights for every bit that is set (events.c). BatchNorm
is folded in. What a ticket has killed is removed exactly: a neuron without incoming weights has a current that its bias
alone makes, the same everywhere, so what fires is known before any image is seen. If it never does it is dropped; if it
does, a linear layer takes its contribution into a bias of its own for each time step, and a convolution, which sees a
border, keeps it. Neurons that nothing reads go too, pairs of q and k of which one is silent, and with its last pair or
value a head. Rows of weights without a survivor are skipped, and dropped tokens are gone.
"""

import copy
import time
from dataclasses import dataclass
from threading import Lock

import torch
import torch.nn.functional as F

from ssf.config import Refused
from ssf.kernels import build
from ssf.kernels.neurons import folded
from ssf.kernels.spikes import LANES, WORD, Grid, Rows
from ssf.model.neuron import LIF
from ssf.model.selector import Tokens

LAYOUTS = (1, 2, 4, 8)  # vectors of output channels that a row of weights is long


@dataclass
class Layer:
    """Weights [c_out, c_in, taps], biases [T, c_out], and the threshold of the neurons behind them."""

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

    def read(self):
        """Which inputs some weight reads, [c_in]."""
        return (self.weight != 0).any(2).any(0)

    def outputs(self, places):
        """Those neurons, in that order; -1 stands for one that never fires."""
        return Layer(picked(self.weight, places, 0), picked(self.bias, places, 1), self.v_threshold)

    def inputs(self, places):
        """With those inputs, in that order; -1 stands for none."""
        return Layer(picked(self.weight, places, 1), self.bias, self.v_threshold)

    def given(self, constants):
        """With inputs that are known, [T, c_in] (else NaN), taken into the bias."""
        return Layer(
            self.weight, self.bias + constants.nan_to_num() @ self.weight.sum(2).T, self.v_threshold
        )


def picked(x, places, dim):
    """x at these places of a dimension, zeros where the place is -1."""
    shape = [1 if d == dim else n for d, n in enumerate(x.shape)]
    return torch.cat([x, x.new_zeros(shape)], dim).index_select(dim, places % (x.shape[dim] + 1))


def spaced(chosen, step=1):
    """Places of the chosen ones, [n] bool, filled up with -1 to a multiple of `step`, and at least so many."""
    places = chosen.nonzero().squeeze(1)
    return F.pad(places, (0, max(-len(places) % step, step - len(places)) if step else 0), value=-1)


class Unit:
    """A Layer ready to run on spikes."""

    def __init__(self, layer, model):
        self.layer, self.model = layer, model
        self.words = -(-len(layer.weight) // WORD)  # of what it puts out
        self.vectors, self.lock = None, Lock()  # chosen by the first call, on what it is given

    def __call__(self, x, grid):
        """Spikes [B,T,positions,words] of spikes x."""
        with self.lock:
            if self.vectors is None:
                fitting = [
                    n
                    for n in LAYOUTS
                    if -(-len(self.layer.weight) // (n * LANES)) * n <= 4 * self.words
                ]
                fitting = [
                    n
                    for n in fitting
                    if build.library("events", TIME=self.model.time_steps, VECS=n)
                ]
                self.vectors = min(fitting, key=lambda vectors: self.timed(x, grid, vectors))
                self.prepare(self.vectors)
        return self.run(x, grid)

    def timed(self, x, grid, vectors):
        """Seconds that a layout takes, the least of three."""
        self.prepare(vectors)
        took = []
        for _ in range(3):
            began = time.perf_counter()
            self.run(x, grid)
            took.append(time.perf_counter() - began)
        return min(took)

    def prepare(self, vectors):
        self.rows = Rows(self.layer.weight, vectors)
        self.live, self.bias = (
            self.rows.live(),
            F.pad(self.layer.bias, (0, self.rows.short)).contiguous(),
        )
        self.library = build.library("events", TIME=self.model.time_steps, VECS=vectors)

    def run(self, x, grid):
        rows, words, steps = self.rows, x.shape[3], self.model.time_steps
        out = grid.empty(len(x), steps, self.words)
        self.library.unit(x, words, rows.width, out, self.words, len(x), *rows.layout(grid),
                    rows.rows, self.live, self.bias, *rows.scratch(grid, words, steps), None, float(self.model.tau),
                    self.layer.v_threshold)  # fmt: skip
        return out


class FirstUnit:
    """The first convolution, of pixels: torch computes its currents, once where the image is the same in every step."""

    def __init__(self, layer, model):
        self.layer, self.model = (
            layer.outputs(spaced(torch.ones(len(layer.weight)) > 0, LANES)),
            model,
        )
        self.words = -(-len(layer.weight) // WORD)
        self.library = build.library("events", TIME=model.time_steps, VECS=1)

    def __call__(self, images, grid):
        """Spikes of images [B, own, c, H, W], own = T or 1."""
        weight = self.layer.weight.unflatten(2, (3, 3))
        maps = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        currents = (
            F.conv2d(maps, weight, self.layer.bias[0].contiguous(), padding=1)
            .permute(0, 2, 3, 1)
            .contiguous()
        )
        out = grid.empty(len(images), self.model.time_steps, self.words)
        self.library.fire(currents, images.shape[1], len(weight) // LANES, out, len(images), *grid.map,
                    grid.positions, self.words, float(self.model.tau), self.layer.v_threshold)  # fmt: skip
        return out


class Attention:
    """LIF(q (kᵀ v) · scale) of what is left: pairs of q and k and values, each [heads, d] of bool."""

    def __init__(self, pairs, values, model):
        self.model = model
        if not values.any():  # nothing is left: one value, of which no pair asks anything
            values = values.clone()
            values[0, 0] = True
        by_head = [spaced(row, LANES if row.any() else 0) for row in values]
        pieces = torch.tensor([0, *(len(places) // LANES for places in by_head)]).cumsum(0)
        starts = torch.arange(len(values)) * values.shape[1]
        self.values = torch.cat(
            [
                torch.where(places < 0, -1, places + start)
                for places, start in zip(by_head, starts, strict=True)
            ]
        )
        self.pairs = spaced(pairs.flatten(), WORD)
        head = self.pairs.clamp(min=0) // pairs.shape[1]
        self.first, self.last = pieces[head], pieces[head + 1]
        self.pieces, self.deepest = int(pieces[-1]), int(pieces.diff().max())
        self.library = build.library("events", TIME=model.time_steps, VECS=1)

    def __call__(self, x):
        tokens, words = x.shape[2], -(-self.pieces // 4)
        out = Grid(tokens=tokens).empty(len(x), self.model.time_steps, words).zero_()
        vectors = len(self.pairs) * self.deepest + (1 + tokens) * self.pieces
        self.library.attention(x, x.shape[3], out, words, len(x), tokens, len(self.pairs) // WORD,
                    self.pieces, self.first, self.last, self.deepest,
                    build.empty(torch.get_num_threads(), vectors, LANES), float(self.model.attention_scale),
                    float(self.model.tau), float(self.model.attention_v_threshold))  # fmt: skip
        return out


class Block:
    def __init__(self, block, model):
        steps, heads, tau = model.time_steps, model.heads, model.tau
        qkv, proj = (Layer.of(unit, steps) for unit in (block.attention.qkv, block.attention.proj))
        fc1, fc2 = (Layer.of(unit, steps) for unit in (block.fc1, block.fc2))

        constants = fc1.constant(tau)
        fc2 = fc2.given(constants)
        hidden = constants[0].isnan() & fc2.read()
        places = spaced(hidden)
        self.fc1, self.fc2 = Unit(fc1.outputs(places), model), Unit(fc2.inputs(places), model)

        q, k, v = (~(qkv.constant(tau) == 0).all(0)).view(3, heads, -1)  # which may ever fire
        pairs, values = q & k, v & proj.read().view(heads, -1)
        alive = (pairs.any(1) & values.any(1))[:, None]
        pairs, values = pairs & alive, values & alive
        self.attention = Attention(pairs, values, model)
        q = self.attention.pairs
        k, v = (
            torch.where(at < 0, -1, at + part * model.width)
            for part, at in ((1, q), (2, self.attention.values))
        )
        self.qkv = Unit(qkv.outputs(torch.cat([q, k, v])), model)
        self.proj = Unit(proj.inputs(self.attention.values), model)
        self.left = {
            "heads": (alive.sum().item(), heads), "q and k": (2 * pairs.sum().item(), 2 * model.width),
            "v": (values.sum().item(), model.width), "fc1": (hidden.sum().item(), len(hidden)),
        }  # fmt: skip

    def __call__(self, x):
        grid = Grid(tokens=x.shape[2])
        x = torch.cat([x, self.proj(self.attention(self.qkv(x, grid)), grid)], 3)
        return torch.cat([x, self.fc2(self.fc1(x, grid), grid)], 3)


def shrunk(layers, tau):
    """The stem's convolutions without channels that never fire or are never read; the last keeps all of its own."""
    for i in range(len(layers) - 1):
        fires = spaced(~(layers[i].constant(tau) == 0).all(0))
        layers[i], layers[i + 1] = layers[i].outputs(fires), layers[i + 1].inputs(fires)
    for i in reversed(range(len(layers) - 1)):
        read = spaced(layers[i + 1].read())
        layers[i], layers[i + 1] = layers[i].outputs(read), layers[i + 1].inputs(read)
    return layers


class Deployed:
    """A trained Spikformer for inference: images [B,c,H,W] or frames [B,T,c,H,W], float -> logits [B,classes].

    It predicts what the network does, up to rounding: a current may be summed in another order. Weights that are
    exactly zero are taken for pruned. Each layer's layout is the fastest of LAYOUTS on the first images it sees.
    `left`: {part: (neurons left, of so many)}; heads count whole ones.

    Raises ValueError without a C compiler, for a network on a GPU, and for selectors that ask for more than tokens.
    """

    @torch.autocast("cpu", enabled=False)
    def __init__(self, network, model, batch=64):
        self.library = build.library("events", TIME=model.time_steps, VECS=1)
        if self.library is None:
            raise Refused(
                "a deployed network needs a C compiler; allowed: cc on the PATH, or its name in CC."
            )
        if next(network.parameters()).device.type != "cpu":
            raise Refused("the network is on a GPU; allowed: a network on the CPU.")
        if network.selector and network.selector.kind in ("attention", "oracle"):
            raise Refused(
                f"selector.kind is {network.selector.kind!r}; allowed: one that goes by the tokens alone."
            )
        self.head, self.selector = copy.deepcopy(network.head), copy.deepcopy(network.selector)
        self.model, self.batch, self.image_shape = model, batch, network.image_shape
        units = network.stem.stages
        layers = shrunk([Layer.of(unit, model.time_steps) for unit in units], model.tau)
        self.stages = [FirstUnit(layers[0], model), *(Unit(layer, model) for layer in layers[1:])]
        self.position = Unit(Layer.of(network.stem.position, model.time_steps), model)
        self.blocks = [Block(block, model) for block in network.blocks]
        self.left = {
            "SPS": (
                sum(len(layer.weight) for layer in layers),
                sum(unit.conv.out_channels for unit in units),
            )
        }
        for part in self.blocks[0].left:
            self.left[part] = tuple(
                map(sum, zip(*(block.left[part] for block in self.blocks), strict=True))
            )

    @torch.inference_mode()
    @torch.autocast("cpu", enabled=False)
    def __call__(self, images):
        if (
            images.shape[1:] != self.image_shape
            or images.dtype != torch.float32
            or images.device.type != "cpu"
        ):
            raise Refused(
                f"images are {list(images.shape)}, {images.dtype}, on {images.device}; "
                f"allowed: [B, {', '.join(map(str, self.image_shape))}], torch.float32, on the CPU."
            )
        return torch.cat([self.logits(part) for part in images.split(self.batch)])

    def logits(self, images):
        x, grid = self.tokens(images.unsqueeze(1) if images.ndim == 4 else images), None
        for i, block in enumerate(self.blocks):
            if self.selector is None or i not in self.selector.locations:
                x = block(x)
                continue
            if grid is None:
                grid = torch.arange(x.shape[2]).expand(len(x), -1)
            chosen = self.selector.choose(i, Tokens(self.counts(x).transpose(0, 1), grid))
            seen = block(
                x.gather(2, chosen[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
            )
            if self.selector.removes:
                x, grid = seen, grid.gather(1, chosen)
            else:
                new = seen[..., x.shape[3] :]
                places = chosen[:, None, :, None].expand_as(new)
                x = torch.cat(
                    [x, new.new_zeros(*x.shape[:3], new.shape[3]).scatter(2, places, new)], 3
                )
        return self.head(self.counts(x).mean((1, 2)))

    def tokens(self, x):
        """The stem: spikes [B,T,N,words] of images [B,own,c,H,W]; two trains, the last stage's and the position's."""
        side = self.model.side
        for i, stage in enumerate(self.stages):
            x = stage(x, Grid(side))
            if i in self.model.pool_stages:
                pooled = Grid((side + 1) // 2).empty(*x.shape[:2], x.shape[3])
                self.library.pool(x, pooled, len(x) * x.shape[1], side, x.shape[3])
                x, side = pooled, (side + 1) // 2
        x = torch.cat([x, self.position(x, Grid(side))], 3)
        return x.unflatten(2, (side + 2, side + 2))[:, :, 1:-1, 1:-1].flatten(2, 3).contiguous()

    def counts(self, x):
        """The residual stream [B,T,N,C] as numbers."""
        width = -(-self.model.width // WORD)
        out = build.empty(*x.shape[:3], width * WORD)
        self.library.counts(x, x.shape[3], width, out, x.shape[:3].numel())
        return out[..., : self.model.width]
