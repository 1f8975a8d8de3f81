"""How fast: the library beside the published implementation, in one process, one call of each in turn.

Interleaved, because a machine's speed drifts within a minute; what is compared is medians, and their ratios. Every
number is a row of one table, `measure` saying of what: training and inference of three networks, a training step as
batch, T, N and C grow, the LIF pass beside a copy of the same bytes, a layer as its neurons fire more, and a trained
network before and after pruning and dropping tokens.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from ssf.config import DATASETS, Data, RunConfig, Selector, Ticket, Train
from ssf.datasets import sets
from ssf.engine import records, runs
from ssf.kernels import build
from ssf.model import cost, training
from ssf.model.neuron import LIF
from ssf.model.spikformer import Spikformer
from ssf.presets import preset
from ssf.speed import reference
from ssf.speed.deploy import Deployed
from ssf.speed.reference import Reference, SpikingJellyBlocks
from ssf.study import experiments

NETWORKS = {
    "2-64": (2, 64, 64),
    "4-128": (4, 128, 32),
    "4-384": (4, 384, 16),
}  # depth, width, batch
RATE = 0.07  # firing rate of every layer where inference is timed: about that of the trained networks of `chain`
FIELDS = ["measure", "network", "implementation", "variable", "value", "batch", "seconds", "low", "high",
          "macs", "megabytes", "accuracy"]  # fmt: skip


@dataclass
class Bench:
    """The rows so far; `repeats` of each timing."""

    quick: bool
    device: torch.device

    def __post_init__(self):
        self.rows, self.repeats = [], 3 if self.quick else 9
        self.bar = tqdm(desc="bench", leave=False, disable=None)

    def add(self, measure, implementation, network="", variable="", value=None, **measured):
        about = [measure, network, implementation, variable, value]
        self.rows.append(dict(zip(FIELDS, about, strict=False), **measured))

    def race(self, measure, contestants, repeats=None, **about):
        """Time {implementation: function}, one call of each in turn, after one to warm up."""
        times = {name: [] for name in contestants}
        for repeat in range(1 + (repeats or self.repeats)):
            for name, function in contestants.items():
                self.bar.set_postfix_str(f"{measure} {about.get('network', '')} {name}")
                began = time.perf_counter()
                function()
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                if repeat:
                    times[name].append(time.perf_counter() - began)
                self.bar.update()
        for name, t in times.items():
            self.add(measure, name, seconds=statistics.median(t), low=min(t), high=max(t), **about)

    def autocast(self):
        """bfloat16 on a GPU, as published code trains there; float32 on a CPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self, network, images, labels):
        """One step of training: forward, backward, AdamW."""
        optimiser = torch.optim.AdamW(network.train().parameters(), lr=1e-5)

        def once():
            with self.autocast():
                logits = network(images)
            F.cross_entropy(logits.float(), labels).backward()
            optimiser.step()
            optimiser.zero_grad()

        return once

    def answer(self, network, images):
        network.eval()

        def once():
            with torch.inference_mode(), self.autocast():
                network(images)

        return once


def model_of(name, **changes):
    """The Model of a network "depth-width" for 32×32 images in three colours, T = 4."""
    depth, width, _ = NETWORKS[name]
    parts = {"depth": depth, "width": width, "heads": changes.get("width", width) // 32}
    return replace(preset("spikformer-4-384").model, **parts | changes)


@torch.no_grad()
def firing(network, images, rate):
    """Set BatchNorm's statistics to the images', and its biases so that every layer's neurons fire at this rate."""

    def settle(lif, given):
        if len(given) < 2:
            return  # the attention's neuron has no BatchNorm
        currents, norm = given[0].flatten(0, -2), given[1]
        norm.running_mean, norm.running_var = currents.mean(0), currents.var(0)
        low, high = -8.0, 8.0
        for _ in range(12):
            middle = (low + high) / 2
            norm.bias.fill_(middle)
            low, high = (middle, high) if lif.forward(*given).mean() < rate else (low, middle)

    hooks = [m.register_forward_pre_hook(settle) for m in network.modules() if isinstance(m, LIF)]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return network


def samples(model, batch, device):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, model.channels, model.side, model.side, generator=generator)
    return images.to(device), torch.arange(batch, device=device) % model.classes


PEERS = {"published": Reference, "SpikingJelly": SpikingJellyBlocks}


