"""Who is timed, and how: networks of three sizes, each as published and as here, call by call.

One call of each in turn, as a machine's speed drifts within a minute; medians are compared.
"""

import statistics
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ssf.model.neuron import LIF
from ssf.presets import preset
from ssf.speed.reference import Reference, SpikingJellyBlocks

# depth, width, batch
NETWORKS = {"2-64": (2, 64, 64), "4-128": (4, 128, 32), "4-384": (4, 384, 16)}
RATE = 0.07  # of every layer where inference is timed: about the trained networks' firing rate
HALF = ", bfloat16"  # behind the name of an implementation: under torch's autocast
PEERS = {"published": Reference, "SpikingJelly": SpikingJellyBlocks}


class Race:
    """A table of timings, row by row; `quick` times each call fewer times, and no large network."""

    def __init__(self, quick, device):
        self.quick, self.device, self.rows = quick, device, []
        self.networks = {k: v for k, v in NETWORKS.items() if not quick or k != "4-384"}
        self.bar = tqdm(desc="race", leave=False, disable=None)

    def time(self, measure, contestants, repeats=None, **about):
        """Time {implementation: function}, one call of each in turn, after one to warm up.

        Adds a row for each, which are returned, too.
        """
        repeats = repeats or (2 if self.quick else 5)
        times = {name: [] for name in contestants}
        for repeat in range(1 + repeats):
            for name, function in contestants.items():
                self.bar.set_postfix_str(f"{measure} {about.get('network', '')} {name}")
                began = time.perf_counter()
                function()
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                if repeat:
                    times[name].append(time.perf_counter() - began)
                self.bar.update()
        rows = [{"measure": measure, "implementation": name} | about for name in times]
        for row, t in zip(rows, times.values(), strict=True):
            row |= {"seconds": statistics.median(t), "low": min(t), "high": max(t)}
        self.rows += rows
        return rows

    def autocast(self, half):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def training_step(self, network, images, labels, half=False):
        """A function that takes one step: forward, backward, AdamW; with `half`, in bfloat16."""
        optimiser = torch.optim.AdamW(network.train().parameters(), lr=1e-5)

        def once():
            with self.autocast(half):
                logits = network(images)
            F.cross_entropy(logits.float(), labels).backward()
            optimiser.step()
            optimiser.zero_grad()

        return once

    def inference(self, network, images, half=False):
        """A function that answers the images."""
        network.eval()

        def once():
            with torch.inference_mode(), self.autocast(half):
                network(images)

        return once


def model_of(name, **changes):
    """The Model of a network "depth-width" for 32×32 images in three colours, T = 4."""
    depth, width, _ = NETWORKS[name]
    parts = {"depth": depth, "width": width, "heads": changes.get("width", width) // 32}
    return replace(preset("spikformer-4-384").model, **parts | changes)


@torch.no_grad()
def with_firing_rate(network, images, rate):
    """Set BatchNorm's statistics to the images', its biases so that all neurons fire so often."""

    def settle(lif, inputs):
        if len(inputs) < 2:
            return  # the attention's neuron has no BatchNorm
        currents, norm = inputs[0].flatten(0, -2), inputs[1]
        norm.running_mean, norm.running_var = currents.mean(0), currents.var(0)
        low, high = -8.0, 8.0
        for _ in range(12):
            middle = (low + high) / 2
            norm.bias.fill_(middle)
            low, high = (middle, high) if lif.forward(*inputs).mean() < rate else (low, middle)

    hooks = [m.register_forward_pre_hook(settle) for m in network.modules() if isinstance(m, LIF)]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return network


def in_both(function, networks, *inputs):
    """{implementation: what `function` makes of its network}, in float32 and in bfloat16."""
    made = {name: function(network, *inputs) for name, network in networks.items()}
    halves = {f"{name}{HALF}": function(n, *inputs, half=True) for name, n in networks.items()}
    return made | halves


def noise(model, batch, device):
    """Random images of the model's shape, and labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, model.channels, model.side, model.side, generator=generator)
    return images.to(device), torch.arange(batch, device=device) % model.classes


def beside(network, model, names=PEERS):
    """{implementation: the same network}: the peers of those names, and the library's own."""
    device = next(network.parameters()).device
    return {name: PEERS[name](network, model).to(device) for name in names} | {"ssf": network}


@torch.no_grad()
def check_answers(deployed, network, images, name):
    """Raise AssertionError unless a deployed network says what its own does, of 98 % of the images.

    Not of all: a potential within rounding of the threshold may fire in one of them only.
    """
    agree = (deployed(images).argmax(1) == network.eval()(images).argmax(1)).float().mean()
    if agree < 0.98:
        said = f"{name}: the deployed network agrees on {agree:.1%} of the images"
        raise AssertionError(f"{said}; expected: at least 98 %.")
