"""Spikformer (Zhou et al., ICLR 2023): stem, attention, MLP, block. Time first, channels last."""

import torch
from torch import nn

from ssf.config import Refused
from ssf.model import kernels
from ssf.model.neuron import LIF
from ssf.model.selector import Tokens, TokenSelector, wide


def lif(model, v_threshold=None):
    """The LIF of a Model config; v_threshold replaces the config's."""
    return LIF(model.tau, v_threshold or model.v_threshold, model.surrogate_alpha)


class Linear(nn.Linear):
    """nn.Linear on tokens [T,B,N,c_in]; `of_spikes`: are all inputs 0 or 1?"""

    of_spikes = False

    def forward(self, x):
        currents = kernels.linear(x, self.weight, self.bias, self.of_spikes)
        return super().forward(x) if currents is None else currents


class Conv(nn.Conv2d):
    """A 3×3 convolution of maps [n,c_in,H,W], channels last in memory; `of_spikes` as in Linear."""

    of_spikes = False

    def forward(self, x):
        currents = kernels.conv3x3(x, self.weight, self.of_spikes)
        return super().forward(x) if currents is None else currents


class MaxPool(nn.MaxPool2d):
    """The largest of 3×3 pixels, at every second one: [n,C,H,W] -> [n,C,H/2,W/2]."""

    def __init__(self):
        super().__init__(3, stride=2, padding=1)

    def forward(self, x):
        maxima = kernels.max_pool(x)
        return super().forward(x) if maxima is None else maxima


class LinearUnit(nn.Module):
    """LIF(BN(Linear(x))): [T,B,N,c_in] -> spikes [T,B,N,c_out]. BatchNorm sees [T·B·N, c_out]."""

    def __init__(self, c_in, c_out, model, bias=True):
        super().__init__()
        self.linear, self.bn = Linear(c_in, c_out, bias), nn.BatchNorm1d(c_out)
        self.lif = lif(model)

    def forward(self, x):
        return self.lif(self.linear(x), self.bn)


