"""Kernels in C for the CPU: compiled on first use (0.3 s), kept in the user's cache, called through ctypes.

C was chosen by measurement. Without it a training step reads and writes every current and potential several times, in
BatchNorm and then in every time step of the neuron, and that was most of the step. The same loops in numba were ten
times slower backward, where exp stays scalar; torch.compile of the region was five times slower and took 33 s; an
extension of torch takes 29 s to build. Where there is no C compiler, torch's and SpikingJelly's own code runs.
"""

import ctypes
import functools
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch.autograd.function import once_differentiable

from ssf import folders

FLAGS = ("-O3", "-fopenmp-simd", "-fPIC")
CONTRACT = {
    "lif": "off",
    "events": "fast",
}  # may a · b + c be rounded once? Not where torch rounds twice
BLOCK = 1024  # values that a thread works on at a time: its potentials stay in the nearest cache


@functools.cache
def library(name, **constants):
    """<name>.c as a ctypes library, or None where it can't be compiled. SSF_KERNEL=0 says not to try.

    constants: what the source is compiled for, e.g. TIME=4.
    """
    compiler = shlex.split(os.environ.get("CC") or shutil.which("cc") or "")
    if os.environ.get("SSF_KERNEL") == "0" or not compiler:
        return None
    keep_freed_memory()
    flags = [
        *FLAGS,
        f"-ffp-contract={CONTRACT[name]}",
        *(f"-D{key}={value}" for key, value in constants.items()),
    ]
    try:
        return ctypes.CDLL(
            str(compiled(Path(__file__).with_name(f"{name}.c"), [*compiler, *flags]))
        )
    except OSError:
        return None


@functools.cache
def keep_freed_memory():
    """Ask glibc to keep freed memory for the next tensor instead of giving it back to the system.

    It comes back page by page, each one zeroed: for tensors of tens of megabytes, as here, the first write to a fresh
    one took several times as long as copying it. The process stays as large as it once was.
    """
    largest_mapped, least_trimmed = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(largest_mapped, ctypes.c_int(1 << 30))
        libc.mallopt(least_trimmed, ctypes.c_int((1 << 31) - 1))


def compiled(source, command):
    """The path of a compiled source, named after source, command and processor. OSError where it can't be compiled."""
    cpu = Path("/proc/cpuinfo")
    features = re.search(r"flags.*", cpu.read_text()) if cpu.exists() else None
    key = repr((source.read_bytes(), command, platform.machine(), features and features[0]))
    path = folders.cache() / f"{source.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        compile_to(path, source, command)
    return path


def compile_to(path, source, command):
    """Compile a source to that path.

    With OpenMP where there is one, but without linking its runtime: torch has loaded one, and a second pool of threads
    would wait, busily, on the cores that torch's needs. Apple's compiler has no OpenMP; some refuse -march=native.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made, unlinked = Path(folder) / "made.so", Path(folder) / "made.o"
        for extra in (["-march=native", "-fopenmp"], ["-march=native"], []):
            steps = (
                [*command, *extra, "-c", str(source), "-o", str(unlinked)],
                [*command, "-shared", str(unlinked), "-o", str(made)],
            )
            if all(
                subprocess.run(step, capture_output=True).returncode == 0 for step in steps
            ) and loads(made):
                os.replace(made, path)
                return
    raise OSError(f"{command[0]} can't compile {source}")


def loads(path):
    try:
        return bool(ctypes.CDLL(str(path)))
    except OSError:
        return False


def call(function, *arguments):
    """Call a kernel: tensors go by address (None: null), whole numbers as long, others as float; threads go last."""
    kinds = {int: ctypes.c_long, float: ctypes.c_float, type(None): ctypes.c_void_p}
    given = (
        ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else kinds[type(a)](a)
        for a in arguments
    )
    function(*given, ctypes.c_int(torch.get_num_threads()))


def room(*shape, dtype=torch.float32):
    """An empty tensor as C takes it, whatever torch's defaults are."""
    return torch.empty(shape, dtype=dtype, device="cpu")


def dense_steps(x):
    """x [T, ...] with each time step dense in memory; steps may be the same one (a stride of 0). Copies if need be."""
    return x if x[0].is_contiguous() else x.contiguous()


