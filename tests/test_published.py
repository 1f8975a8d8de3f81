import argparse
import os
from dataclasses import replace

import pytest
import torch
from naive import Naive, published
from safetensors.torch import save_file

from ssf.config import Selector
from ssf.engine.published import load_published
from ssf.model.spikformer import Spikformer
from ssf.presets import preset

STATIC = replace(preset("paper-cifar10").model, width=48, depth=3)
EVENT = replace(preset("paper-cifar10dvs").model, side=32, width=32, depth=3, time_steps=4)
SELECTOR = Selector(keep_ratio=0.7, locations=(1, 2))


def checkpoint(model, selector=None):
    """A published checkpoint of a network that fires, with the published modules' idle tensors."""
    network = Spikformer(model, selector)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            module.bias.data += 0.4 * torch.rand_like(module.bias)
    network.train()(images(model))
    state = {
        name: t.detach().clone()
        for name, t in published(network, model.encoding == "frames").items()
    }
    for b in range(model.depth):
        state |= {
            f"block.{b}.norm{i}.{end}": torch.rand(model.width)
            for i in (1, 2)
            for end in ("weight", "bias")
        }
    if model.encoding == "frames":
        state |= {"norm.weight": torch.rand(model.width), "norm.bias": torch.rand(model.width)}
        state["pos_embed"] = torch.rand(1, 64, model.width)
    return state


def images(model):
    generator = torch.Generator().manual_seed(1)
    frames = (model.time_steps,) if model.encoding == "frames" else ()
    return torch.randn(8, *frames, model.channels, model.side, model.side, generator=generator)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("model", [STATIC, EVENT], ids=["static", "event"])
