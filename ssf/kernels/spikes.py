"""Products on a CPU. Of spikes: one row of weights is added for every spike (events.c).

Where few neurons fire, and few do, that is less work than a matrix product, forward and for the
gradient of the weights. (The gradient of the spikes is dense, and stays a product.)
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ssf.config import Refused
from ssf.kernels import build
from ssf.kernels.build import empty

WORD, LANES = 64, 16
DENSE = 0.2  # share of inputs that fire from which on a product is faster here


def linear(x, weight, bias, of_spikes):
    """Currents [T,B,N,c_out] of x [T,B,N,c_in], or None: torch's own product is the one to take.

    Where spikes aren't added it is a convolution of one pixel, for speed: torch hands convolutions
    to oneDNN and matrix products to MKL, which on AMD's processors runs at half the speed. All
    three products of a training step go the same way.
    """
    if not computed_here(x, weight, bias):
        return None
    if of_spikes:
        currents = product(x.flatten(0, 1), weight[..., None], bias, Grid(tokens=x.shape[2]))
        if currents is not None:
            return currents.unflatten(0, x.shape[:2])
    if not torch.backends.mkldnn.is_available():
        return None
    maps = x.flatten(0, 1).unsqueeze(1).permute(0, 3, 1, 2)  # [T·B, c_in, 1, N], channels last
    out = F.conv2d(maps, weight[..., None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:3], -1)


def conv3x3(x, weight, of_spikes):
    """Currents [n,c_out,H,W] of maps x [n,c_in,H,W], or None: torch's own are the ones to take."""
    if not of_spikes or x.shape[2] != x.shape[3]:
        return None
    pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
    currents = product(pixels, weight.flatten(2), None, Grid(side=x.shape[3]))
    return None if currents is None else currents.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


def computed_here(*tensors):
    """Float32 on a CPU, not under autocast, which chooses another dtype, and with the kernels."""
    if torch.is_autocast_enabled("cpu") or build.library("events", TIME=1, VECS=1) is None:
        return False
    return all(t is None or t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)


def product(x, weight, bias, grid):
    """Currents [n, rows · cols, c_out] of spikes x [n, rows · cols, c_in], or None: by torch.

    weight: [c_out, c_in, taps].
    """
    if not computed_here(x, weight, bias) or len(weight) % LANES or not x.numel():
        return None
    bits, share = pack(x.contiguous(), grid)
    return None if share > DENSE else Product.apply(x, bits, weight, bias, grid)


