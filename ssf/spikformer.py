"""Spikformer (Zhou et al., ICLR 2023): stem, spiking self-attention, MLP, block, network. Time first, channels last."""

import torch
from torch import nn

from ssf.neurons import LIF
from ssf.selector import TokenSelector


def lif(model, v_threshold=None):
    """The LIF of a Model config; v_threshold replaces the config's."""
    return LIF(model.tau, v_threshold or model.v_threshold, model.surrogate_alpha)


class LinearUnit(nn.Module):
    """LIF(BN(Linear(x))): [T,B,N,c_in] -> spikes [T,B,N,c_out]. BatchNorm sees [T·B·N, c_out]."""

    def __init__(self, c_in, c_out, model):
        super().__init__()
        self.linear, self.bn, self.lif = nn.Linear(c_in, c_out), nn.BatchNorm1d(c_out), lif(model)

    def forward(self, x):
        return self.lif(self.bn(self.linear(x).flatten(0, 2)).unflatten(0, x.shape[:3]))


class ConvUnit(nn.Module):
    """BN(Conv3×3(x)), then LIF over time: spikes [T,B,c_out,H,W] from [T,B,c_in,H,W].

    A still image [B,c_in,H,W] is convolved once and its current repeated T times: the same numbers, T times cheaper.
    """

    def __init__(self, c_in, c_out, model, pool=False):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)
        self.lif, self.time_steps = lif(model), model.time_steps
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()

    def forward(self, x):
        if x.ndim == 4:
            current = self.bn(self.conv(x)).expand(self.time_steps, -1, -1, -1, -1)
        else:
            current = self.bn(self.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        spikes = self.lif(current)
        return self.pool(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])


class SPS(nn.Module):
    """Spiking patch splitting: images [B,c,H,W] -> tokens [T,B,N,C]. `model.pool_stages` says where it pools."""

    def __init__(self, model):
        super().__init__()
        widths = [model.channels, *(model.width // d for d in (8, 4, 2, 1))]
        self.stages = nn.Sequential(
            *(ConvUnit(widths[i], widths[i + 1], model, i in model.pool_stages) for i in range(4))
        )
        self.position = ConvUnit(model.width, model.width, model)

    def forward(self, images):
        x = self.stages(images)
        x = x + self.position(x)  # not binary: 0, 1 or 2
        return x.flatten(3).transpose(2, 3)


class SSA(nn.Module):
    """Spiking self-attention: LIF(BN(Linear( LIF_0.5( (q kᵀ) v · scale ) ))), no softmax. [T,B,N,C] -> [T,B,N,C].

    `keep` [B,N] of 0 and 1 masks the keys of dropped tokens; a token always sees itself. Without a softmax there is
    nothing to renormalise, and (q kᵀ) v = q (kᵀ v): the cheaper of the two is computed. Spikes are 0 or 1, so both
    are exact.
    """

    def __init__(self, model):
        super().__init__()
        self.heads, self.scale = model.heads, model.attention_scale
        self.qkv = LinearUnit(model.width, 3 * model.width, model)
        self.attention_lif = lif(model, model.attention_v_threshold)
        self.proj = LinearUnit(model.width, model.width, model)

    def forward(self, x, keep=None):
        q, k, v = (s.unflatten(-1, (self.heads, -1)).transpose(2, 3) for s in self.qkv(x).chunk(3, dim=-1))
        seen = v if keep is None else v * keep[None, :, None, :, None]
        if q.shape[-2] <= q.shape[-1]:
            out = (q @ k.transpose(-1, -2)) @ seen
        else:
            out = q @ (k.transpose(-1, -2) @ seen)
        if keep is not None:
            out = out + (q * k).sum(-1, keepdim=True) * (v - seen)
        return self.proj(self.attention_lif((out * self.scale).transpose(2, 3).flatten(3)))


class Block(nn.Module):
    """x + SSA(x), then x + MLP(x). [T,B,N,C] -> [T,B,N,C]; the residual stream counts spikes, it is not binary."""

    def __init__(self, model):
        super().__init__()
        hidden = model.width * model.mlp_ratio
        self.attention = SSA(model)
        self.fc1, self.fc2 = LinearUnit(model.width, hidden, model), LinearUnit(hidden, model.width, model)

    def forward(self, x, keep=None):
        x = x + self.attention(x, keep)
        return x + self.fc2(self.fc1(x))


class Spikformer(nn.Module):
    """Images [B,c,H,W], float -> logits [B,classes]. With a selector, tokens are dropped before some blocks.

    While training, dropped tokens stay in the tensor and are masked (as keys, and in the head's mean), so that the
    decision has a gradient; at inference they are gone.
    """

    def __init__(self, model, selector=None):
        super().__init__()
        self.stem = SPS(model)
        self.blocks = nn.ModuleList(Block(model) for _ in range(model.depth))
        self.selector = TokenSelector(selector, model.width, model.tokens) if selector else None
        self.head = nn.Linear(model.width, model.classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images):
        return self.forward_tokens(images)[0]

    def forward_tokens(self, images):
        """Logits [B,classes] and, for each selector location, the tokens kept there: [B,N] of 0 and 1."""
        x = self.stem(images)
        keep, kept = None, []
        alive = torch.arange(x.shape[2], device=x.device).expand(x.shape[1], -1)
        for i, block in enumerate(self.blocks):
            if self.selector and i in self.selector.locations:
                place = self.selector.locations.index(i)
                rates = x.mean(0)
                if self.training:
                    keep = self.selector.decide(place, rates, keep)
                    kept.append(keep)
                else:
                    chosen = self.selector.choose(place, rates)
                    x = x.gather(2, chosen[None, :, :, None].expand(x.shape[0], -1, -1, x.shape[3]))
                    alive = alive.gather(1, chosen)
                    kept.append(rates.new_zeros(x.shape[1], self.selector.tokens).scatter(1, alive, 1))
            x = block(x, keep)
        x = x.mean(0)
        if keep is None:
            return self.head(x.mean(1)), kept
        keep = keep.unsqueeze(-1)
        return self.head((x * keep).sum(1) / keep.sum(1).clamp(min=1)), kept
