"""Several processes train one network: torchrun with gloo on CPUs."""

import json
import os
import subprocess
import sys

import torch

from ssf import distributed, folders

GRADIENTS = """
import sys, torch
from ssf import distributed
from ssf.config import Selector
from ssf.presets import preset
from ssf.model.spikformer import Spikformer

batches = torch.load(sys.argv[1])
selectors = (None, Selector("firing_rate", 0.5))
pairs = [(batch, selector) for batch in batches for selector in selectors]
with distributed.processes():
    for number, ((images, labels), selector) in enumerate(pairs):
        torch.manual_seed(0)
        network = distributed.synchronised(Spikformer(preset("quick").model, selector).double())
        forward = distributed.forward_of(network)
        x, y, weight = distributed.share(images, labels)
        logits, _ = forward(x)
        loss = torch.nn.functional.cross_entropy(logits, y) * weight
        loss.backward()
        mean = distributed.mean(loss.detach())
        if distributed.rank() == 0:
            gradients = {n: p.grad for n, p in network.named_parameters()}
            state = gradients | dict(network.named_buffers())
            torch.save({"loss": mean, **state}, f"{sys.argv[2]}-{number}")
"""


def torchrun(count, *command, **environment):
    program = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        str(count),
        "--standalone",
    ]
    given = os.environ | {"OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [*program, *command],
        capture_output=True,
        text=True,
        env=given,
        cwd=folders.home(),
        timeout=120,
    )


def test_two_processes_take_the_step_that_one_takes(tmp_path):
    script = tmp_path / "step.py"
    script.write_text(GRADIENTS)
    sizes = (8, 9)  # shares of 4 and 4, of 5 and 4
    batches = [(torch.randn(n, 1, 32, 32).double(), torch.arange(n) % 10) for n in sizes]
    torch.save(batches, tmp_path / "batch")
    one = subprocess.run(
        [sys.executable, script, tmp_path / "batch", tmp_path / "one"],
        capture_output=True,
        text=True,
    )
    two = torchrun(2, str(script), str(tmp_path / "batch"), str(tmp_path / "two"))
    assert one.returncode == 0 and two.returncode == 0, one.stderr + two.stderr
    for number in range(4):
        a, b = (torch.load(tmp_path / f"{name}-{number}") for name in ("one", "two"))
        assert a.keys() == b.keys() and any(t.any() for n, t in a.items() if n.startswith("blocks"))
        for name in a:
            torch.testing.assert_close(
                b[name], a[name], rtol=1e-8, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_torchrun_writes_one_record(tmp_path):
    done = torchrun(
        2,
        "-m",
        "ssf",
        "train",
        "--preset",
        "smoke",
        "--seed",
        "0",
        "-o",
        "data.train_size=64",
        "-o",
        "mixed_precision=True",
        SSF_RUNS=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    (record,) = tmp_path.glob("*/record.json")
    assert (
        json.loads(record.read_text())["world_size"] == 2 and done.stdout.count("accuracy 0.") == 1
    )


def test_a_process_alone_needs_none_of_this():
    x = torch.rand(5, 2)
    assert (distributed.rank(), distributed.size()) == (0, 1) and distributed.share(x)[1] == 1.0
    assert distributed.mean(x) is x and distributed.share(x)[0] is x