class Steps:
    """Currents [T, ..., C] as the kernels take them: where, how far apart, how many; values a channel as one block.

    With `time`, one current [1, ..., C] seen in so many steps.
    """

    def __init__(self, x, channels=1, time=None):
        self.x = dense_steps(x) if x.stride(0) or len(x) == 1 else x.contiguous()
        self.own, self.time = len(x), time or len(x)  # steps with a current of their own, and all
        self.stride = self.x.stride(0) if self.time == self.own else 0
        self.count, self.channels, self.block = (
            self.x[0].numel(),
            channels,
            channels * -(-BLOCK // channels),
        )
        self.library = library("lif", TIME=self.time)

    def over_block(self, values):
        """Values [C] as float32, repeated to the length of a block."""
        return values.float().repeat(self.block // self.channels)

    def work(self, dtype=torch.float32, rows=2):
        """Memory for each thread, as it comes."""
        return room(torch.get_num_threads(), rows, self.block, dtype=dtype)

    def total(self, sums):
        """[threads, 2, block] -> [2, C]."""
        return sums.sum(0).view(2, -1, self.channels).sum(1)


def moments(steps):
    """Mean and biased variance [C] of the currents, in float64. Sums are of differences from the first row."""
    origin = steps.x[0].reshape(-1, steps.channels)[0]
    sums, origins = steps.work(torch.float64).zero_(), steps.over_block(origin)
    call(
        steps.library.moments,
        steps.x,
        steps.stride,
        steps.count,
        origins,
        steps.block,
        steps.work(),
        sums,
    )
    first, second = steps.total(sums) * steps.channels / (steps.own * steps.count)
    return origin + first, (second - first**2).clamp(min=0)


def lif_forward(steps, scale, shift, tau, v_threshold):
    """Spikes [T, ...] of the currents scale · x + shift, each over_block."""
    spikes = room(steps.time, *steps.x.shape[1:])
    call(steps.library.lif_forward, steps.x, steps.stride, spikes, steps.count, scale, shift, steps.block,
         steps.work(rows=steps.time), tau, v_threshold)  # fmt: skip
    return spikes


def lif_backward(steps, grad, scale, shift, mean, tau, v_threshold, alpha):
    """Gradient, shaped as steps.x, of the currents scale · x + shift; its sums [2, C], alone and times x - mean.

    scale, shift, mean: over_block. Without a mean there are no sums.
    """
    grad, out = dense_steps(grad), room(*steps.x.shape)
    sums = None if mean is None else steps.work(torch.float64).zero_()
    call(steps.library.lif_backward, steps.x, steps.stride, grad, grad.stride(0), out, steps.count,
         scale, shift, shift if mean is None else mean, steps.block, steps.work(rows=2 + steps.time), sums,
         tau, v_threshold, alpha)  # fmt: skip
    return out, None if mean is None else steps.total(sums)


def identity(steps):
    """Scale and shift that change nothing."""
    return room(steps.block).fill_(1), room(steps.block).zero_()


class LIF(torch.autograd.Function):
    """Spikes of the currents x [T, ...], and the surrogate's gradient."""

    @staticmethod
    def forward(ctx, x, constants):
        steps = Steps(x)
        ctx.save_for_backward(steps.x)
        ctx.constants = constants
        return lif_forward(steps, *identity(steps), *constants[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        steps = Steps(*ctx.saved_tensors)
        return lif_backward(steps, grad, *identity(steps), None, *ctx.constants)[0], None


class LIFOfNorm(torch.autograd.Function):
    """Spikes of x [T, ..., C] normalised by its own mean and variance, which are given too, [C]. `time` as in Steps."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps, time, constants):
        steps = Steps(x, x.shape[-1], time)
        mean, var = moments(steps)
        deviation = (var + eps).sqrt()
        scale = weight / deviation
        blocks = steps.over_block(scale), steps.over_block(bias - mean * scale)
        ctx.save_for_backward(steps.x, mean, deviation, scale, *blocks)
        ctx.time, ctx.constants = time, constants
        ctx.mark_non_differentiable(mean, var)
        return lif_forward(steps, *blocks, *constants[:2]), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        x, mean, deviation, scale, *blocks = ctx.saved_tensors
        steps = Steps(x, x.shape[-1], ctx.time)
        out, (first, second) = lif_backward(
            steps, grad, *blocks, steps.over_block(mean), *ctx.constants
        )
        rows = steps.own * steps.count / steps.channels
        b = -scale * second / deviation**2 / rows
        c = -scale * first / rows - b * mean
        b, c = map(steps.over_block, (b, c))
        call(
            steps.library.norm_backward,
            out,
            x,
            steps.stride,
            steps.count,
            blocks[0],
            b,
            c,
            steps.block,
        )
        return out, (second / deviation).float(), first.float(), None, None, None
