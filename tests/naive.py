"""Spikformer straight from the equations, slowly: loops over time steps and heads.

A second implementation to hold the library against. It knows the published code's names of
the weights, static (`q_linear`) or event (`q_conv`); `published` writes a network's in them.
"""

import torch
import torch.nn.functional as F


def published(network, event=False):
    """{published name: tensor} of a network; gradients flow back to its own parameters."""
    ours = dict(network.named_parameters()) | dict(network.named_buffers())
    kind = "conv" if event else "linear"
    state = {}
    for name, value in ours.items():
        part, end = name.rsplit(".", 1)
        words = part.split(".")
        if words[0] == "stem":
            place = (
                "rpe_{}"
                if words[1] == "position"
                else "proj_{}" + ("" if words[2] == "0" else words[2])
            )
            state[f"patch_embed.{place.format(words[-1])}.{end}"] = value
        elif words[0] == "blocks":
            layer = kind if words[-1] == "linear" else "bn"
            if event and layer == "conv" and end == "weight":
                value = value[..., None]
            where = f"block.{words[1]}." + ("attn" if words[2] == "attention" else "mlp")
            if words[-2] == "qkv":
                parts = value.chunk(3) if value.ndim else [value] * 3
                state |= {
                    f"{where}.{n}_{layer}.{end}": v for n, v in zip("qkv", parts, strict=True)
                }
            else:
                state[f"{where}.{words[-2]}_{layer}.{end}"] = value
        elif words[0] == "selector":
            state[f"predictor.{words[2]}.linear.{words[3]}.{end}"] = value
        else:
            state[name] = value
    return state


def spike(h, model, v_threshold):
    """A step forward, the derivative of sigmoid(alpha (h - threshold)) backward."""
    smooth = torch.sigmoid(model.surrogate_alpha * (h - v_threshold))
    return (h >= v_threshold).to(h.dtype) + (smooth - smooth.detach())


