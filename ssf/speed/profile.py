"""Where the time of a training step goes, by torch's profiler."""

import os

import torch

from ssf.model.spikformer import Spikformer
from ssf.speed.race import RATE, in_both, model_of, noise, with_firing_rate

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler talks of GPUs that are not there
PARTS = {  # of a step: what the names of torch's and our own operations start with
    "products": ("aten::convolution", "aten::mkldnn", "aten::mm", "aten::addmm", "aten::bmm",
                 "aten::_convolution", "Product"),
    "BatchNorm and neurons": ("LIF",),
    "pooling": ("MaxPool", "aten::max_pool"),
}  # fmt: skip


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