def beside(network, model, names=PEERS):
    """{implementation: the same network}: the peers of those names, and the library's own."""
    device = next(network.parameters()).device
    return {name: PEERS[name](network, model).to(device) for name in names} | {"ssf": network}


def speed(bench):
    """Training and inference, the published implementation and SpikingJelly's blocks beside the library."""
    for name, (_, _, batch) in NETWORKS.items():
        model = model_of(name)
        network = Spikformer(model).to(bench.device)
        images, labels = samples(model, batch, bench.device)
        about = {"network": name, "batch": batch, "macs": cost.macs(model)}
        bench.race(
            "training",
            {k: bench.step(n, images, labels) for k, n in beside(network, model).items()},
            **about,
        )

        firing(network, images[:8], RATE)
        contestants = {k: bench.answer(n, images) for k, n in beside(network, model).items()}
        if bench.device.type == "cpu" and build.library("events", TIME=4, VECS=1):
            deployed = Deployed(network, model)
            contestants["ssf, deployed"] = lambda deployed=deployed, images=images: deployed(images)
        bench.race("inference", contestants, **about)


GROWTH = {  # of a training step of 2-64: what grows, and through which values; the first is the base's
    "batch": (32, 8, 64, 128),
    "T": (4, 1, 2, 8),
    "N": (64, 16, 144, 256),
    "C": (64, 32, 128, 256),
}


def growth(bench):
    """A training step of 2-64 as the batch, the time steps, the tokens and the channels grow."""
    for variable, values in GROWTH.items():
        for value in values[:3] if bench.quick else values:
            changes = {"T": {"time_steps": value}, "N": {"side": 4 * round(value**0.5)},
                       "C": {"width": value}}.get(variable, {})  # fmt: skip
            model, batch = (
                replace(model_of("2-64"), **changes),
                value if variable == "batch" else 32,
            )
            network = Spikformer(model).to(bench.device)
            images, labels = samples(model, batch, bench.device)
            networks = beside(network, model, ["published"])
            bench.race("growth", {k: bench.step(n, images, labels) for k, n in networks.items()},
                       2 if bench.quick else 5, network="2-64", variable=variable, value=value, batch=batch,
                       macs=cost.macs(model) * batch)  # fmt: skip


