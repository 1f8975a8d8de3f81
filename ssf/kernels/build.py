"""Kernels in C for the CPU: compiled on first use (0.3 s), kept in the user's cache.

C was chosen by measurement: the same loops in numba and by torch.compile were slower (chapter 06),
and an extension of torch takes half a minute to build.
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
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

from ssf import folders

FLAGS = ("-O3", "-fopenmp-simd", "-fPIC")
# The first that work. Apple's compiler has no OpenMP, and some refuse -march=native.
EXTRA_FLAGS = (["-march=native", "-fopenmp"], ["-march=native"], [])
# May a · b + c be rounded once? Not where torch rounds twice.
CONTRACT = {"lif": "off", "pool": "off", "events": "fast"}


def tensor_of(dtype):
    """A type of argument: the address of a tensor of that dtype, or null for None."""

    class Address(ctypes.c_void_p):
        @classmethod
        def from_param(cls, tensor):
            if tensor is None:
                return None
            if not isinstance(tensor, torch.Tensor) or tensor.dtype != dtype:
                raise TypeError(f"a tensor of {dtype} belongs here")
            return ctypes.c_void_p(tensor.data_ptr())

    return Address


FLOATS, DOUBLES = tensor_of(torch.float32), tensor_of(torch.float64)
HALVES = tensor_of(torch.bfloat16)
WORDS, SHORTS, BYTES = (tensor_of(d) for d in (torch.int64, torch.int16, torch.uint8))
LONG, FLOAT = ctypes.c_long, ctypes.c_float
VALUES = object()  # FLOATS or, compiled with HALF, HALVES
STEPS = (VALUES, LONG)  # currents, and how far apart their time steps are
MAP = (LONG,) * 4  # rows, columns, the first position and the positions in a row
LAYER = (LONG, *MAP, LONG, LONG, LONG, WORDS)  # positions, map, chunks, groups, shared, offsets
NEURON = (FLOAT, FLOAT)  # tau and v_threshold
DECLARED = {  # the arguments of each function, as in the sources, less the last: int threads
    "lif": {
        "moments": (*STEPS, LONG, FLOATS, LONG, FLOATS, DOUBLES),
        "lif_forward": (*STEPS, VALUES, LONG, FLOATS, FLOATS, LONG, VALUES, *NEURON),
        "lif_backward": (*STEPS, *STEPS, VALUES, LONG, FLOATS, FLOATS, FLOATS, LONG, FLOATS,
                         DOUBLES, *NEURON, FLOAT),
        "norm_backward": (VALUES, *STEPS, LONG, FLOATS, FLOATS, FLOATS, LONG),
    },
    "pool": {
        "pool_forward": (VALUES, VALUES, BYTES, *(LONG,) * 4),
        "pool_backward": (VALUES, BYTES, VALUES, *(LONG,) * 4),
    },
    "events": {
        "fire": (FLOATS, LONG, LONG, WORDS, LONG, *MAP, LONG, LONG, *NEURON),
        "unit": (WORDS, LONG, LONG, WORDS, LONG, LONG, *LAYER, FLOATS, WORDS, FLOATS, SHORTS, WORDS,
                 FLOATS, *NEURON),
        "gradient": (WORDS, LONG, FLOATS, FLOATS, LONG, *LAYER, SHORTS, WORDS),
        "pack": (FLOATS, LONG, WORDS, LONG, LONG, LONG, *MAP, WORDS),
        "pool": (WORDS, WORDS, LONG, LONG, LONG),
        "attention": (WORDS, LONG, WORDS, LONG, LONG, LONG, LONG, LONG, WORDS, WORDS, LONG, FLOATS,
                      FLOAT, *NEURON),
        "counts": (WORDS, LONG, LONG, FLOATS, LONG),
    },
}  # fmt: skip


@functools.cache
def library(name, **constants):
    """The functions of <name>.c, or None where it can't be compiled or SSF_KERNEL=0 forbids it.

    constants: what the source is compiled for, e.g. TIME=4. Every call runs on torch's threads.
    """
    values = HALVES if "HALF" in constants else FLOATS
    try:
        path, flags = compiled(name, **constants)
    except OSError:
        return None
    keep_freed_memory()
    source, functions = ctypes.CDLL(str(path)), {}
    for function, arguments in DECLARED[name].items():
        types = [values if argument is VALUES else argument for argument in arguments]
        functions[function] = declared(getattr(source, function), types)
    return SimpleNamespace(flags=flags, **functions)


def declared(function, arguments):
    """A C function that knows its types: another argument raises ctypes.ArgumentError."""
    function.argtypes, function.restype = (*arguments, ctypes.c_int), None
    return lambda *values: function(*values, torch.get_num_threads())


def path():
    """What computes on this machine: "plain", or "kernels, " and the flags that compiled them."""
    events = library("events", TIME=1, VECS=1)
    return "plain" if events is None else "kernels, " + " ".join(events.flags)


@functools.cache
def multiplies_bfloat16(device):
    """Does a device multiply bfloat16 faster than float32? Where not, one line says so."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    instructions = ("avx512_bf16", "amx_bf16", "bf16")
    if device.type != "cpu" or any(known.get(name) for name in instructions):
        return True
    print("ssf: no products of bfloat16 on this processor; training in float32", file=sys.stderr)
    return False