def on_maps(layer, x):
    """A layer of [n,c,H,W] on [T,B,H,W,c], which is the same in memory (channels last)."""
    maps = layer(x.flatten(0, 1).permute(0, 3, 1, 2))
    return maps.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class ConvUnit(nn.Module):
    """LIF(BN(Conv3×3(x))), then perhaps MaxPool: spikes [T,B,H,W,c_out] from [T,B,H,W,c_in].

    A still image, [1,B,H,W,c_in], is convolved once and its current repeated: T times cheaper.
    """

    def __init__(self, c_in, c_out, model, pool=False):
        super().__init__()
        self.conv, self.bn = Conv(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm1d(c_out)
        self.lif, self.time_steps = lif(model), model.time_steps
        self.pool = MaxPool() if pool else nn.Identity()

    def forward(self, x):
        spikes = self.lif(on_maps(self.conv, x), self.bn, self.time_steps)
        return on_maps(self.pool, spikes)


class SPS(nn.Module):
    """Spiking patch splitting: images [B,c,H,W] or frames [T,B,c,H,W] -> tokens [T,B,N,C]."""

    def __init__(self, model):
        super().__init__()
        widths = [model.channels, *(model.width // d for d in (8, 4, 2, 1))]
        units = (ConvUnit(*widths[i : i + 2], model, i in model.pool_stages) for i in range(4))
        self.stages = nn.Sequential(*units)
        self.position = ConvUnit(model.width, model.width, model)
        for unit in (*self.stages[1:], self.position):
            unit.conv.of_spikes = True

    def forward(self, images):
        frames = images if images.ndim == 5 else images.unsqueeze(0)
        x = self.stages(frames.movedim(2, -1).contiguous())
        return (x + self.position(x)).flatten(2, 3)  # not binary: 0, 1 or 2


class SSA(nn.Module):
    """Spiking self-attention, LIF(BN(Linear(LIF((q kᵀ) v · scale)))): [T,B,N,C] -> [T,B,N,C].

    `keep` [B,N] of 0 and 1 masks the keys of dropped tokens; a token always sees itself. There is
    no softmax, so (q kᵀ) v = q (kᵀ v), and the cheaper of the two is computed.
    Spikes are 0 or 1, so both are exact, and the spikes that follow are so in bfloat16, too: it
    holds whole numbers up to 256, and rounds a larger sum to 256 or more, far above the threshold.

    Where `watched`, `received` [B,N] is left behind: the attention that each kept token gets as a
    key, summed over time steps, heads and the kept queries; 0 for a dropped one.
    """

    watched, received = False, None

    def __init__(self, model):
        super().__init__()
        self.heads, self.scale = model.heads, model.attention_scale
        self.qkv = LinearUnit(model.width, 3 * model.width, model, model.qkv_bias)
        self.attention_lif = lif(model, model.attention_v_threshold)
        self.proj = LinearUnit(model.width, model.width, model)
        self.proj.linear.of_spikes = True

    def forward(self, x, keep=None):
        by_head = self.qkv(x).unflatten(-1, (3 * self.heads, -1)).transpose(2, 3)
        q, k, v = by_head.chunk(3, dim=2)
        if keep is not None:
            keep = keep[None, :, None, :, None].to(q.dtype)
        with torch.autocast(x.device.type, enabled=False):
            current = self.attend(q, k, v, keep)
        return self.proj(self.attention_lif((current * self.scale).transpose(2, 3).flatten(3)))

    def attend(self, q, k, v, keep):
        """(q kᵀ) v [T,B,heads,N,d], masked."""
        if self.watched:
            asked, heard = (q, k) if keep is None else (q * keep, k * keep)
            pairs = asked.sum(-2, keepdim=True) * heard
            self.received = pairs.sum((0, 2, 4), dtype=wide(q)).detach()
        seen = v if keep is None else v * keep
        if q.shape[-2] <= q.shape[-1]:
            out = (q @ k.transpose(-1, -2)) @ seen
        else:
            out = q @ (k.transpose(-1, -2) @ seen)
        return out if keep is None else out + (q * k).sum(-1, keepdim=True) * (v - seen)


class Block(nn.Module):
    """x + SSA(x), then x + MLP(x), [T,B,N,C]: the residual stream counts spikes."""

    def __init__(self, model):
        super().__init__()
        hidden = model.width * model.mlp_ratio
        self.attention = SSA(model)
        self.fc1 = LinearUnit(model.width, hidden, model)
        self.fc2 = LinearUnit(hidden, model.width, model)
        self.fc2.linear.of_spikes = True

    def forward(self, x, keep=None):
        x = x + self.attention(x, keep)
        return x + self.fc2(self.fc1(x))


class Spikformer(nn.Module):
    """Images [B,c,H,W] or event frames [B,T,c,H,W], float -> logits [B,classes].

    With a selector, tokens are dropped before some blocks. While training they are only masked (as
    keys, and in the head's mean), so that the decision has a gradient; they still pass through the
    layers and are seen by BatchNorm, as in the published code. At inference they are gone, or skip
    the block where `dropped` is "bypass".

    Raises Refused for images of another shape than the model's.
    """

    def __init__(self, model, selector=None):
        super().__init__()
        self.stem = SPS(model)
        self.blocks = nn.ModuleList(Block(model) for _ in range(model.depth))
        self.selector = TokenSelector(selector, model.width, model.tokens) if selector else None
        self.head = nn.Linear(model.width, model.classes)
        self.expect(model)
        for name, module in self.named_modules():
            at_default = name.startswith("blocks") and model.block_init == "torch"
            if isinstance(module, nn.Linear) and not at_default:
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if selector and selector.kind == "attention":
            for location in selector.locations:
                self.blocks[location - 1].attention.watched = True

    def expect(self, model):
        """From now on, see images of the model's side, for its time steps."""
        image = (model.channels, model.side, model.side)
        self.image_shape = image if model.encoding == "direct" else (model.time_steps, *image)
        for unit in (*self.stem.stages, self.stem.position):
            unit.time_steps = model.time_steps
        if self.selector:
            self.selector.expect(model.tokens)

    def forward(self, images, foreground=None):
        return self.forward_tokens(images, foreground)[0]

    def forward_tokens(self, images, foreground=None):
        """Logits [B,classes] and, for each selector location, the tokens kept, [B,N] of 0 and 1.

        `foreground` [B,N], the share of each token that is foreground, is for the oracle selector.
        """
        tokens, kept = self.walk(images, foreground)
        return self.head(self.mean(tokens)), kept

    def walk(self, images, foreground=None, depth=None):
        """`Tokens` after `depth` blocks, None for all of them; and those kept at each location."""
        if images.shape[1:] != self.image_shape:
            allowed = ", ".join(map(str, self.image_shape))
            raise Refused(f"images are {list(images.shape)}; allowed: [B, {allowed}].")
        x = self.stem(images.transpose(0, 1) if images.ndim == 5 else images)
        grid = torch.arange(x.shape[2], device=x.device).expand(x.shape[1], -1)
        tokens, kept = Tokens(x, grid, foreground=foreground), []
        step = self.masked_block if self.training else self.gathered_block
        for i, block in enumerate(self.blocks[:depth]):
            if self.selector is None or i not in self.selector.locations:
                tokens.x = block(tokens.x, tokens.alive)
                tokens.received = block.attention.received
            else:
                kept.append(step(i, block, tokens))
        return tokens, kept

    def masked_block(self, i, block, tokens):
        """A block behind a selector while training; the decision [B,N]. Changes `tokens`."""
        decision = self.selector.decide(i, tokens)
        through = block(tokens.x, decision)
        if self.selector.removes:
            tokens.x, tokens.alive = through, decision
        else:
            taken = decision[None, :, :, None].to(through.dtype)
            tokens.x = tokens.x + taken * (through - tokens.x)
        tokens.received = block.attention.received
        return decision

    def gathered_block(self, i, block, tokens):
        """The same at inference: the block sees the chosen tokens only."""
        x, grid, chosen = tokens.x, tokens.grid, self.selector.choose(i, tokens)
        index = chosen[None, :, :, None].expand(x.shape[0], -1, -1, x.shape[3])
        through, tokens.received = block(x.gather(2, index)), block.attention.received
        if self.selector.removes:
            tokens.x, tokens.grid = through, grid.gather(1, chosen)
        else:
            tokens.x = x.scatter(2, index, through.to(x.dtype))
            if block.attention.watched:  # tokens that skipped the block received nothing
                none = tokens.received.new_zeros(grid.shape)
                tokens.received = none.scatter(1, chosen, tokens.received)
        kept = x.new_zeros(grid.shape[0], self.selector.tokens)
        return kept.scatter(1, grid.gather(1, chosen), 1)

    def mean(self, tokens):
        """Mean over time steps and tokens, those not dropped: [B,C]."""
        x, alive = tokens.x.mean(0), tokens.alive
        if alive is None or self.selector.head_averages_dropped:
            return x.mean(1)
        alive = alive.unsqueeze(-1)
        return (x * alive).sum(1) / alive.sum(1).clamp(min=1)
