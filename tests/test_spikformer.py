from dataclasses import replace

import pytest
import torch

from ssf.config import Selector
from ssf.model.selector import Tokens
from ssf.model.spikformer import SSA, ConvUnit, LinearUnit, Spikformer
from ssf.presets import preset


def settle(network, images):
    """A training pass that leaves these images' statistics in BatchNorm: eval mode fires too."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    return network.eval()


@pytest.mark.parametrize(
    "name, selector, count",
    [
        ("spikformer-4-384", False, 9_324_730),
        ("spikformer-4-256", False, 4_155_178),
        ("spikformer-2-384", False, 5_765_050),
        ("paper-cifar10", True, 9_547_648),
        ("paper-cifar10", False, 9_324_730),
    ],
)
def test_parameters_of_the_published_models(name, selector, count):
    config = preset(name)
    network = Spikformer(config.model, config.selector if selector else None)
    assert sum(p.numel() for p in network.parameters()) == count


def test_shapes_and_token_count(smoke):
    network, images = Spikformer(smoke.model), torch.randn(3, 1, 32, 32)
    assert network(images).shape == (3, 10)
    tokens = network.stem(images)
    assert (
        tokens.shape == (smoke.model.time_steps, 3, 64, smoke.model.width)
        and smoke.model.tokens == 64
    )
    assert set(tokens.unique().tolist()) <= {0.0, 1.0, 2.0}


def test_initialisation():
    network = Spikformer(preset("spikformer-2-384").model)
    weight = network.blocks[0].fc1.linear.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert weight.abs().max() < 2 and not network.head.bias.any()
    event = Spikformer(preset("paper-cifar10dvs").model, Selector(locations=(1,)))
    layer = event.blocks[
        0
    ].fc1.linear  # 256 inputs; the published one is a convolution, left at torch's default
    assert layer.weight.abs().max().item() == pytest.approx(1 / 16, rel=1e-3)
    assert (
        layer.weight.std().item() == pytest.approx(1 / 16 / 3**0.5, rel=0.05)
        and layer.bias.std() > 0.02
    )
    assert (
        event.head.weight.std().item() == pytest.approx(0.02, rel=0.05)
        and not event.head.bias.any()
    )
    assert event.selector.predictors[0][0].weight.std().item() == pytest.approx(0.02, rel=0.05)


def naive_attention(q, k, v, scale, keep):
    """The product of one time step, image and head, token by token: q, k, v [N,d], keep [N]."""
    out = torch.zeros_like(v)
    for i in range(len(q)):
        for j in range(len(q)):
            if i == j or keep[j]:
                out[i] += (q[i] @ k[j]) * v[j] * scale
    return out


@pytest.mark.parametrize(
    "heads", [1, 4]
)  # head width 32 and 8 on either side of N = 16: both orders of the product
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_masked_sum_over_tokens(heads, masked):
    model = replace(preset("quick").model, heads=heads)
    ssa, x = SSA(model), torch.randint(0, 3, (2, 3, 16, 32)).float()
    keep = (torch.rand(3, 16) < 0.5).float() if masked else None
    seen = {}
    ssa.attention_lif.register_forward_pre_hook(lambda _, args: seen.update(current=args[0]))
    ssa.qkv.register_forward_hook(lambda _, __, out: seen.update(qkv=out))
    ssa(x, keep)
    d = 32 // heads
    q, k, v = seen["qkv"].chunk(3, dim=-1)
    for t in range(2):
        for b in range(3):
            for h in range(heads):
                part = slice(h * d, (h + 1) * d)
                expected = naive_attention(
                    q[t, b, :, part],
                    k[t, b, :, part],
                    v[t, b, :, part],
                    model.attention_scale,
                    keep[b] if masked else torch.ones(16),
                )
                torch.testing.assert_close(seen["current"][t, b, :, part], expected, rtol=0, atol=0)


def test_batchnorm_sees_every_token_of_every_time_step():
    unit, x = LinearUnit(8, 16, preset("quick").model), torch.randn(2, 3, 5, 8)
    unit(x)
    linear = unit.linear(x).reshape(-1, 16)
    torch.testing.assert_close(unit.bn.running_mean, 0.1 * linear.mean(0))


def test_a_still_image_convolved_once_equals_the_image_repeated():
    model = preset("quick").model
    unit, images = ConvUnit(1, 8, model), torch.randn(1, 4, 8, 8, 1)
    once, repeated = unit(images), unit(images.repeat(model.time_steps, 1, 1, 1, 1))
    assert once.mean() > 0
    assert (
        once != repeated
    ).float().mean() < 1e-3  # but for a potential within rounding of the threshold


@pytest.mark.parametrize("kept_share", [0.3, 0.7])
def test_masking_dropped_tokens_equals_removing_them(kept_share):
    """The training path, given the inference path's choice, computes the same logits."""
    model = replace(preset("quick").model, depth=3)
    network = Spikformer(model, Selector(keep_ratio=kept_share, locations=(1, 2)))
    images = torch.randn(8, 1, 32, 32)
    settle(network, images)
    with torch.no_grad():
        logits, kept = network.forward_tokens(images)
        network.selector.decide = lambda block, tokens: kept[
            network.selector.locations.index(block)
        ]
        network.training = True  # of the network alone: BatchNorm stays in eval mode
        masked, decisions = network.forward_tokens(images)
    assert [int(k.sum(1)[0]) for k in kept] == network.selector.counts
    assert all(torch.equal(a, b) for a, b in zip(kept, decisions, strict=True))
    assert logits.std() > 0
    torch.testing.assert_close(masked, logits, atol=1e-5, rtol=1e-5)