def compiled(name, **constants):
    """The path of <name>.c compiled, and the flags that took. OSError where it can't be."""
    compiler = shlex.split(os.environ.get("CC") or shutil.which("cc") or "")
    if os.environ.get("SSF_KERNEL") == "0" or not compiler:
        raise OSError("there is no compiler, or SSF_KERNEL=0 says not to use it")
    source = Path(__file__).with_name(f"{name}.c")
    defined = [f"-D{key}={value}" for key, value in constants.items()]
    for extra in EXTRA_FLAGS:
        flags = [*FLAGS, *extra]
        command = [*compiler, *flags, f"-ffp-contract={CONTRACT[name]}", *defined]
        made = cached(source, command)
        if made.exists() or compile_to(made, source, command):
            return made, flags
    raise OSError(f"{compiler[0]} can't compile {source}")


def cached(source, command):
    """Where a compiled source is kept: a name for each source, command and processor."""
    cpu = Path("/proc/cpuinfo")
    features = re.search(r"flags.*", cpu.read_text()) if cpu.exists() else None
    sources = source.read_bytes() + source.with_name("values.h").read_bytes()
    key = repr((sources, command, platform.machine(), features and features[0]))
    return folders.cache() / f"{source.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"


def compile_to(path, source, command):
    """Compile a source to that path; whether that worked.

    OpenMP's runtime is not linked: torch has loaded one, and a second pool of threads would wait,
    busily, on the cores that torch's needs.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        linked, unlinked = f"{folder}/made.so", f"{folder}/made.o"
        try:
            for step in (
                [*command, "-c", str(source), "-o", unlinked],
                [*command, "-shared", unlinked, "-o", linked],
            ):
                subprocess.run(step, capture_output=True, check=True)
            ctypes.CDLL(linked)
        except (subprocess.CalledProcessError, OSError):
            return False
        os.replace(linked, path)
    return True


@functools.cache
def keep_freed_memory():
    """Ask glibc to keep freed memory for the next tensor instead of giving it back to the system.

    It comes back page by page, each one zeroed: for tensors of tens of megabytes, as here, the
    first write took several times as long as copying. The process stays as large as it once was.
    """
    largest_mapped, least_trimmed = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(largest_mapped, ctypes.c_int(1 << 30))
        libc.mallopt(least_trimmed, ctypes.c_int((1 << 31) - 1))


def empty(*shape, dtype=torch.float32):
    """An empty tensor as C takes it, whatever torch's defaults are."""
    return torch.empty(shape, dtype=dtype, device="cpu")
