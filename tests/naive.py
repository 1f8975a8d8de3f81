"""Spikformer straight from the equations, slowly: loops over time steps and heads, no batching tricks.

A second implementation to hold the library against. It takes the library's state_dict and computes eval-mode logits.
"""

import torch
import torch.nn.functional as F


def lif(currents, tau, v_threshold):
    """A list of currents, one a time step -> a list of spikes."""
    v, spikes = torch.zeros_like(currents[0]), []
    for x in currents:
        h = v + (x - v) / tau
        s = (h >= v_threshold).to(x.dtype)
        v = h * (1 - s)
        spikes.append(s)
    return spikes


class Naive:
    def __init__(self, state, model, selector=None):
        self.w, self.model, self.selector = state, model, selector

    def bn(self, x, name, channel):
        shape = [-1 if d == channel % x.ndim else 1 for d in range(x.ndim)]
        mean, var, scale, shift = (
            self.w[f"{name}.{k}"].view(shape) for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def lif(self, currents, v_threshold=None):
        return lif(currents, self.model.tau, v_threshold or self.model.v_threshold)

    def linear_unit(self, steps, name):
        weight, bias = self.w[f"{name}.linear.weight"], self.w[f"{name}.linear.bias"]
        return self.lif([self.bn(x @ weight.T + bias, f"{name}.bn", -1) for x in steps])

    def conv_unit(self, steps, name):
        weight = self.w[f"{name}.conv.weight"]
        return self.lif([self.bn(F.conv2d(x, weight, padding=1), f"{name}.bn", 1) for x in steps])

    def stem(self, images):
        steps = [images] * self.model.time_steps
        for stage in range(4):
            steps = self.conv_unit(steps, f"stem.stages.{stage}")
            if stage in self.model.pool_stages:
                steps = [F.max_pool2d(x, 3, 2, 1) for x in steps]
        steps = [x + p for x, p in zip(steps, self.conv_unit(steps, "stem.position"), strict=True)]
        return [x.flatten(2).transpose(1, 2) for x in steps]

    def attention(self, steps, name):
        c, d = self.model.width, self.model.width // self.model.heads
        currents = []
        for spikes in self.linear_unit(steps, f"{name}.qkv"):
            q, k, v = spikes[..., :c], spikes[..., c : 2 * c], spikes[..., 2 * c :]
            heads = []
            for h in range(self.model.heads):
                part = slice(h * d, (h + 1) * d)
                scores = q[..., part] @ k[..., part].transpose(1, 2)
                heads.append(scores * self.model.attention_scale @ v[..., part])
            currents.append(torch.cat(heads, dim=-1))
        return self.linear_unit(self.lif(currents, self.model.attention_v_threshold), f"{name}.proj")

    def block(self, steps, name):
        steps = [x + a for x, a in zip(steps, self.attention(steps, f"{name}.attention"), strict=True)]
        hidden = self.linear_unit(steps, f"{name}.fc1")
        return [x + m for x, m in zip(steps, self.linear_unit(hidden, f"{name}.fc2"), strict=True)]

    def select(self, steps, place):
        """The K tokens of each image with the highest keep score, by sorting."""
        rates = sum(steps) / len(steps)
        name = f"selector.predictors.{place}"
        hidden = F.gelu(rates @ self.w[f"{name}.0.weight"].T + self.w[f"{name}.0.bias"])
        scores = (hidden @ self.w[f"{name}.2.weight"].T + self.w[f"{name}.2.bias"]).log_softmax(-1)[..., 0]
        count = self.selector.counts(self.model.tokens)[place]
        chosen = [sorted(range(len(s)), key=lambda n, s=s: -s[n])[:count] for s in scores.tolist()]
        return [torch.stack([x[b, sorted(places)] for b, places in enumerate(chosen)]) for x in steps]

    def logits(self, images):
        steps = self.stem(images)
        for b in range(self.model.depth):
            if self.selector and b in self.selector.locations:
                steps = self.select(steps, self.selector.locations.index(b))
            steps = self.block(steps, f"blocks.{b}")
        mean = sum(x.mean(1) for x in steps) / len(steps)
        return mean @ self.w["head.weight"].T + self.w["head.bias"]
