"""Products with spikes on a CPU: a layer adds one row of weights for every spike, and multiplies nothing (events.c).

Where few neurons fire, and few do, that is less work than a matrix product on the same machine, forward and for the
gradient of the weights. (The gradient of the spikes is dense, and stays a product.)
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ssf.config import Refused
from ssf.kernels import build

WORD, LANES = 64, 16
DENSE = 0.2  # share of inputs that fire from which on a product is faster here


class Grid:
    """Positions as events.c takes them: `side` squared pixels with a border, or `tokens` in a row."""

    def __init__(self, side=0, tokens=0):
        self.side, self.stride = side, side + 2 if side else 0
        self.positions = self.stride**2 if side else tokens
        self.where = (side, side, side + 3, self.stride) if side else (1, tokens, 0, 0)
        self.taps = 9 if side else 1

    def offsets(self, count):
        """Where the neighbours are, seen from a position; filled up with the position itself."""
        taps = torch.arange(self.taps)
        offsets = (taps // 3 - 1) * self.stride + taps % 3 - 1 if self.side else taps
        return F.pad(offsets, (0, count - self.taps))

    def empty(self, *shape):
        """Room for spikes [..., positions, words]; the border is silent."""
        shape = (*shape[:-1], self.positions, shape[-1])
        spikes = build.room(*shape, dtype=torch.int64)
        return spikes.zero_() if self.side else spikes


class Rows:
    """Weights [c_out, c_in, taps] as rows to add, [chunks, inputs + 1, vectors · 16], the last one zeros.

    Where few channels come in, `shared` neighbours fit one word of spikes; neighbours are looked at in `groups`.
    """

    def __init__(self, weight, vectors):
        c_out, c_in, taps = weight.shape
        self.shape, self.vectors = weight.shape, vectors
        self.shared = next(n for n in (8, 4, 2, 1) if n * c_in <= WORD or n == 1) if taps > 1 else 1
        self.width, self.chunks, self.groups = (
            -(-c_in // WORD),
            -(-c_out // (vectors * LANES)),
            -(-taps // self.shared),
        )
        self.room, self.short = (
            self.width * WORD // self.shared,
            self.chunks * vectors * LANES - c_out,
        )
        if self.groups * self.width * WORD >= 2**16:
            raise Refused(
                f"a layer has {self.groups * self.width * WORD} inputs; allowed: fewer than 65,536."
            )
        rows = F.pad(
            weight, (0, self.groups * self.shared - taps, 0, self.room - c_in, 0, self.short)
        )
        rows = rows.view(self.chunks, vectors * LANES, self.room, self.groups, self.shared).permute(
            0, 3, 4, 2, 1
        )
        self.rows = F.pad(rows.reshape(self.chunks, -1, vectors * LANES), (0, 0, 0, 1))

    def live(self):
        """Bits [chunks, groups, width] of the inputs whose row is not all zero."""
        live = (self.rows[:, :-1] != 0).any(2).view(self.chunks, self.groups, self.width, WORD)
        return (live.long() << torch.arange(WORD)).sum(3)

    def weight(self, rows):
        """The other way round: weights [c_out, c_in, taps] of rows."""
        c_out, c_in, taps = self.shape
        rows = (
            rows[:, :-1]
            .reshape(self.chunks, self.groups, self.shared, self.room, -1)
            .permute(0, 4, 3, 1, 2)
        )
        return rows.reshape(c_out + self.short, self.room, -1)[:c_out, :c_in, :taps]

    def layout(self, grid):
        """Positions, chunks and neighbours, as `unit` and `gradient` take them."""
        offsets = grid.offsets(self.groups * self.shared)
        return grid.positions, *grid.where, self.chunks, self.groups, self.shared, offsets

    def scratch(self, grid, words, time_steps=1):
        """Memory that `unit` and `gradient` work in."""
        threads = torch.get_num_threads()
        lists = build.room(threads, (self.groups * words + 1) * WORD, dtype=torch.int16)
        return lists, build.room(
            threads, time_steps, self.groups, grid.positions, dtype=torch.int64
        )


def pack(x, grid):
    """Spikes x [n, rows · cols, C] of 0 and 1 as bits [n, positions, words], and the share that fires."""
    words = -(-x.shape[2] // WORD)
    bits, count = (
        grid.empty(len(x), words),
        build.room(torch.get_num_threads(), dtype=torch.int64).zero_(),
    )
    call = build.library("events", TIME=1, VECS=1).pack
    build.call(call, x, x.shape[2], bits, words, len(x), grid.positions, *grid.where, count)
    return bits, count.sum().item() / x.numel()


def widest(c_out):
    """Vectors of output channels to take at a time."""
    return next(vectors for vectors in (8, 4, 2, 1) if c_out % (vectors * LANES) == 0)


class Product(torch.autograd.Function):
    """Currents [n, rows · cols, c_out] of spikes x and weights [c_out, c_in, taps]; `bits`: x, packed."""

    @staticmethod
    def forward(ctx, x, bits, weight, bias, grid):
        c_out, words = len(weight), bits.shape[2]
        vectors = widest(c_out)
        rows = Rows(weight, vectors)
        live = torch.full((rows.chunks, rows.groups, rows.width), -1)
        currents = build.room(*x.shape[:2], c_out)
        build.call(build.library("events", TIME=1, VECS=vectors).unit, bits, words, words, None, 0, len(x),
                    *rows.layout(grid), rows.rows, live,
                    build.room(c_out).zero_() if bias is None else bias, *rows.scratch(grid, words), currents,
                    1.0, 1.0)  # fmt: skip
        ctx.save_for_backward(bits, weight)
        ctx.grid, ctx.given, ctx.rows = grid, x.shape, rows
        return currents

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (bits, weight), grid, rows, grad = ctx.saved_tensors, ctx.grid, ctx.rows, grad.contiguous()
        n, words, side = len(grad), bits.shape[2], grid.side
        maps = (side, side) if side else (1, ctx.given[1])
        kernel_size = (3, 3) if side else (1, 1)
        x = grad.new_empty(n, *maps, ctx.given[2]).permute(
            0, 3, 1, 2
        )  # only its shape is looked at
        to_x, _, to_bias = torch.ops.aten.convolution_backward(
            grad.view(n, *maps, -1).permute(0, 3, 1, 2), x, weight.unflatten(2, kernel_size), [len(weight)],
            [1, 1], [side > 0] * 2, [1, 1], False, [0, 0], 1, [ctx.needs_input_grad[0], False, ctx.needs_input_grad[3]],
        )  # fmt: skip
        sums = build.room(torch.get_num_threads(), *rows.rows.shape).zero_()
        build.call(build.library("events", TIME=1, VECS=rows.vectors).gradient, bits, words, grad, sums, n,
                    *rows.layout(grid), *rows.scratch(grid, words))  # fmt: skip
        to_x = None if to_x is None else to_x.permute(0, 2, 3, 1).reshape(ctx.given)
        return to_x, None, rows.weight(sums.sum(0)), to_bias, None


def product(x, weight, bias, grid):
    """Currents of spikes x [n, rows · cols, C] by events; None where a product is faster, or without a C compiler."""
    for tensor in (x, weight, bias):
        if tensor is not None and (tensor.device.type != "cpu" or tensor.dtype != torch.float32):
            return None
    if len(weight) % LANES or not x.numel():
        return None
    if any(
        build.library("events", TIME=1, VECS=vectors) is None
        for vectors in (1, widest(len(weight)))
    ):
        return None
    bits, share = pack(x.contiguous(), grid)
    return None if share > DENSE else Product.apply(x, bits, weight, bias, grid)