def roofline(bench):
    """The LIF's two passes beside a copy of as many bytes: forward reads currents and writes spikes, backward reads
    currents and gradients and writes gradients, five tensors in all; a copy moves two."""
    for megabytes in (8, 32) if bench.quick else (1, 2, 4, 8, 16, 32, 64):
        x = torch.randn(4, megabytes * 2**20 // 16 // 256, 256, device=bench.device)
        grad, leaf, target = torch.randn_like(x), x.clone().requires_grad_(), torch.empty_like(x)
        ours, theirs = LIF().to(bench.device), reference.lif(model_of("2-64")).to(bench.device)

        def both(neuron, leaf=leaf, grad=grad):
            neuron.reset()
            torch.autograd.grad(neuron(leaf), leaf, grad)

        contestants = {"copy": lambda x=x, target=target: [target.copy_(x) for _ in range(5)],
                       "ssf": lambda both=both, n=ours: [both(n), both(n)],
                       "SpikingJelly": lambda both=both, n=theirs: [both(n), both(n)]}  # fmt: skip
        bench.race(
            "LIF", contestants, 9, variable="megabytes", value=megabytes, megabytes=10 * megabytes
        )


def events(bench):
    """Inference of 2-64 as its neurons fire more: one that multiplies does not notice, one that adds spikes does."""
    model = model_of("2-64")
    images, _ = samples(model, 64, bench.device)
    for rate in (0.02, 0.1, 0.3) if bench.quick else (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        network = firing(Spikformer(model), images[:8], rate)
        fired = cost.firing_rates(network, images[:16])
        deployed = Deployed(network, model)
        bench.race("events", {"ssf": bench.answer(network, images), "ssf, deployed": lambda d=deployed: d(images)},
                   network="2-64", variable="firing rate", value=sum(fired.values()) / len(fired), batch=64,
                   macs=cost.macs(model))  # fmt: skip


def chain(quick):
    """Configs of a network on fashion-mini: dense, a ticket of 95 %, ρ = 0.7, and both."""
    name, train_size, epochs = ("2-64", 1200, 2) if quick else ("4-128", 2800, 3)
    model = model_of(name, channels=1)
    part = {
        "model": model,
        "data.train_size": train_size,
        "train.epochs": epochs,
        "train.batch_size": 32,
    }
    ticket, selector = (
        Ticket(round=1, fraction=0.95),
        Selector(keep_ratio=0.7, locations=(0, model.depth // 2)),
    )
    dense = preset("quick", **part)
    return name, {
        "dense": dense,
        "ticket": dense.with_(ticket=ticket),
        "selector": dense.with_(selector=selector),
        "both": dense.with_(ticket=ticket, selector=selector),
    }


def sparsity(bench):
    """Inference of trained networks: theory, MACs of surviving weights and tokens, against the clock."""
    race_trained(bench, "sparsity", *chain(bench.quick))


def codesign(bench):
    """The same of the study's networks of seed 0 that C3 and C4 are about; trained first if they are not there."""
    kinds = ("all_tokens", "selector", "ticket", "both")
    configs = {"dense": preset("study")} | {
        k: config for k, config in experiments.codesign(0) if k in kinds
    }
    race_trained(bench, "codesign", "study", configs)


def race_trained(bench, measure, name, configs):
    """Time {kind: config}'s networks, multiplying and deployed, one call of each in turn."""
    trained = {kind: runs.run(config) for kind, config in configs.items()}
    dataset = sets.load(configs["dense"].data.name)
    images, contestants, about = dataset.standardise(dataset.test_images[:256]), {}, {}
    for kind, run in trained.items():
        network, model, selector = run.network.cpu(), run.config.model, run.config.selector
        deployed = Deployed(network, model)
        if selector is None or selector.kind != "random":  # which draws anew
            with torch.no_grad():
                same = (deployed(images).argmax(1) == network(images).argmax(1)).float().mean()
            if same < 0.98:
                raise AssertionError(
                    f"{kind}: the deployed network agrees in {same:.3f} of the images; expected: 1"
                )
        known = {"network": name, "variable": kind, "value": run.record["firing_rate"], "batch": len(images),
                 "accuracy": run.record["accuracy"]}  # fmt: skip
        contestants[kind, "ssf"] = bench.answer(network, images)
        about[kind, "ssf"] = known | {"macs": cost.macs(model, selector)}
        contestants[kind, "ssf, deployed"] = lambda deployed=deployed: deployed(images)
        about[kind, "ssf, deployed"] = known | {"macs": cost.macs(model, selector, run.masks)}
    first = len(bench.rows)
    bench.race(measure, contestants)
    for row in bench.rows[first:]:
        row |= about[row["implementation"]] | {"implementation": row["implementation"][1]}


FED = {
    "fashion-mini": (64, 2048),
    "cifar10": (64, 2048),
    "event-fashion": (64, 2048),
    "cifar10-dvs": (16, 64),
}


def feeding(bench):
    """Samples a second that a memory-mapped set gives, augmented or not, beside those that training 2-64 takes.

    `FED` has the batch and the number of samples; "published" is a whole recipe, mixup included.
    """
    for name, (batch, count) in list(FED.items())[: 3 if bench.quick else 4]:
        parts = {"time_steps": 16, "pool_stages": (0, 1, 2, 3)} if name == "cifar10-dvs" else {}
        config = RunConfig(
            Data(name), model_of("2-64", **DATASETS[name], **parts), train=Train(batch_size=batch)
        )
        network = Spikformer(config.model).to(bench.device)
        with tempfile.TemporaryDirectory() as folder:
            dataset = mapped(config, Path(folder), count).to(bench.device)
            images, labels = (
                dataset.standardise(dataset.train_images[:batch]),
                dataset.train_labels[:batch],
            )
            contestants = {"training": bench.step(network, images, labels)}
            for kind in ("none", "light", "published"):
                mixup = 0.5 if kind == "published" else 0.0
                contestants[kind] = epoch(
                    config.with_(**{"data.augment": kind, "train.mixup": mixup}), dataset
                )
            first = len(bench.rows)
            bench.race("feeding", contestants, network="2-64", variable=name)
        for row in bench.rows[first:]:
            row["batch"] = batch if row["implementation"] == "training" else count


def epoch(config, dataset):
    """A function that draws an epoch's batches and looks at none."""
    which = torch.arange(len(dataset.train_labels))

    def once():
        for _ in sets.training_batches(config, dataset, which, 0, torch.Generator()):
            pass

    return once


def mapped(config, folder, count):
    """A data set of the config's shape, noise, mapped into memory from a file as decoded sets are."""
    model, rng = config.model, np.random.default_rng(0)
    frames = (model.time_steps,) if model.encoding == "frames" else ()
    shape = (count, *frames, model.channels, model.side, model.side)
    np.save(
        folder / "images.npy",
        rng.integers(0, 256 if model.encoding == "direct" else 3, shape, np.uint8),
    )
    images = torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c"))
    labels = torch.arange(count) % model.classes
    classes = tuple(map(str, range(model.classes)))
    return sets.Dataset(config.data.name, "noise", classes, images, labels, images[:1], labels[:1])


def memory(bench):
    """Peak memory of two training steps, each in a process of its own, less what the process had before."""
    for name in ("2-64",) if bench.quick else NETWORKS:
        for implementation in (*PEERS, "ssf"):
            bench.bar.set_postfix_str(f"memory {name} {implementation}")
            command = [sys.executable, "-m", "ssf.speed.bench", name, implementation]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            bench.add(
                "memory",
                implementation,
                name,
                batch=NETWORKS[name][2],
                megabytes=float(done.stdout.split()[-1]),
            )


def peak(name, implementation):
    """Megabytes that two training steps take at most."""
    bench = Bench(True, training.device())
    model, cuda = model_of(name), bench.device.type == "cuda"
    network = Spikformer(model).to(bench.device)
    if implementation in PEERS:
        network = beside(network, model, [implementation])[implementation]
    bench.step(network, *samples(model, 2, bench.device))()  # what is loaded on first use
    step = bench.step(network, *samples(model, NETWORKS[name][2], bench.device))
    before = torch.cuda.memory_allocated() / 2**20 if cuda else resident()
    step()
    step()
    return (torch.cuda.max_memory_allocated() / 2**20 if cuda else resident()) - before


def resident():
    """Most megabytes that this process has had in memory."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # getrusage would count the parent's, too, from before it became this process
        return int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def device_name():
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


PARTS = {
    part.__name__: part
    for part in (speed, growth, roofline, feeding, memory, events, sparsity, codesign)
}
ASKED_FOR = ("codesign",)  # it needs networks that take long to train


def run(quick=False, only=()):
    """All measurements, or those parts of `PARTS`, as a pandas frame; on a GPU, those that it is for."""
    import pandas as pd

    bench = Bench(quick, training.device())
    deployable = bench.device.type == "cpu" and build.library("events", TIME=4, VECS=1)
    for name, part in PARTS.items():
        wanted = name in only or (not only and name not in ASKED_FOR)
        if wanted and (deployable or name not in ("events", "sparsity", "codesign")):
            part(bench)
    bench.bar.close()
    machine = {"device": device_name(), "processor": records.processor(), "cores": os.cpu_count()}
    machine |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "quick": quick}
    return pd.DataFrame(bench.rows, columns=FIELDS).assign(**machine)


def ratios(rows, measures=("training", "inference")):
    """Times faster than the published implementation, by measure, network and implementation."""
    chosen = rows[rows.measure.isin(measures)].copy()
    chosen["images_per_second"] = chosen.batch / chosen.seconds
    chosen["spread"] = (chosen.high - chosen.low) / chosen.seconds
    base = chosen[chosen.implementation == "published"].set_index(["measure", "network"]).seconds
    chosen["ratio"] = [base[row.measure, row.network] / row.seconds for row in chosen.itertuples()]
    return chosen[
        ["measure", "network", "batch", "implementation", "ratio", "images_per_second", "spread"]
    ]


def shares(rows, measure, labels):
    """Trained networks beside their dense parent, multiplying: label, macs, seconds, deployed (shares), firing rate,
    accuracy; labels: {variable: label}."""
    import pandas as pd

    rows = rows[rows.measure == measure].set_index(["variable", "implementation"])
    parent, found = rows.loc["dense", "ssf"], []
    for kind, label in labels.items():
        ours, deployed = rows.loc[kind, "ssf"], rows.loc[kind, "ssf, deployed"]
        share = [
            deployed.macs / parent.macs,
            ours.seconds / parent.seconds,
            deployed.seconds / parent.seconds,
        ]
        found.append([label, *share, ours.value, ours.accuracy])
    return pd.DataFrame(
        found, columns=["label", "macs", "seconds", "deployed", "firing rate", "accuracy"]
    )


if __name__ == "__main__":
    print(peak(*sys.argv[1:3]))
