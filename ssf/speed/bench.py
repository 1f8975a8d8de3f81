"""How fast is the library? Measured beside the published implementation, in one process.

Every number is a row of one table; see `race` for how calls are timed.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ssf.config import Selector, Ticket
from ssf.datasets import sets
from ssf.engine import observe, records, runs
from ssf.model import cost, training
from ssf.model.neuron import LIF
from ssf.model.spikformer import Spikformer
from ssf.presets import preset
from ssf.speed import reference
from ssf.speed.deploy import Deployed, can_deploy
from ssf.speed.race import (
    HALF,
    NETWORKS,
    PEERS,
    RATE,
    Race,
    beside,
    check_answers,
    in_both,
    model_of,
    noise,
    with_firing_rate,
)
from ssf.study import experiments

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler talks of GPUs that are not there
PARTS = {  # of a step: what the names of torch's and our own operations start with
    "products": ("aten::convolution", "aten::mkldnn", "aten::mm", "aten::addmm", "aten::bmm",
                 "aten::_convolution", "Product"),
    "BatchNorm and neurons": ("LIF",),
    "pooling": ("MaxPool", "aten::max_pool"),
}  # fmt: skip
COLUMNS = ["measure", "network", "implementation", "variable", "value", "batch", "seconds", "low",
           "high", "macs", "megabytes", "accuracy"]  # fmt: skip


def time_networks(race):
    """Training and inference: the published code and SpikingJelly's blocks beside the library."""
    for name, (_, _, batch) in race.networks.items():
        model = model_of(name)
        network = Spikformer(model).to(race.device)
        images, labels = noise(model, batch, race.device)
        about = {"network": name, "batch": batch, "macs": cost.macs(model)}
        steps = in_both(race.training_step, beside(network, model), images, labels)
        race.time("training", steps, **about)

        with_firing_rate(network, images[:8], RATE)
        contestants = in_both(race.inference, beside(network, model), images)
        if can_deploy(race.device):
            contestants["ssf, deployed"] = partial(Deployed(network, model), images)
        race.time("inference", contestants, **about)


def profile_steps(race):
    """Where the time of a training step goes, by `PARTS`, in both precisions."""
    activities, repeats = [torch.profiler.ProfilerActivity.CPU], 2 if race.quick else 5
    for name, (_, _, batch) in race.networks.items():
        model = model_of(name)
        network = with_firing_rate(Spikformer(model), noise(model, 8, "cpu")[0], RATE)
        images, labels = noise(model, batch, "cpu")
        steps = in_both(race.training_step, {"ssf": network}, images, labels)
        for implementation, step in steps.items():
            step()
            with torch.profiler.profile(activities=activities) as profile:
                for _ in range(repeats):
                    step()
            seconds = dict.fromkeys([*PARTS, "the rest"], 0.0)
            for event in profile.key_averages():
                own = [part for part, names in PARTS.items() if event.key.startswith(names)]
                seconds[own[0] if own else "the rest"] += event.self_cpu_time_total / 1e6 / repeats
            about = {"measure": "profile", "network": name, "implementation": implementation}
            race.rows += [about | {"variable": k, "seconds": s, "batch": batch}
                          for k, s in seconds.items()]  # fmt: skip


def copy_five_times(target, source):
    for _ in range(5):
        target.copy_(source)


def both_passes_twice(neuron, x, grad):
    for _ in range(2):
        neuron.reset()
        torch.autograd.grad(neuron(x), x, grad)


