"""What the library is measured against: Spikformer as published, and SpikingJelly 2's own blocks.

Both run on SpikingJelly's own neuron and share a library network's weights, so that outputs and
gradients can be compared. Plain on purpose: it stays as it is while the library gets faster.
"""

from collections import OrderedDict

from spikingjelly.activation_based import functional, layer, surrogate
from spikingjelly.activation_based.model.spikformer import SpikformerBlock
from spikingjelly.activation_based.neuron import LIFNode
from torch import nn

from ssf.config import Refused


def lif(model, v_threshold=None):
    return LIFNode(
        model.tau, v_threshold=v_threshold or model.v_threshold, detach_reset=True, step_mode="m",
        surrogate_function=surrogate.Sigmoid(model.surrogate_alpha),
    )  # fmt: skip


class Linear(nn.Module):
    """Linear, BatchNorm1d on the transposed tokens, LIF: [T,B,N,c_in] -> [T,B,N,c_out]."""

    def __init__(self, c_in, c_out, model, bias=True):
        super().__init__()
        self.linear, self.bn = nn.Linear(c_in, c_out, bias), nn.BatchNorm1d(c_out)
        self.lif = lif(model)

    def forward(self, x):
        current = self.bn(self.linear(x.flatten(0, 1)).transpose(-1, -2)).transpose(-1, -2)
        return self.lif(current.unflatten(0, x.shape[:2]).contiguous())


def conv(c_in, c_out, model, pool=False):
    """Convolution, BatchNorm2d, LIF, perhaps pooling: [T,B,c_in,H,W] -> [T,B,c_out,H,W]."""
    layers = {
        "conv": layer.Conv2d(c_in, c_out, 3, padding=1, bias=False, step_mode="m"),
        "bn": layer.BatchNorm2d(c_out, step_mode="m"),
        "lif": lif(model),
    }
    if pool:
        layers["pool"] = layer.MaxPool2d(3, stride=2, padding=1, step_mode="m")
    return nn.Sequential(OrderedDict(layers))


class Stem(nn.Module):
    def __init__(self, model):
        super().__init__()
        widths = [model.channels, *(model.width // d for d in (8, 4, 2, 1))]
        self.stages = nn.Sequential(
            *(conv(widths[i], widths[i + 1], model, i in model.pool_stages) for i in range(4))
        )
        self.position = conv(model.width, model.width, model)

    def forward(self, x):
        x = self.stages(x)
        return x + self.position(x)


class Attention(nn.Module):
    """q, k and v by a layer each, then (q kᵀ) v in that order."""

    def __init__(self, model):
        super().__init__()
        self.heads, self.scale = model.heads, model.attention_scale
        self.q, self.k, self.v = (
            Linear(model.width, model.width, model, model.qkv_bias) for _ in range(3)
        )
        self.attention_lif = lif(model, model.attention_v_threshold)
        self.proj = Linear(model.width, model.width, model)

    def forward(self, x):
        q, k, v = (
            unit(x).unflatten(-1, (self.heads, -1)).permute(0, 1, 3, 2, 4).contiguous()
            for unit in (self.q, self.k, self.v)
        )
        current = ((q @ k.transpose(-2, -1)) @ v) * self.scale
        return self.proj(self.attention_lif(current.transpose(2, 3).flatten(3).contiguous()))


class Block(nn.Module):
    def __init__(self, model):
        super().__init__()
        hidden = model.width * model.mlp_ratio
        self.attention = Attention(model)
        self.fc1, self.fc2 = Linear(model.width, hidden, model), Linear(hidden, model.width, model)

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.fc2(self.fc1(x))


class Reference(nn.Module):
    """Spikformer as published: images [B,c,H,W], float -> logits [B,classes].

    Neurons are reset before every batch.

    Args:
        network: the Spikformer, dense and for still images, whose weights and mode it starts with.

    Raises ValueError for a network with a selector, or for events.
    """

    block = Block

    def __init__(self, network, model):
        super().__init__()
        if network.selector or model.encoding != "direct":
            raise Refused("a reference knows neither selectors nor events; "
                          "allowed: a dense network, still images.")  # fmt: skip
        self.time_steps = model.time_steps
        self.stem = Stem(model)
        self.blocks = nn.Sequential(*(self.block(model) for _ in range(model.depth)))
        self.head = nn.Linear(model.width, model.classes)
        self.load_state_dict(self.named(network.state_dict()))
        self.train(network.training)

    @staticmethod
    def named(tensors):
        """The library's {name: tensor} under this network's names: q, k and v apart."""
        named = {name: value for name, value in tensors.items() if ".qkv." not in name}
        for name in tensors.keys() - named.keys():
            parts = tensors[name].chunk(3) if tensors[name].ndim else [tensors[name]] * 3
            for part, value in zip("qkv", parts, strict=True):
                named[name.replace(".qkv.", f".{part}.")] = value
        return named

    def encode(self, x):
        """The stem's maps [T,B,C,H,W] through the blocks, a mean over tokens: [T,B,C]."""
        return self.blocks(x.flatten(-2).transpose(-1, -2)).mean(2)

    def forward(self, images):
        functional.reset_net(self)
        x = self.stem(images.unsqueeze(0).repeat(self.time_steps, 1, 1, 1, 1))
        return self.head(self.encode(x).mean(0))


class SpikingJellyBlocks(Reference):
    """The same network with the blocks that SpikingJelly 2 ships, on [T,B,C,H,W].

    Its layers have no bias. Before a BatchNorm none is needed: it is folded into the running mean.
    """

    UNITS = {
        "attention.qkv": "attn.qkv_conv_bn", "attention.proj": "attn.proj_conv_bn",
        "fc1": "mlp.fc1", "fc2": "mlp.fc2",
    }  # fmt: skip

    @staticmethod
    def block(model):
        attention = model.attention_scale, model.attention_v_threshold
        neuron = model.v_threshold, model.tau, model.surrogate_alpha
        if (*attention, *neuron) != (0.125, 0.5, 1, 2, 4):
            raise Refused("SpikingJelly's attention has a scale of 0.125, thresholds 0.5 and 1, "
                          "tau 2, alpha 4; allowed: these.")  # fmt: skip
        return SpikformerBlock(model.width, model.heads, model.mlp_ratio)

    @classmethod
    def named(cls, tensors):
        named = {name: value for name, value in tensors.items() if not name.startswith("blocks.")}
        for name in tensors.keys() - named.keys():
            _, number, *unit, kind, end = name.split(".")
            unit, value = ".".join(unit), tensors[name]
            if kind == "linear":
                if end == "bias":
                    continue
                value = value.unsqueeze(-1)
            elif end == "running_mean":
                value = value - tensors.get(f"blocks.{number}.{unit}.linear.bias", 0)
            named[f"blocks.{number}.{cls.UNITS[unit]}.{int(kind == 'bn')}.{end}"] = value
        return named

    def encode(self, x):
        return self.blocks(x).mean((3, 4))