class Grid:
    """Positions as events.c takes them: `side` squared pixels with a border, or `tokens`."""

    def __init__(self, side=0, tokens=0):
        self.side, self.stride = side, side + 2 if side else 0
        self.positions = self.stride**2 if side else tokens
        # rows, columns, the first position, and the positions in a row
        self.map = (side, side, side + 3, self.stride) if side else (1, tokens, 0, 0)
        self.taps = 9 if side else 1

    def offsets(self, count):
        """The neighbours, seen from a position; filled up with the position itself."""
        taps = torch.arange(self.taps)
        offsets = (taps // 3 - 1) * self.stride + taps % 3 - 1 if self.side else taps
        return F.pad(offsets, (0, count - self.taps))

    def empty(self, *shape):
        """Memory for spikes [..., positions, words]; the border is silent."""
        spikes = empty(*shape[:-1], self.positions, shape[-1], dtype=torch.int64)
        return spikes.zero_() if self.side else spikes


class Rows:
    """Weights [c_out, c_in, taps] as rows to add, [chunks, inputs + 1 of zeros, vectors · 16].

    Where few channels come in, `shared` neighbours fit one word of spikes; neighbours are looked at
    in `groups`. `depth`: channels that each neighbour has in a word, or in `width` words.
    """

    def __init__(self, weight, vectors):
        c_out, c_in, taps = weight.shape
        self.shape, self.vectors = weight.shape, vectors
        self.shared = 1
        while taps > 1 and self.shared < 8 and 2 * self.shared * c_in <= WORD:
            self.shared *= 2
        lanes = vectors * LANES
        self.width, self.chunks = -(-c_in // WORD), -(-c_out // lanes)
        self.groups = -(-taps // self.shared)
        self.depth, self.short = self.width * WORD // self.shared, self.chunks * lanes - c_out
        inputs = self.groups * self.width * WORD
        if inputs >= 2**16:
            raise Refused(f"a layer has {inputs} inputs; allowed: fewer than 65,536.")
        missing = (self.groups * self.shared - taps, self.depth - c_in, self.short)
        rows = F.pad(weight, (0, missing[0], 0, missing[1], 0, missing[2]))
        rows = rows.view(self.chunks, lanes, self.depth, self.groups, self.shared)
        rows = rows.permute(0, 3, 4, 2, 1).reshape(self.chunks, -1, lanes)
        self.rows = F.pad(rows, (0, 0, 0, 1))

    def live(self):
        """Bits [chunks, groups, width] of the inputs whose row is not all zero."""
        live = (self.rows[:, :-1] != 0).any(2).view(self.chunks, self.groups, self.width, WORD)
        return (live.long() << torch.arange(WORD)).sum(3)

    def weight(self, rows):
        """The other way round: weights [c_out, c_in, taps] of rows."""
        c_out, c_in, taps = self.shape
        rows = rows[:, :-1].reshape(self.chunks, self.groups, self.shared, self.depth, -1)
        rows = rows.permute(0, 4, 3, 1, 2).reshape(c_out + self.short, self.depth, -1)
        return rows[:c_out, :c_in, :taps]

    def layout(self, grid):
        """Positions, chunks and neighbours, as `unit` and `gradient` take them."""
        offsets = grid.offsets(self.groups * self.shared)
        return grid.positions, *grid.map, self.chunks, self.groups, self.shared, offsets

    def scratch(self, grid, words, time_steps=1):
        """Memory that `unit` and `gradient` work in."""
        threads = torch.get_num_threads()
        lists = empty(threads, (self.groups * words + 1) * WORD, dtype=torch.int16)
        shape = (threads, time_steps, self.groups, grid.positions)
        return lists, empty(*shape, dtype=torch.int64)


def pack(x, grid):
    """Spikes x [n, rows · cols, C] as bits [n, positions, words], and their firing rate."""
    words = -(-x.shape[2] // WORD)
    bits = grid.empty(len(x), words)
    count = empty(torch.get_num_threads(), dtype=torch.int64).zero_()
    events = build.library("events", TIME=1, VECS=1)
    events.pack(x, x.shape[2], bits, words, len(x), grid.positions, *grid.map, count)
    return bits, count.sum().item() / x.numel()


class Product(torch.autograd.Function):
    """Currents [n, rows · cols, c_out] of x, weights [c_out, c_in, taps]; `bits`: x, packed."""

    @staticmethod
    def forward(ctx, x, bits, weight, bias, grid):
        c_out, words = len(weight), bits.shape[2]
        vectors = next(v for v in (8, 4, 2, 1) if c_out % (v * LANES) == 0)  # of channels at a time
        rows = Rows(weight, vectors)
        live = torch.full((rows.chunks, rows.groups, rows.width), -1)
        bias = empty(c_out).zero_() if bias is None else bias
        currents = empty(*x.shape[:2], c_out)
        events = build.library("events", TIME=1, VECS=rows.vectors)
        events.unit(bits, words, words, None, 0, len(x), *rows.layout(grid), rows.rows, live, bias,
                    *rows.scratch(grid, words), currents, 1.0, 1.0)  # fmt: skip
        ctx.save_for_backward(bits, weight)
        ctx.grid, ctx.shape, ctx.rows = grid, x.shape, rows
        return currents

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (bits, weight), grid, rows, grad = ctx.saved_tensors, ctx.grid, ctx.rows, grad.contiguous()
        n, words = len(grad), bits.shape[2]
        sums = empty(torch.get_num_threads(), *rows.rows.shape).zero_()
        events = build.library("events", TIME=1, VECS=rows.vectors)
        events.gradient(bits, words, grad, sums, n, *rows.layout(grid), *rows.scratch(grid, words))
        to_x, to_bias = dense_gradients(ctx, grad, weight)
        return to_x, None, rows.weight(sums.sum(0)), to_bias, None


def dense_gradients(ctx, grad, weight):
    """The gradients of a Product's spikes and bias, by torch; None where not needed.

    The first is a convolution with mirrored weights, which takes a third of the time with tokens;
    the second is taken of a layer with one input. Only of tiny batches do the sums differ.
    """
    side, needed, count = ctx.grid.side, ctx.needs_input_grad, len(weight)
    maps = grad.unflatten(1, (side or 1, -1)).permute(0, 3, 1, 2)
    mirrored = weight.transpose(0, 1).flip(2).unflatten(2, (3, 3) if side else (1, 1))
    to_x = F.conv2d(maps, mirrored, padding=1 if side else 0) if needed[0] else None
    _, _, to_bias = torch.ops.aten.convolution_backward(
        maps, maps[:, :1], weight[:, :1, :1, None], [count], [1, 1], [0, 0], [1, 1], False, [0, 0],
        1, [False, False, needed[3]],
    )  # fmt: skip
    return None if to_x is None else to_x.permute(0, 2, 3, 1).reshape(ctx.shape), to_bias