def test_keeping_every_token_changes_nothing(smoke):
    with_selector = Spikformer(smoke.model, Selector(keep_ratio=1.0)).eval()
    dense = Spikformer(smoke.model).eval()
    dense.load_state_dict(
        {k: v for k, v in with_selector.state_dict().items() if not k.startswith("selector")}
    )
    images = torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(with_selector(images), dense(images))


def event(**changes):
    return replace(
        preset("spikformer-dvs-2-256").model, side=32, width=32, heads=4, time_steps=3, **changes
    )


def test_event_frames_go_through_time_first():
    model = event()
    network, frames = Spikformer(model), torch.rand(2, 3, 2, 32, 32)
    assert network(frames).shape == (2, 10)
    tokens = network.stem(frames.transpose(0, 1))
    assert tokens.shape == (3, 2, model.tokens, 32) and model.tokens == 4
    assert (
        network.blocks[0].attention.qkv.linear.bias is None
        and network.blocks[0].fc1.linear.bias is not None
    )


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 32, 32), (2, 4, 1, 32, 32)])
def test_images_of_another_shape_are_refused(shape, smoke):
    with pytest.raises(ValueError, match=r"images are \[2, .*; allowed: \[B, 1, 32, 32\]\."):
        Spikformer(smoke.model)(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"allowed: \[B, 3, 2, 32, 32\]\."):
        Spikformer(event())(torch.zeros(2, 4, 2, 32, 32))


def test_what_bypasses_a_block_comes_back_unchanged():
    model = replace(preset("quick").model, depth=2)
    network, images = (
        Spikformer(model, Selector(keep_ratio=0.25, dropped="bypass")),
        torch.randn(4, 1, 32, 32),
    )
    settle(network, images)
    before, after = [], []
    network.blocks[0].register_forward_hook(lambda _, __, out: before.append(out))
    network.head.register_forward_hook(lambda _, given, __: after.append(given[0]))
    network.blocks[1].register_forward_hook(lambda _, given, out: before.extend([given[0], out]))
    with torch.no_grad():
        _, (kept,) = network.forward_tokens(images)
    whole, taken, through = before
    assert kept.sum(1).tolist() == [16] * 4 and taken.shape[2] == 16 and whole.shape[2] == 64
    added = (through - taken).mean((0, 2))  # what the block added to the tokens it saw, of all 64
    torch.testing.assert_close(after[0], whole.mean((0, 2)) + added * 16 / 64)


