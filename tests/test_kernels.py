"""The kernels' room: what it declares and says it does; the model works without it."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from spikingjelly.activation_based.neuron import LIFNode

from ssf import kernels
from ssf.kernels import build
from ssf.kernels.neurons import Currents
from ssf.model.neuron import LIF
from ssf.model.spikformer import Conv, Linear

ROOT = Path(__file__).parents[1]
STEP = """
import json, sys, torch
# an editable install would find the checkout's kernels
sys.meta_path[:] = [f for f in sys.meta_path if "Editable" not in getattr(f, "__name__", "")]
from ssf.model import kernels
from ssf.model.neuron import LIF
from ssf.model.spikformer import Spikformer
from ssf.presets import preset

try:
    from ssf.kernels import path
except ImportError:
    path = lambda: "deleted"
torch.manual_seed(0)
model = preset("smoke").model
network, images = Spikformer(model), torch.randn(4, model.channels, model.side, model.side)
logits = network(images)
logits.square().sum().backward()
currents = 3 * torch.randn(4, 50)
spikes = LIF()(currents)
with torch.autocast("cpu", torch.bfloat16, kernels.multiplies_bfloat16(torch.device("cpu"))):
    assert network(images).isfinite().all()
gradients = [p.grad.norm().item() for p in network.parameters()]
print(json.dumps([path(), logits.tolist(), gradients, currents.tolist(), spikes.tolist()]))
"""
needs_compiler = pytest.mark.skipif(kernels.path() == "plain", reason="no C compiler here")


def a_step(folder=ROOT, **variables):
    """Path, logits and gradients of the smoke network, a neuron's currents and spikes."""
    environment = {**os.environ, "PYTHONPATH": str(folder), **variables}
    command = [sys.executable, "-c", STEP]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_model_works_without_the_kernels(tmp_path):
    """Forbidden, without a compiler, deleted: the same numbers, and SpikingJelly's neuron."""
    ignored = shutil.ignore_patterns("kernels", "__pycache__")
    shutil.copytree(ROOT / "ssf", tmp_path / "ssf", ignore=ignored)
    forbidden = a_step(SSF_KERNEL="0")
    hidden = a_step(PATH="", CC="")
    deleted = a_step(tmp_path)
    assert [step[0] for step in (forbidden, hidden, deleted)] == ["plain", "plain", "deleted"]
    assert forbidden[1:] == hidden[1:] == deleted[1:]
    assert all(norm < 1e9 for norm in forbidden[2]) and max(forbidden[2]) > 0
    spikes = LIFNode(detach_reset=True, step_mode="m")(torch.tensor(forbidden[3]))
    assert 0 < spikes.mean() < 1 and spikes.tolist() == forbidden[4]


@needs_compiler
def test_another_argument_than_declared_is_refused():
    currents = Currents(torch.randn(4, 50))
    scale, shift = currents.identity()
    arguments = [currents.x, currents.stride, torch.empty(4, 50), currents.count, scale, shift,
                 currents.block, currents.work(4), 2.0, 1.0]  # fmt: skip
    currents.library.lif_forward(*arguments)
    for place, wrong in ((0, currents.x.double()), (0, 3), (1, 1.5), (3, None), (8, "2")):
        changed = [*arguments[:place], wrong, *arguments[place + 1 :]]
        with pytest.raises(ctypes.ArgumentError):
            currents.library.lif_forward(*changed)


@needs_compiler
def test_the_path_names_the_flags_that_compiled_it(monkeypatch):
    assert kernels.path().startswith("kernels, ") and "-O3" in kernels.path()
    monkeypatch.setattr(build, "library", lambda *_, **__: None)
    assert kernels.path() == "plain"


@needs_compiler
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_spikes_under_autocast_are_multiplied_in_its_dtype(kind):
    """As every other product there, with the same numbers and gradients."""
    if kind == "linear":
        layer, x = Linear(64, 48), torch.rand(2, 3, 5, 64)
        plain = lambda x: F.linear(x, layer.weight, layer.bias)  # noqa: E731
    else:
        layer, x = Conv(16, 32, 3, padding=1, bias=False), torch.rand(3, 16, 6, 6)
        plain = lambda x: F.conv2d(x, layer.weight, padding=1)  # noqa: E731
    x, layer.of_spikes = (x < 0.1).float(), True
    assert layer(x).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        ours, torchs = layer(x), plain(x)
    assert ours.dtype == torch.bfloat16 and torch.equal(ours, torchs)
    grads = [torch.autograd.grad(out.float().sum(), layer.weight)[0] for out in (ours, torchs)]
    assert torch.equal(*grads)


def test_potentials_stay_float32_where_currents_are_not():
    x = 3 * torch.randn(4, 50)
    assert torch.equal(LIF()(x.bfloat16()).float(), LIF()(x.bfloat16().float()))


def test_without_products_of_bfloat16_a_line_says_so_once(monkeypatch, capsys):
    cpu = torch.device("cpu")
    try:
        for known, answer in (({"avx512_bf16": True}, True), ({"avx512_bf16": False}, False)):
            kernels.multiplies_bfloat16.cache_clear()
            monkeypatch.setattr(
                torch.cpu, "get_capabilities", lambda known=known: known, raising=False
            )
            assert kernels.multiplies_bfloat16(cpu) is kernels.multiplies_bfloat16(cpu) is answer
            assert kernels.multiplies_bfloat16(torch.device("cuda"))
    finally:
        kernels.multiplies_bfloat16.cache_clear()
    assert capsys.readouterr().err.count("training in float32") == 1