def time_neuron(race):
    """The LIF's two passes beside a copy of as many bytes.

    Forward reads currents and writes spikes, backward reads currents and gradients and writes
    gradients, five tensors in all; a copy moves two.
    """
    for megabytes in (8, 32) if race.quick else (8, 64):
        x = torch.randn(4, megabytes * 2**20 // 16 // 256, 256, device=race.device)
        leaf, grad = x.clone().requires_grad_(), torch.randn_like(x)
        contestants = {"copy": partial(copy_five_times, torch.empty_like(x), x)}
        for name, neuron in {"ssf": LIF(), "SpikingJelly": reference.lif(model_of("2-64"))}.items():
            contestants[name] = partial(both_passes_twice, neuron.to(race.device), leaf, grad)
        about = {"variable": "megabytes", "value": megabytes, "megabytes": 10 * megabytes}
        race.time("LIF", contestants, 9, **about)


def time_events(race):
    """Inference of 2-64 as its neurons fire more: who multiplies does not notice, who adds does."""
    model = model_of("2-64")
    images, _ = noise(model, 64, race.device)
    for rate in (0.02, 0.1, 0.3) if race.quick else (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        network = with_firing_rate(Spikformer(model), images[:8], rate)
        rate = statistics.mean(observe.firing_rates(network, images[:16]).values())
        contestants = {"ssf": race.inference(network, images)}
        contestants["ssf, deployed"] = partial(Deployed(network, model), images)
        about = {"network": "2-64", "variable": "firing rate", "macs": cost.macs(model)}
        race.time("events", contestants, value=rate, batch=64, **about)


def time_sparsity(race):
    """Trained networks on fashion-mini, dense, 95 % ticket, ρ = 0.7 and both, against the clock."""
    name, train_size, epochs = ("2-64", 1200, 2) if race.quick else ("4-128", 2800, 3)
    model = model_of(name, channels=1)
    train = {"data.train_size": train_size, "train.epochs": epochs, "train.batch_size": 32}
    dense = preset("quick", model=model, **train)
    ticket = {"ticket": Ticket(round=1, fraction=0.95)}
    selector = {"selector": Selector(keep_ratio=0.7, locations=(0, model.depth // 2))}
    parts = {"dense": {}, "ticket": ticket, "selector": selector, "both": ticket | selector}
    configs = {kind: dense.with_(**part) for kind, part in parts.items()}
    time_trained(race, "sparsity", name, configs)


def time_codesign(race):
    """The study's networks of C3 and C4, seed 0, trained first where missing."""
    kinds = ("all_tokens", "selector", "ticket", "both")
    configs = {kind: config for kind, config in experiments.codesign(0) if kind in kinds}
    time_trained(race, "codesign", "study", {"dense": preset("study")} | configs)


def time_trained(race, measure, name, configs):
    """Time {kind: config}'s networks, multiplying and deployed, one call of each in turn."""
    trained = {kind: runs.run(config) for kind, config in configs.items()}
    dataset = sets.load(configs["dense"].data.name)
    images, contestants, macs = dataset.standardise(dataset.test_images[:256]), {}, {}
    for kind, run in trained.items():
        network, model, selector = run.network.cpu(), run.config.model, run.config.selector
        deployed = Deployed(network, model)
        check_answers(deployed, network, images, kind)
        contestants[kind, "ssf"] = race.inference(network, images)
        contestants[kind, "ssf, deployed"] = partial(deployed, images)
        macs[kind, "ssf"] = cost.macs(model, selector)
        macs[kind, "ssf, deployed"] = cost.macs(model, selector, run.masks)
    for row in race.time(measure, contestants, network=name, batch=len(images)):
        kind, implementation = row["implementation"]
        record = trained[kind].record
        row |= {"variable": kind, "value": record["firing_rate"], "accuracy": record["accuracy"]}
        row |= {"implementation": implementation, "macs": macs[kind, implementation]}


def measure_memory(race):
    """Peak memory of two training steps, each in a process of its own, less what it had before."""
    for name in ("2-64",) if race.quick else NETWORKS:
        for implementation in (*PEERS, "ssf", f"ssf{HALF}"):
            race.bar.set_postfix_str(f"memory {name} {implementation}")
            command = [sys.executable, "-m", "ssf.speed.bench", name, implementation]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = {"measure": "memory", "network": name, "implementation": implementation}
            row |= {"batch": NETWORKS[name][2], "megabytes": float(done.stdout.split()[-1])}
            race.rows.append(row)


def peak_memory(name, implementation):
    """Megabytes that two training steps take at most."""
    race, model = Race(True, training.device()), model_of(name)
    network, half = Spikformer(model).to(race.device), implementation.endswith(HALF)
    if implementation in PEERS:
        network = beside(network, model, [implementation])[implementation]
    race.training_step(network, *noise(model, 2, race.device), half)()  # loads what is needed
    step = race.training_step(network, *noise(model, NETWORKS[name][2], race.device), half)
    cuda = race.device.type == "cuda"
    before = torch.cuda.memory_allocated() / 2**20 if cuda else resident()
    step()
    step()
    return (torch.cuda.max_memory_allocated() / 2**20 if cuda else resident()) - before


def resident():
    """Most megabytes that this process has had in memory."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's too, from before the fork
        return int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def device_name():
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


MEASUREMENTS = {
    "speed": time_networks,
    "profile": profile_steps,
    "roofline": time_neuron,
    "memory": measure_memory,
    "events": time_events,
    "sparsity": time_sparsity,
    "codesign": time_codesign,  # only if it is asked for: its networks take long to train
}
ON_GPU = ("speed", "roofline", "memory")


def benchmark(quick=False, only=()):
    """All measurements, or those of `only`, as a pandas frame; on a GPU, those that it is for."""
    import pandas as pd

    race = Race(quick, training.device())
    for name, measurement in MEASUREMENTS.items():
        wanted = name in only or (not only and name != "codesign")
        if wanted and (can_deploy(race.device) or name in ON_GPU):
            measurement(race)
    race.bar.close()
    machine = {"device": device_name(), "processor": records.processor(), "cores": os.cpu_count()}
    machine |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "quick": quick}
    return pd.DataFrame(race.rows, columns=COLUMNS).assign(**machine)


def ratios(rows):
    """Times as fast as the published code: `ratio` in float32, `like` in the row's own precision.

    least and most: `like` of the slowest and the fastest repeat; spread: between them, a share.
    """
    about = ["measure", "network"]
    rows = rows[rows.measure.isin(["training", "inference"])]
    half = rows.implementation.str.endswith(HALF)
    rows = rows.assign(precision=np.where(half, "bfloat16", "float32"))
    base = rows[rows.implementation.isin(["published", f"published{HALF}"])]
    base = base.set_index([*about, "precision"]).seconds.to_dict()
    keys = list(zip(rows.measure, rows.network, rows.precision, strict=True))
    like = np.array([base.get(key, np.nan) for key in keys])
    rows["ratio"] = np.array([base[*key[:2], "float32"] for key in keys]) / rows.seconds
    for column, of in {"like": "seconds", "least": "high", "most": "low"}.items():
        rows[column] = like / rows[of]
    rows["images_per_second"] = rows.batch / rows.seconds
    rows["spread"] = (rows.high - rows.low) / rows.seconds
    columns = ["precision", "ratio", "like", "least", "most", "images_per_second", "spread"]
    return rows[[*about, "batch", "implementation", *columns]]


SHARES = ["label", "macs", "seconds", "deployed", "firing rate", "accuracy"]


def shares(rows, measure, labels):
    """Trained networks beside their dense parent, multiplying, of {variable: label}.

    Returns a frame of `SHARES`, without rows where they were not timed.
    """
    import pandas as pd

    rows = rows[rows.measure == measure]
    if rows.empty:
        return pd.DataFrame(columns=SHARES)
    rows = rows.pivot(index="variable", columns="implementation")
    parent, rows = rows.loc["dense"], rows.loc[list(labels)]
    columns = [
        rows.macs["ssf, deployed"] / parent.macs["ssf"],
        *(rows.seconds[name] / parent.seconds["ssf"] for name in ("ssf", "ssf, deployed")),
        rows.value["ssf"],
        rows.accuracy["ssf"],
    ]
    table = pd.DataFrame(dict(zip(SHARES[1:], columns, strict=True)))
    return table.assign(label=list(labels.values()))[SHARES].reset_index(drop=True)


if __name__ == "__main__":
    print(peak_memory(*sys.argv[1:3]))