def test_the_head_averages_kept_tokens_unless_told_to_do_as_published():
    model, images = replace(preset("quick").model, depth=2), torch.randn(4, 1, 32, 32)
    seen = {}
    for published in (False, True):
        torch.manual_seed(0)
        network = Spikformer(
            model, Selector("random", 0.5, head_averages_dropped=published)
        ).train()
        network.blocks[1].register_forward_hook(lambda _, __, out: seen.update(x=out.mean(0)))
        network.head.register_forward_hook(lambda _, given, __: seen.update(mean=given[0]))
        _, (kept,) = network.forward_tokens(images)
        weights = torch.ones_like(kept) if published else kept
        torch.testing.assert_close(
            seen["mean"], (seen["x"] * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        )


def test_attention_received_by_hand():
    model = replace(preset("quick").model, heads=4)
    ssa, x, seen = SSA(model), torch.randint(0, 3, (2, 3, 6, 32)).float(), {}
    ssa.watched, keep = True, (torch.rand(3, 6) < 0.5).float()
    ssa.qkv.register_forward_hook(lambda _, __, out: seen.update(qkv=out))
    for mask in (None, keep):
        ssa(x, mask)
        q, k, _ = seen["qkv"].chunk(3, dim=-1)
        for b in range(3):
            for j in range(6):
                asking = [i for i in range(6) if mask is None or mask[b, i]]
                heard = mask is None or mask[b, j]
                expected = heard * sum(
                    (q[t, b, i] @ k[t, b, j]).item() for t in range(2) for i in asking
                )
                assert ssa.received[b, j].item() == expected


def test_attention_selects_by_the_block_before():
    model = replace(preset("quick").model, depth=2)
    network, images = Spikformer(model, Selector("attention", 0.25)), torch.randn(4, 1, 32, 32)
    settle(network, images)
    with torch.no_grad():
        _, (kept,) = network.forward_tokens(images)
    received = network.blocks[0].attention.received
    for b in range(4):
        assert received[b][kept[b].bool()].min() >= received[b][~kept[b].bool()].max()


@pytest.mark.parametrize("kind", ["attention", "firing_rate", "information", "oracle"])
@pytest.mark.parametrize("dropped", ["removed", "bypass"])
def test_training_and_inference_choose_the_same_tokens(kind, dropped):
    """The masked path and the one where tokens are gone, with scores free of chance."""
    model = replace(preset("quick").model, depth=3)
    network = Spikformer(model, Selector(kind, 0.5, (1, 2), dropped)).double()
    images, foreground = torch.randn(8, 1, 32, 32).double(), torch.rand(8, 64).double()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images, foreground)
        network.eval()
        logits, gone = network.forward_tokens(images, foreground)
        network.training = True  # of the network alone: BatchNorm stays in eval mode
        masked_logits, masked = network.forward_tokens(images, foreground)
    assert all(torch.equal(a.double(), b) for a, b in zip(gone, masked, strict=True))
    torch.testing.assert_close(masked_logits, logits)
    if kind == "oracle":
        for b in range(8):
            assert foreground[b][gone[0][b].bool()].min() >= foreground[b][~gone[0][b].bool()].max()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tokens", [16, 1024])  # q (kᵀ v) where there are many; sums up to 8192
def test_attentions_spikes_are_exact_in_bfloat16(smoke, masked, tokens):
    attention = SSA(smoke.model)
    q, k, v = (torch.rand(2, 3, 2, tokens, 8) < 0.8 for _ in range(3))
    keep = (torch.rand(1, 3, 1, tokens, 1) < 0.5) if masked else None
    spikes = []
    for dtype in (torch.float32, torch.bfloat16):
        given = None if keep is None else keep.to(dtype)
        current = attention.attend(q.to(dtype), k.to(dtype), v.to(dtype), given)
        spikes.append(attention.attention_lif(current * attention.scale).float())
    assert current.dtype == torch.bfloat16 and current.max() > (256 if tokens > 256 else 0)
    assert torch.equal(*spikes) and 0 < spikes[0].mean()


@pytest.mark.parametrize("kind", ["learned", "firing_rate", "attention", "information"])
@pytest.mark.parametrize("dropped", ["removed", "bypass"])
def test_every_selector_runs_in_bfloat16(kind, dropped):
    """Forward and backward, and its scores tell tokens apart as in float32."""
    model = preset("quick").model
    network = Spikformer(model, Selector(kind, 0.5, (1,), dropped))
    images = torch.rand(4, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        logits, (kept,) = network.forward_tokens(images)
        logits.float().sum().backward()
        with torch.no_grad():
            _, (chosen,) = network.eval().forward_tokens(images)
    assert logits.dtype == torch.bfloat16 and kept.shape == chosen.shape == (4, 64)
    assert chosen.sum(1).tolist() == [32] * 4
    assert network.stem.stages[0].conv.weight.grad.norm() > 0
    if kind != "learned":
        assert (
            network.selector.scores(
                1,
                Tokens(
                    torch.rand(2, 4, 64, 32).bfloat16(),
                    torch.arange(64).expand(4, -1),
                    received=torch.rand(4, 64),
                ),
            ).dtype
            == torch.float32
        )