class Naive:
    """`training` normalises by the batch, and takes the decisions {block: [B,N]}."""

    def __init__(self, state, model, selector=None, training=False, decisions=None):
        self.w, self.model, self.selector = state, model, selector
        self.training, self.decisions = training, decisions

    def bn(self, steps, name, channel):
        shape = [-1 if d == channel % steps[0].ndim else 1 for d in range(steps[0].ndim)]
        mean, var = self.w[f"{name}.running_mean"], self.w[f"{name}.running_var"]
        if self.training:
            values = torch.stack([x.movedim(channel, 0).flatten(1) for x in steps], dim=2).flatten(
                1
            )
            mean, var = values.mean(1), ((values - values.mean(1, keepdim=True)) ** 2).mean(1)
        scale, shift = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        return [
            (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * scale.view(shape)
            + shift.view(shape)
            for x in steps
        ]

    def lif(self, currents, v_threshold=None):
        threshold = v_threshold or self.model.v_threshold
        v, spikes = torch.zeros_like(currents[0]), []
        for x in currents:
            h = v + (x - v) / self.model.tau
            s = spike(h, self.model, threshold)
            v = h * (1 - s.detach())
            spikes.append(s)
        return spikes

    def linear_unit(self, steps, name):
        kind = "conv" if f"{name}_conv.weight" in self.w else "linear"
        weight = self.w[f"{name}_{kind}.weight"]
        weight = weight.squeeze(-1) if kind == "conv" else weight
        bias = self.w.get(f"{name}_{kind}.bias", 0)
        return self.lif(self.bn([x @ weight.T + bias for x in steps], f"{name}_bn", -1))

    def conv_unit(self, steps, name, number=""):
        weight = self.w[f"patch_embed.{name}_conv{number}.weight"]
        return self.lif(
            self.bn(
                [F.conv2d(x, weight, padding=1) for x in steps], f"patch_embed.{name}_bn{number}", 1
            )
        )

    def stem(self, images):
        event = self.model.encoding == "frames"
        steps = [images[:, t] if event else images for t in range(self.model.time_steps)]
        for stage in range(4):
            steps = self.conv_unit(steps, "proj", stage or "")
            if stage in self.model.pool_stages:
                steps = [F.max_pool2d(x, 3, 2, 1) for x in steps]
        steps = [x + p for x, p in zip(steps, self.conv_unit(steps, "rpe"), strict=True)]
        return [x.flatten(2).transpose(1, 2) for x in steps]

    def attention(self, steps, name, keep):
        d = self.model.width // self.model.heads
        q, k, v = (self.linear_unit(steps, f"{name}.{n}") for n in "qkv")
        tokens = steps[0].shape[1]
        mask = torch.ones(len(steps[0]), tokens, tokens, dtype=steps[0].dtype)
        if keep is not None:
            eye = torch.eye(tokens, dtype=steps[0].dtype)
            mask = keep[:, None, :] + (1 - keep[:, None, :]) * eye  # [image, query, key]
        currents = []
        for t in range(len(steps)):
            heads = []
            for h in range(self.model.heads):
                part = slice(h * d, (h + 1) * d)
                scores = q[t][..., part] @ k[t][..., part].transpose(1, 2)
                heads.append(scores * mask * self.model.attention_scale @ v[t][..., part])
            currents.append(torch.cat(heads, dim=-1))
        return self.linear_unit(
            self.lif(currents, self.model.attention_v_threshold), f"{name}.proj"
        )

    def block(self, steps, name, keep=None):
        steps = [
            x + a for x, a in zip(steps, self.attention(steps, f"{name}.attn", keep), strict=True)
        ]
        hidden = self.linear_unit(steps, f"{name}.mlp.fc1")
        return [
            x + m for x, m in zip(steps, self.linear_unit(hidden, f"{name}.mlp.fc2"), strict=True)
        ]

    def chosen(self, steps, place):
        """The places of the K tokens of each image with the highest keep score, by sorting."""
        rates = sum(steps) / len(steps)
        name = f"predictor.{place}.linear"
        hidden = F.gelu(rates @ self.w[f"{name}.0.weight"].T + self.w[f"{name}.0.bias"])
        scores = (hidden @ self.w[f"{name}.2.weight"].T + self.w[f"{name}.2.bias"]).log_softmax(-1)[
            ..., 0
        ]
        count = self.selector.counts(self.model.tokens)[place]
        return [
            sorted(sorted(range(len(s)), key=lambda n, s=s: -s[n])[:count]) for s in scores.tolist()
        ]

    def logits(self, images):
        steps, keep = self.stem(images), None
        for b in range(self.model.depth):
            name, here = f"block.{b}", self.selector is not None and b in self.selector.locations
            if here and self.training:
                decision = self.decisions[b]
                if self.selector.removes:
                    keep = decision
                    steps = self.block(steps, name, keep)
                else:
                    through = self.block(steps, name, decision)
                    d = decision[..., None]
                    steps = [d * y + (1 - d) * x for x, y in zip(steps, through, strict=True)]
            elif here:
                chosen = self.chosen(steps, self.selector.locations.index(b))
                taken = [
                    torch.stack([x[i, places] for i, places in enumerate(chosen)]) for x in steps
                ]
                through = self.block(taken, name)
                if self.selector.removes:
                    steps = through
                else:
                    steps = [x.clone() for x in steps]
                    for x, y in zip(steps, through, strict=True):
                        for i, places in enumerate(chosen):
                            x[i, places] = y[i]
            else:
                steps = self.block(steps, name, keep)
        if keep is None or self.selector.head_averages_dropped:
            mean = sum(x.mean(1) for x in steps) / len(steps)
        else:
            kept = keep[..., None]
            mean = sum((x * kept).sum(1) / kept.sum(1).clamp(min=1) for x in steps) / len(steps)
        return mean @ self.w["head.weight"].T + self.w["head.bias"]
