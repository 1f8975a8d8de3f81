"""Where a run starts: named configs, what published networks reached, a notebook's parameters."""

from dataclasses import replace
from inspect import ismodule

from ssf.config import Data, Model, RunConfig, Selector, Ticket, Train, demand

_CLUTTER = RunConfig(
    Data("cluttered-fashion", train_size=4000, augment="none", difficulty=0.25),
    Model(side=40, width=48, heads=4, time_steps=2, pool_stages=(0, 1)),
    train=Train(epochs=3, batch_size=50, lr=2e-2, warmup_epochs=0.3),
)
_PAPER = RunConfig(
    Data("cifar10", augment="published"),
    Model(channels=3, depth=4, width=384, heads=12, time_steps=4),
    Selector(keep_ratio=0.9, locations=(1, 2, 3)),
    Ticket(round=9, fraction=0.25, rewind_epoch=20),
    Train(
        epochs=300, batch_size=64, lr=5e-4, warmup_epochs=20, mixed_precision=True,
        mixup=0.5, mixup_epochs=200,
    ),
)  # fmt: skip
_PAPER_EVENTS = RunConfig(
    Data("cifar10-dvs", augment="published"),
    Model(
        "frames", channels=2, side=128, depth=4, width=256, heads=16, time_steps=16,
        attention_scale=0.25, qkv_bias=False, block_init="torch", pool_stages=(0, 1, 2, 3),
    ),
    replace(_PAPER.selector, keep_ratio=0.7),  # what the published loss asks for; see chapter 05
    _PAPER.ticket,
    replace(
        _PAPER.train, lr=1e-3, batch_size=16, warmup_epochs=10, mixup_probability=0.5,
        mixup_epochs=75,
    ),
)  # fmt: skip
_DENSE = _PAPER.with_(selector=None, ticket=None, **{"train.batch_size": 128})

PRESETS = {
    # seconds: for tests and for a first look
    "smoke": RunConfig(
        Data(train_size=256),
        Model(width=16, heads=2, time_steps=2, pool_stages=(0, 1)),
        train=Train(epochs=2, batch_size=32, lr=2e-2, warmup_epochs=0.5),
    ),
    # the notebooks' default: the whole of the method on two cores in about a minute a chapter
    # (lr: of 0.005, 0.01, 0.02 and 0.04 the best on the validation images of seeds 100 and 101)
    "quick": RunConfig(
        Data(train_size=2800, augment="none"),
        Model(width=32, heads=4, time_steps=2, pool_stages=(0, 1)),
        train=Train(epochs=4, batch_size=25, lr=2e-2, warmup_epochs=0.3),
    ),
    # the same where items stand in clutter, for the token selector
    "clutter": _CLUTTER,
    # the networks of the study (lr: best of 0.01, 0.02, 0.04 on validation images, seed 100; on
    # CIFAR-10, of 0.005, too)
    "study": RunConfig(
        Data(augment="none"),
        Model(width=64, heads=4, time_steps=4, pool_stages=(0, 1, 2)),
        train=Train(epochs=6, batch_size=50, lr=2e-2, warmup_epochs=0.3),
    ),
    "study-clutter": _CLUTTER.with_(**{"data.train_size": 6000, "train.epochs": 4}),
    "study-cifar10-small": RunConfig(
        Data("cifar10-jpeg", augment="light"),
        Model(channels=3, width=96, heads=6, time_steps=2, pool_stages=(0, 1, 2)),
        train=Train(epochs=5, batch_size=100, lr=2e-2, warmup_epochs=0.5),
    ),
    # the paper's structure at a size that two cores carry; how it was found: book/recipe.md
    "study-cifar10": RunConfig(
        Data("cifar10-jpeg", augment="light"),
        Model(channels=3, depth=4, width=96, heads=6, time_steps=2, v_threshold=0.5),
        train=Train(
            epochs=24, early_epochs=14, batch_size=50, lr=1e-2, warmup_epochs=0.5, decay="linear"
        ),
    ).with_(**{"train.optimiser": "muon", "train.mixed_precision": True}),
    # the dense baselines of the Spikformer paper, CIFAR
    "spikformer-4-256": _DENSE.with_(**{"model.width": 256, "model.heads": 8}),
    "spikformer-2-384": _DENSE.with_(**{"model.depth": 2}),
    "spikformer-4-384": _DENSE,
    # SparseSpikformer: selector and ticket on 4-384
    "paper-cifar10": _PAPER,
    "paper-cifar100": _PAPER.with_(**{"data.name": "cifar100"}),
    # the same for event cameras: the dense baseline of the Spikformer paper, and SparseSpikformer
    "spikformer-dvs-2-256": _PAPER_EVENTS.with_(selector=None, ticket=None, **{"model.depth": 2}),
    "paper-cifar10dvs": _PAPER_EVENTS,
    "paper-dvs128": _PAPER_EVENTS.with_(**{"data.name": "dvs128-gesture"}),
}

