"""Where a run starts: the presets, what the published networks reached, and a notebook's parameters as a config."""

from dataclasses import replace
from inspect import ismodule

from ssf.config import Data, Model, RunConfig, Selector, Ticket, Train, demand

_PAPER_TRAIN = Train(
    epochs=300, batch_size=64, lr=5e-4, min_lr=1e-5, warmup_epochs=20, weight_decay=0.06, mixed_precision=True,
    mixup=0.5, mixup_epochs=200,
)  # fmt: skip
_PAPER_MODEL = Model(channels=3, depth=4, width=384, heads=12, time_steps=4)
_PAPER_SELECTOR = Selector(keep_ratio=0.9, locations=(1, 2, 3))
_PAPER_TICKET = Ticket(round=9, fraction=0.25, rewind_epoch=20)
_DENSE_TRAIN = replace(_PAPER_TRAIN, batch_size=128)
_EVENT_MODEL = Model(
    "frames", channels=2, side=128, depth=4, width=256, heads=16, time_steps=16,
    attention_scale=0.25, qkv_bias=False, block_init="torch", pool_stages=(0, 1, 2, 3),
)  # fmt: skip
_EVENT_SELECTOR = replace(
    _PAPER_SELECTOR, keep_ratio=0.7
)  # what the published loss asks for; see chapter 05
_EVENT_TRAIN = replace(
    _PAPER_TRAIN, lr=1e-3, batch_size=16, warmup_epochs=10, mixup_probability=0.5, mixup_epochs=75
)

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
    "clutter": RunConfig(
        Data("cluttered-fashion", train_size=4000, augment="none", difficulty=0.25),
        Model(side=40, width=48, heads=4, time_steps=2, pool_stages=(0, 1)),
        train=Train(epochs=3, batch_size=50, lr=2e-2, warmup_epochs=0.3),
    ),
    # the networks of the study (lr: best of 0.01, 0.02, 0.04 on validation, seed 100; on CIFAR-10, of 0.005, too)
    "study": RunConfig(
        Data(augment="none"),
        Model(width=64, heads=4, time_steps=4, pool_stages=(0, 1, 2)),
        train=Train(epochs=6, batch_size=50, lr=2e-2, warmup_epochs=0.3),
    ),
    "study-clutter": RunConfig(
        Data("cluttered-fashion", train_size=6000, augment="none", difficulty=0.25),
        Model(side=40, width=48, heads=4, time_steps=2, pool_stages=(0, 1)),
        train=Train(epochs=4, batch_size=50, lr=2e-2, warmup_epochs=0.3),
    ),
    "study-cifar10": RunConfig(
        Data("cifar10-jpeg", augment="light"),
        Model(channels=3, width=96, heads=6, time_steps=2, pool_stages=(0, 1, 2)),
        train=Train(epochs=5, batch_size=100, lr=2e-2, warmup_epochs=0.5),
    ),
    # the dense baselines of the Spikformer paper, CIFAR
    "spikformer-4-256": RunConfig(
        Data("cifar10", augment="published"),
        replace(_PAPER_MODEL, width=256, heads=8),
        train=_DENSE_TRAIN,
    ),
    "spikformer-2-384": RunConfig(
        Data("cifar10", augment="published"), replace(_PAPER_MODEL, depth=2), train=_DENSE_TRAIN
    ),
    "spikformer-4-384": RunConfig(
        Data("cifar10", augment="published"), _PAPER_MODEL, train=_DENSE_TRAIN
    ),
    # SparseSpikformer: selector and ticket on 4-384
    "paper-cifar10": RunConfig(
        Data("cifar10", augment="published"),
        _PAPER_MODEL,
        _PAPER_SELECTOR,
        _PAPER_TICKET,
        _PAPER_TRAIN,
    ),
    "paper-cifar100": RunConfig(
        Data("cifar100", augment="published"),
        replace(_PAPER_MODEL, classes=100),
        _PAPER_SELECTOR,
        _PAPER_TICKET,
        _PAPER_TRAIN,
    ),
    # the same for event cameras: the dense baseline of the Spikformer paper, and SparseSpikformer
    "spikformer-dvs-2-256": RunConfig(
        Data("cifar10-dvs", augment="published"), replace(_EVENT_MODEL, depth=2), train=_EVENT_TRAIN
    ),
    "paper-cifar10dvs": RunConfig(
        Data("cifar10-dvs", augment="published"),
        _EVENT_MODEL,
        _EVENT_SELECTOR,
        _PAPER_TICKET,
        _EVENT_TRAIN,
    ),
    "paper-dvs128": RunConfig(
        Data("dvs128-gesture", augment="published"),
        replace(_EVENT_MODEL, classes=11),
        _EVENT_SELECTOR,
        _PAPER_TICKET,
        _EVENT_TRAIN,
    ),
}

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

    Raises ValueError, one sentence, for an unknown preset, an unknown field or an impossible value.
    """
    demand(isinstance(name, str) and name in PRESETS, "preset", name, ", ".join(PRESETS))
    return PRESETS[name].with_(**overrides)


def from_notebook(namespace, fields_of):
    """The RunConfig of a notebook's parameters, to be called in the cell after them.

    Args:
        namespace: the notebook's globals().
        fields_of: {parameter: the field it sets, e.g. "model.width"}; a parameter that is None keeps the preset's
            value, and one whose field is None is the notebook's own. "preset" names the preset, and "ticket.sparsity"
            sets the fraction that leads there. "source" says where figures come from: "study" or "live".

    Raises ValueError, one sentence, for a parameter that the notebook does not have (papermill would only warn).
    """
    shell = {"In", "Out", "exit", "quit", "get_ipython", "open"}
    if "_parameters_checked" not in namespace:  # later, the notebook has variables of its own
        for name, value in namespace.items():
            if not (
                name in fields_of
                or name in shell
                or name.startswith("_")
                or callable(value)
                or ismodule(value)
            ):
                demand(
                    False,
                    "a parameter",
                    name,
                    f"{', '.join(fields_of)} (after mending it, restart the kernel)",
                )
        namespace["_parameters_checked"] = True
    source = namespace.get("source", "study")
    demand(
        source in ("study", "live"),
        "source",
        source,
        "study (the committed rows) or live (trained now)",
    )
    fields_of = {p: f for p, f in fields_of.items() if f}
    given = {f: namespace[p] for p, f in fields_of.items() if namespace[p] is not None}
    name, sparsity = given.pop("preset", None), given.pop("ticket.sparsity", None)
    config = preset(name, **given)
    if any(f.startswith("selector.") for f in fields_of.values()) and config.selector is None:
        config = replace(config, selector=Selector())
    if "ticket.sparsity" in fields_of.values():
        config = replace(config, ticket=config.ticket or Ticket())
    return config if sparsity is None else replace(config, ticket=config.ticket.reaching(sparsity))