@pytest.mark.parametrize("selector", [None, SELECTOR], ids=["dense", "selector"])
def test_loaded_weights_give_the_published_logits(model, selector):
    state, network = checkpoint(model, selector), Spikformer(model, selector)
    load_published(network, state)
    with torch.no_grad():
        logits = network.eval()(images(model))
        expected = Naive(state, model, selector).logits(images(model))
    assert logits.std() > 1e-3
    # a potential within rounding of the threshold may flip a spike, and with it an image
    agree = torch.isclose(logits, expected, rtol=0, atol=1e-5).all(1)
    assert agree.float().mean() >= 0.75
    torch.testing.assert_close(*(x[agree] for x in (logits, expected)), rtol=0, atol=1e-5)
    double = network.double()(images(model).double())
    exact = Naive({n: t.double() for n, t in state.items()}, model, selector).logits(
        images(model).double()
    )
    torch.testing.assert_close(double, exact)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {f"module.{n}": t for n, t in s.items()},
        lambda s: {"model": s, "epoch": 3},
        lambda s: {"state_dict": {f"module.{n}": t for n, t in s.items()}, "arch": "spikformer"},
        lambda s: {n: t.half() if t.is_floating_point() else t for n, t in s.items()},
        lambda s: {n: t for n, t in s.items() if not n.endswith("num_batches_tracked")},
    ],
    ids=["module", "model", "state_dict", "half", "no counters"],
)
def test_wrappings_of_a_checkpoint(wrap):
    state, network = checkpoint(STATIC), Spikformer(STATIC)
    load_published(network, wrap(state))
    torch.testing.assert_close(network.head.weight, state["head.weight"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        network.blocks[2].attention.qkv.linear.weight[48:96],
        state["block.2.attn.k_linear.weight"],
        rtol=1e-3,
        atol=1e-4,
    )


def put(name, *shape, nan=False):
    """A change to a checkpoint: this tensor added or replaced."""
    return lambda state: state.update(
        {name: torch.full(shape, float("nan")) if nan else torch.ones(shape)}
    )


@pytest.mark.parametrize(
    "model, selector, change, sentence",
    [
        (
            STATIC,
            None,
            lambda s: s.pop("block.1.attn.k_linear.weight"),
            r"lacks block\.1\.attn\.k_linear\.weight",
        ),
        (
            STATIC,
            None,
            lambda s: s.pop("patch_embed.rpe_bn.running_var"),
            r"lacks patch_embed\.rpe_bn\.running_var",
        ),
        (
            STATIC,
            SELECTOR,
            lambda s: s.pop("predictor.1.linear.2.bias"),
            r"lacks predictor\.1\.linear\.2\.bias",
        ),
        (
            EVENT,
            None,
            lambda s: s.pop("block.0.attn.k_conv.weight"),
            r"lacks block\.0\.attn\.k_conv\.weight",
        ),
        (STATIC, None, put("module.head.bias", 10), r"has head\.bias twice"),
        (
            STATIC,
            None,
            lambda s: s["patch_embed.rpe_bn.running_var"].neg_(),
            r"rpe_bn\.running_var .* a negative var",
        ),
        (
            STATIC,
            None,
            lambda s: s.update({"head.bias": torch.ones(10).double() * 1e300}),
            r"head\.bias .* no finite",
        ),
        (
            STATIC,
            None,
            lambda s: s.update({"head.bias": torch.ones(10) * 1j}),
            r"head\.bias .*allowed: a dense tensor",
        ),
        (
            STATIC,
            None,
            lambda s: s.update({"head.bias": torch.ones(10).to_sparse()}),
            r"head\.bias .*a dense tensor",
        ),
        (STATIC, None, put("block.9.mlp.fc1_bn.weight", 3), r"has block\.9\.mlp"),
        (STATIC, None, put("predictor.0.linear.0.bias", 3), r"has predictor\.0"),
        (EVENT, None, put("block.0.attn.q_conv.bias", 32), r"has block\.0\.attn\.q_conv\.bias"),
        (STATIC, None, put("head.weight", 100, 48), r"head\.weight .* \[100, 48\]; .*\[10, 48\]"),
        (EVENT, None, put("block.0.attn.q_conv.weight", 32, 32, 3), r"has shape \[32, 32, 3\]"),
        (
            STATIC,
            None,
            put("block.0.mlp.fc1_linear.weight", 192, 48, nan=True),
            r"fc1_linear\.weight .* no finite",
        ),
        (
            STATIC,
            None,
            lambda s: s.update({"head.bias": [0.0] * 10}),
            r"head\.bias in the checkpoint is a list",
        ),
        (STATIC, None, lambda s: s.clear(), r"lacks patch_embed\.proj_conv\.weight"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(model, selector, change, sentence):
    state, network = checkpoint(model, selector), Spikformer(model, selector)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=sentence) as refusal:
        load_published(network, state)
    assert str(refusal.value).count("\n") == 0 and same(network.state_dict(), before)


def test_a_checkpoint_of_another_size_is_refused():
    network = Spikformer(replace(STATIC, width=32, heads=4))
    with pytest.raises(
        ValueError,
        match=r"proj_conv\.weight in the checkpoint has shape \[6, 3, 3, 3\].*\[4, 3, 3, 3\]",
    ):
        load_published(network, checkpoint(STATIC))


def test_files(tmp_path):
    """safetensors, and torch's format with the command line beside it, as the scripts write it."""
    state, network = checkpoint(STATIC), Spikformer(STATIC)
    torch.save(
        {"model": state, "epoch": 7, "args": argparse.Namespace(lr=1e-3, opt="adamw")},
        tmp_path / "a.pth",
    )
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        network.load_state_dict(Spikformer(STATIC).state_dict())
        load_published(network, tmp_path / name)
        assert torch.equal(network.head.weight, state["head.weight"])


class Harm:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_files_that_are_refused(tmp_path):
    state, network = checkpoint(STATIC), Spikformer(STATIC)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    torch.save(state, tmp_path / "whole.pth")
    save_file(state, tmp_path / "whole.safetensors")
    for suffix in ("pth", "safetensors"):
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"truncated.{suffix}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    harmful = {"model": state, "extra": Harm(tmp_path / "harm")}
    torch.save(harmful, tmp_path / "code.pth")
    torch.save(harmful, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name, sentence in {
        "truncated.pth": "can't be read; it may be truncated",
        "truncated.safetensors": "can't be read; it may be truncated",
        "text.pth": "can't be read; it may be truncated",
        "tensor.pth": "is not a state_dict",
        "code.pth": "holds more than tensors and plain values",
        "old.pth": "holds more than tensors and plain values",
        "nowhere.pth": "is not there",
        None: "is not a state_dict",
    }.items():
        with pytest.raises(ValueError, match=sentence) as refusal:
            load_published(network, name and tmp_path / name)
        assert str(refusal.value).count("\n") == 0 and same(network.state_dict(), before)
    assert not (tmp_path / "harm").exists()