PUBLISHED_AT_INFERENCE = {"paper-cifar10dvs": 0.8, "paper-dvs128": 0.5}  # other keep ratios
# published top-1 accuracy in %, of the dense networks (Zhou et al., ICLR 2023)
PUBLISHED_ACCURACY = {
    "spikformer-4-256": {"cifar10": 93.94, "cifar100": 75.96},
    "spikformer-2-384": {"cifar10": 94.80, "cifar100": 76.95},
    "spikformer-4-384": {"cifar10": 95.19, "cifar100": 77.86},
    "spikformer-dvs-2-256": {"cifar10-dvs": 80.9, "dvs128-gesture": 98.3},
}


def preset(name, /, **overrides):
    """The RunConfig of a preset, with whole parts or dotted fields replaced.

    >>> preset("quick", seed=1, **{"model.width": 48}).model.width
    48

    Raises Refused for an unknown preset, an unknown field or an impossible value.
    """
    demand(isinstance(name, str) and name in PRESETS, "preset", name, ", ".join(PRESETS))
    return PRESETS[name].with_(**overrides)


SHELL = {"In", "Out", "exit", "quit", "get_ipython", "open"}  # names of a notebook's own


def from_notebook(namespace, fields_of):
    """The RunConfig of a notebook's parameters, to be called in the cell after them.

    Args:
        namespace: the notebook's globals().
        fields_of: {parameter: the field it sets, e.g. "model.width"}. A parameter that is None
            keeps the preset's value, and one whose field is None is the notebook's own. "preset"
            names the preset, "ticket.sparsity" sets the fraction that leads there, and "source"
            says where figures come from, "study" or "live".

    Raises Refused for a parameter that the notebook does not have (papermill would only warn).
    """
    if "_parameters_checked" not in namespace:  # later, the notebook has variables of its own
        allowed = f"{', '.join(fields_of)} (after mending it, restart the kernel)"
        for name, value in namespace.items():
            own = name in SHELL or name.startswith("_") or callable(value) or ismodule(value)
            demand(own or name in fields_of, "a parameter", name, allowed)
        namespace["_parameters_checked"] = True
    source, allowed = namespace.get("source", "study"), "study (the committed rows) or live"
    demand(source in ("study", "live"), "source", source, f"{allowed} (trained now)")
    fields_of = {name: field for name, field in fields_of.items() if field}
    values = {f: namespace[name] for name, f in fields_of.items() if namespace[name] is not None}
    name, sparsity = values.pop("preset", None), values.pop("ticket.sparsity", None)
    config = preset(name, **values)
    parts = {field.partition(".")[0] for field in fields_of.values()}
    if "selector" in parts and config.selector is None:
        config = replace(config, selector=Selector())
    if "ticket.sparsity" in fields_of.values():
        config = replace(config, ticket=config.ticket or Ticket())
    return config if sparsity is None else replace(config, ticket=config.ticket.reaching(sparsity))
