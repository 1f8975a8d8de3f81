"""BatchNorm and the leaky integrate-and-fire neuron in one pass over memory (lif.c)."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ssf.kernels import build
from ssf.kernels.build import empty

CONSTANTS = {torch.float32: {}, torch.bfloat16: {"HALF": 1}}  # what lif.c is compiled for
BLOCK = 1024  # values that a thread works on at a time: its potentials stay in the nearest cache


def lif(x, norm, time_steps, tau, v_threshold, alpha):
    """Spikes [T, ..., C] of currents x [T, ..., C], normalised by norm if there is one, or None.

    x may be [1, ..., C], a current seen in each of `time_steps`, float32 or bfloat16: the spikes
    are of its dtype. None: not currents for the kernel.
    """
    if x.device.type != "cpu" or x.dtype not in CONSTANTS or not x.numel():
        return None
    if build.library("lif", TIME=time_steps or len(x), **CONSTANTS[x.dtype]) is None:
        return None
    constants = float(tau), float(v_threshold), float(alpha)
    if norm is None:
        return LIF.apply(x.expand(time_steps or -1, *x.shape[1:]), constants)
    if knows(norm, x):
        if norm.training:
            return of_batch(x, norm, time_steps, constants)
        if not torch.is_grad_enabled():
            currents = Currents(x, x.shape[-1], time_steps)
            return lif_forward(currents, *map(currents.over_block, folded(norm)), *constants[:2])
    normalised = norm(x.float().flatten(0, -2)).view(x.shape)
    return LIF.apply(normalised.expand(time_steps or -1, *x.shape[1:]), constants).to(x.dtype)


def knows(norm, x):
    """Is this a BatchNorm that the kernel computes?"""
    if type(norm) is not nn.BatchNorm1d or norm.momentum is None:
        return False
    if not (norm.affine and norm.track_running_stats):
        return False
    on_cpu = norm.weight.device.type == "cpu" and norm.weight.dtype == torch.float32
    return on_cpu and x.numel() > x.shape[-1]


def folded(norm):
    """What a BatchNorm does at inference, scale · x + shift: both [C], float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def of_batch(x, norm, time_steps, constants):
    """Spikes of x normalised by its own statistics, which the running ones then follow."""
    spikes, mean, var = LIFOfNorm.apply(x, norm.weight, norm.bias, norm.eps, time_steps, constants)
    count = x.numel() / x.shape[-1]
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean.float(), norm.momentum)
        norm.running_var.lerp_((var * count / (count - 1)).float(), norm.momentum)
    return spikes


def dense_steps(x):
    """x [T, ...] with each time step dense in memory; steps may be the same one (a stride of 0)."""
    return x if x[0].is_contiguous() else x.contiguous()


class Currents:
    """Currents [T, ..., C] as the kernels take them; values a channel are repeated to a block.

    With `time`, one current [1, ..., C] seen in so many steps.
    """

    def __init__(self, x, channels=1, time=None):
        self.x = dense_steps(x) if x.stride(0) or len(x) == 1 else x.contiguous()
        self.own, self.time = len(x), time or len(x)  # steps with a current of their own, and all
        self.stride = self.x.stride(0) if self.time == self.own else 0
        self.count, self.channels = self.x[0].numel(), channels
        self.block = channels * -(-BLOCK // channels)
        self.library = build.library("lif", TIME=self.time, **CONSTANTS[x.dtype])

    def over_block(self, values):
        """Values [C] as float32, repeated to the length of a block."""
        return values.float().repeat(self.block // self.channels)

    def identity(self):
        """Scale and shift that change nothing."""
        return empty(self.block).fill_(1), empty(self.block).zero_()

    def work(self, rows, dtype=torch.float32):
        """Memory for each thread, as it comes."""
        return empty(torch.get_num_threads(), rows, self.block, dtype=dtype)

    def total(self, sums):
        """[threads, 2, block] -> [2, C]."""
        return sums.sum(0).view(2, -1, self.channels).sum(1)


def moments(currents):
    """Mean and biased variance [C], in float64. Sums are of differences from the first row."""
    x, stride, count, block = currents.x, currents.stride, currents.count, currents.block
    origin = x[0].reshape(-1, currents.channels)[0].float()
    sums = currents.work(2, torch.float64).zero_()
    origins, work = currents.over_block(origin), currents.work(2)
    currents.library.moments(x, stride, count, origins, block, work, sums)
    first, second = currents.total(sums) * currents.channels / (currents.own * count)
    return origin + first, (second - first**2).clamp(min=0)


def lif_forward(currents, scale, shift, tau, v_threshold):
    """Spikes [T, ...] of the currents scale · x + shift, each over_block."""
    dtype = currents.x.dtype
    spikes = empty(currents.time, *currents.x.shape[1:], dtype=dtype)
    currents.library.lif_forward(
        currents.x, currents.stride, spikes, currents.count, scale, shift, currents.block,
        currents.work(currents.time, dtype), tau, v_threshold,
    )  # fmt: skip
    return spikes


def lif_backward(currents, grad, scale, shift, mean, tau, v_threshold, alpha):
    """Gradient, as currents.x, of scale · x + shift; its sums [2, C], alone and times x - mean.

    scale, shift, mean: over_block. Without a mean there are no sums.
    """
    grad, out = dense_steps(grad), empty(*currents.x.shape, dtype=currents.x.dtype)
    sums = None if mean is None else currents.work(2, torch.float64).zero_()
    currents.library.lif_backward(
        currents.x, currents.stride, grad, grad.stride(0), out, currents.count, scale, shift,
        shift if mean is None else mean, currents.block, currents.work(2 + currents.time), sums,
        tau, v_threshold, alpha,
    )  # fmt: skip
    return out, None if mean is None else currents.total(sums)


class LIF(torch.autograd.Function):
    """Spikes of the currents x [T, ...], and the surrogate's gradient."""

    @staticmethod
    def forward(ctx, x, constants):
        currents = Currents(x)
        ctx.save_for_backward(currents.x)
        ctx.constants = constants
        return lif_forward(currents, *currents.identity(), *constants[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        currents = Currents(*ctx.saved_tensors)
        return lif_backward(currents, grad, *currents.identity(), None, *ctx.constants)[0], None


class LIFOfNorm(torch.autograd.Function):
    """Spikes of x [T, ..., C] normalised by its own mean and variance; these too, [C]."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps, time, constants):
        currents = Currents(x, x.shape[-1], time)
        mean, var = moments(currents)
        deviation = (var + eps).sqrt()
        scale = weight / deviation
        blocks = currents.over_block(scale), currents.over_block(bias - mean * scale)
        ctx.save_for_backward(currents.x, mean, deviation, scale, *blocks)
        ctx.time, ctx.constants = time, constants
        ctx.mark_non_differentiable(mean, var)
        return lif_forward(currents, *blocks, *constants[:2]), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        x, mean, deviation, scale, *blocks = ctx.saved_tensors
        currents = Currents(x, x.shape[-1], ctx.time)
        means = currents.over_block(mean)
        out, (first, second) = lif_backward(currents, grad, *blocks, means, *ctx.constants)
        rows = currents.own * currents.count / currents.channels
        b = -scale * second / deviation**2 / rows
        c = -scale * first / rows - b * mean
        currents.library.norm_backward(
            out, x, currents.stride, currents.count, blocks[0], currents.over_block(b),
            currents.over_block(c), currents.block,
        )  # fmt: skip
        return out, (second / deviation).float(), first.float(), None, None, None
