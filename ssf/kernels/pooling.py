"""The stem's MaxPool(3, stride 2, padding 1) and its gradient (pool.c).

Torch's own keeps eight bytes for every maximum, to say where it was, and writes the gradient twice.
"""

import torch
from torch.autograd.function import once_differentiable

from ssf.kernels import build
from ssf.kernels.build import empty
from ssf.kernels.neurons import CONSTANTS


def max_pool(x):
    """Maxima [n,C,⌈H/2⌉,⌈W/2⌉] of maps x [n,C,H,W], channels last in memory; or None: by torch."""
    if x.device.type != "cpu" or x.dtype not in CONSTANTS or not x.numel():
        return None
    if build.library("pool", **CONSTANTS[x.dtype]) is None:
        return None
    return MaxPool.apply(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MaxPool(torch.autograd.Function):
    """Maxima of maps [n,H,W,C]."""

    @staticmethod
    def forward(ctx, x):
        n, rows, cols, channels = ctx.shape = x.shape
        shape = n, -(-rows // 2), -(-cols // 2), channels
        out, taps = empty(*shape, dtype=x.dtype), empty(*shape, dtype=torch.uint8)
        library = build.library("pool", **CONSTANTS[x.dtype])
        library.pool_forward(x.contiguous(), out, taps, *ctx.shape)
        ctx.save_for_backward(taps)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (taps,), out = ctx.saved_tensors, empty(*ctx.shape, dtype=grad.dtype)
        library = build.library("pool", **CONSTANTS[grad.dtype])
        library.pool_backward(grad.contiguous(), taps, out, *ctx.shape)
        return out
