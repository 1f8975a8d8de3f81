"""The one spiking neuron used everywhere: SpikingJelly's leaky integrate-and-fire node, reset before every input.

On a CPU its T time steps run in one pass over memory by a small C kernel (lif.c), compiled on first use. Without a C
compiler SpikingJelly's own torch code runs, with the same spikes. C was chosen by measurement: the torch code reads
and writes every potential several times, and that was most of a training step of this book's networks.
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
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.neuron import LIFNode

SOURCE = Path(__file__).with_name("lif.c")
FLAGS = ("-O3", "-ffp-contract=off", "-fPIC")


@functools.cache
def kernel():
    """lif.c as a ctypes library, or None where it can't be compiled. SSF_KERNEL=0 says not to try."""
    compiler = shlex.split(os.environ.get("CC") or shutil.which("cc") or "")
    if os.environ.get("SSF_KERNEL") == "0" or not compiler:
        return None
    try:
        library = ctypes.CDLL(str(compiled(compiler)))
    except OSError:
        return None
    pointer, whole, number = ctypes.c_void_p, ctypes.c_long, ctypes.c_float
    library.lif_forward.argtypes = [pointer, whole, pointer, whole, whole, number, number, ctypes.c_int]
    library.lif_forward.restype = None
    library.lif_backward.argtypes = [pointer, whole, pointer, whole, pointer, whole, whole, *[number] * 3, ctypes.c_int]
    return library


def compiled(compiler):
    """The path of lif.c compiled, kept under a name made of source, flags and processor. OSError where that fails."""
    cpu = Path("/proc/cpuinfo")
    features = re.search(r"flags.*", cpu.read_text()) if cpu.exists() else None
    key = repr((SOURCE.read_bytes(), FLAGS, compiler, platform.machine(), features and features[0]))
    path = own_folder() / f"lif-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        compile_to(path, compiler)
    return path


def own_folder():
    """A folder for the compiled kernel that is this user's to write: in the cache, else among the temporary files."""
    for base in (os.environ.get("XDG_CACHE_HOME") or "~/.cache", f"{tempfile.gettempdir()}/ssf-{os.getuid()}"):
        try:
            folder = Path(base).expanduser() / "ssf"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, RuntimeError):  # read-only, or a user without a home
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise OSError("no folder to keep the compiled kernel in")


def compile_to(path, compiler):
    """Compile lif.c to that path.

    With OpenMP where there is one, but without linking its runtime: torch has loaded one, and a second pool of threads
    would wait, busily, on the cores that torch's needs. Apple's compiler has no OpenMP; some refuse -march=native.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made, unlinked = Path(folder) / "lif.so", Path(folder) / "lif.o"
        for extra in (["-march=native", "-fopenmp"], ["-march=native"], []):
            steps = (
                [*compiler, *FLAGS, *extra, "-c", str(SOURCE), "-o", str(unlinked)],
                [*compiler, "-shared", str(unlinked), "-o", str(made)],
            )
            if all(subprocess.run(step, capture_output=True).returncode == 0 for step in steps) and loads(made):
                os.replace(made, path)
                return
    raise OSError(f"{compiler[0]} can't compile {SOURCE}")


def loads(path):
    try:
        return bool(ctypes.CDLL(str(path)))
    except OSError:
        return False


def dense_steps(x):
    """x [T, ...] with each time step dense in memory; steps may be the same one (a stride of 0). Copies if need be."""
    return x if x[0].is_contiguous() else x.contiguous()


class _LIF(torch.autograd.Function):
    """Spikes of the kernel, and the surrogate's gradient."""

    @staticmethod
    def forward(ctx, x, tau, v_threshold, alpha):
        x = dense_steps(x)
        spikes = torch.empty(x.shape)
        kernel().lif_forward(
            x.data_ptr(),
            x.stride(0),
            spikes.data_ptr(),
            len(x),
            x[0].numel(),
            tau,
            v_threshold,
            torch.get_num_threads(),
        )
        ctx.save_for_backward(x)
        ctx.constants = tau, v_threshold, alpha
        return spikes

    @staticmethod
    def backward(ctx, grad):
        (x,), grad = ctx.saved_tensors, dense_steps(grad)
        out, sizes = torch.empty(x.shape), (len(x), x[0].numel())
        failed = kernel().lif_backward(
            x.data_ptr(), x.stride(0), grad.data_ptr(), grad.stride(0), out.data_ptr(), *sizes,
            *ctx.constants, torch.get_num_threads(),
        )  # fmt: skip
        if failed:
            raise MemoryError("the LIF's backward pass found no memory for one block of potentials")
        return out, None, None, None


class LIF(LIFNode):
    """Leaky integrate-and-fire over a sequence: currents [T, ...] in, spikes {0, 1} of the same shape out.

    With membrane potential V (unit: the threshold's), input current X and time constant tau (unit: time steps),

        H[t] = V[t-1] + (X[t] - V[t-1]) / tau       charge (decay_input = True, V_reset = 0)
        S[t] = 1 if H[t] >= v_threshold else 0      fire
        V[t] = H[t] (1 - S[t])                      hard reset to 0

    (Fang et al., Science Advances 2023, eqs. 1-3; the values are those of Spikformer, Zhou et al., ICLR 2023.)
    The step of `fire` has the gradient of sigmoid(alpha (H - v_threshold)); the reset passes none (detach_reset).
    V starts at 0 in every call: nothing leaks from one batch into the next, unless `carries_over` is set, which is
    there to show what the published code does to its teacher. Potentials are float32 also under autocast.
    """

    carries_over = False

    def __init__(self, tau=2.0, v_threshold=1.0, alpha=4.0):
        super().__init__(
            tau=tau, decay_input=True, v_threshold=v_threshold, v_reset=0.0,
            surrogate_function=surrogate.Sigmoid(alpha), detach_reset=True, step_mode="m",
        )  # fmt: skip
        self.alpha = alpha

    def multi_step_forward(self, x_seq):
        if x_seq.dtype in (torch.bfloat16, torch.float16):
            x_seq = x_seq.float()
        if self.carries_over:
            if getattr(self.v, "shape", None) != x_seq.shape[1:]:  # the first batch, or a smaller last one
                self.reset()
            return super().multi_step_forward(x_seq)
        if x_seq.device.type == "cpu" and x_seq.dtype == torch.float32 and x_seq.numel() and kernel():
            return _LIF.apply(x_seq, self.tau, self.v_threshold, self.alpha)
        self.reset()
        spikes = super().multi_step_forward(x_seq)
        self.reset()  # drops the last potential, and with it the graph it hangs on
        return spikes
