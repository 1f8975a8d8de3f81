"""What the study measured beside its verdicts, on which nothing here has a say (see ledger.py).

Accuracies and differences are shares. What only the page of findings tabulates: book/analyses.py.
"""

from contextlib import suppress

import pandas as pd

from ssf.engine import records
from ssf.engine.records import Missing
from ssf.presets import preset
from ssf.study import experiments, ledger, results
from ssf.study.ledger import AT, AT_RATIO, HALF, difference, pick, rows, verdict

ELSEWHERE = {"cifar10": "CIFAR-10 (JPEG)", "events": "event-fashion"}

# What is compared: (what, instead of what, these, those), each of these as `ledger.pick` takes it
LEARNED, KEEPS_ALL = ("learned", HALF), ("all_tokens", {})
UNTAUGHT, ALL_UNTAUGHT = ("no distillation", {}), ("all_tokens, no distillation", {})
TAUGHT = ("both", AT | AT_RATIO)
LAST = {"ticket.round": experiments.CIFAR10_ROUNDS}
DENSE, WHOLE = ("tickets: dense", {}), ("codesign: all_tokens", {})  # of `BESIDE`


def _ways(number):
    """What else could find a ticket of so many rounds' sparsity."""
    at, removed = {"ticket.round": number}, experiments.removed(number)
    ticket, one_shot = ("ticket", at), ("one_shot", {"ticket.fraction": removed})
    few, early = "mask found with {} of 4 time steps, ", ("early_1", at)
    lines = [
        (few.format(1), "ticket", early, ticket),
        (few.format(2), "ticket", ("early_2", at), ticket),
        ("rewound to the initialisation, ", "ticket", ("to_init", at), ticket),
        ("pruned in one shot, ", "ticket", one_shot, ticket),
        ("untrained weights pruned by size, ", "ticket", ("magnitude_at_init", at), ticket),
        (few.format(1), "one shot", early, one_shot),
        (few.format(1), "random ticket", early, ("random", at)),
        ("ticket, ", "dense", ticket, ("dense", {})),
    ]
    lines = lines[:-1] if number == experiments.HEADLINE else lines  # the last is C1 there
    return [(f"{what}{100 * removed:.0f} %", *others) for what, *others in lines]


def _elsewhere(last):
    """The claims' comparisons and their controls, on other data."""
    ticket, random, dense = ("ticket", {"ticket.round": last}), ("random", {}), ("dense", {})
    return [
        ("ticket", "dense", ticket, dense),
        ("random ticket", "dense", random, dense),
        ("ticket", "random ticket", ticket, random),
        ("selector", "all tokens", ("selector", {}), KEEPS_ALL),
        ("both", "all tokens", ("both", {}), KEEPS_ALL),
        ("both", "ticket, trained on", ("both", {}), ("ticket, trained on", {})),
        ("selector", "random selector", ("selector", {}), ("random_selector", {})),
        ("the stem alone", "dense", ("stem", {}), dense),
    ]


COMPARED = {
    "tickets": [line for number in experiments.CONTROLLED for line in _ways(number)],
    "short": [("ticket, four epochs", "dense, four epochs", ("ticket", AT), ("dense", {}))],
    "selectors": [
        *(
            (kind.replace("_", " "), "learned", (kind, HALF), LEARNED)
            for kind in ("firing_rate", "attention", "information", "oracle")
        ),
        *(
            (f"{kind.replace('_', ' ')}, tokens bypass", "removed",
             (f"{kind}, bypass", {}), (kind, HALF))
            for kind in ("learned", "firing_rate", "random", "oracle")
        ),
        ("before block 0", "before block 1", ("before block 0", {}), LEARNED),
        ("before both, keeping 0.7 and 0.49", "before block 1",
         ("before blocks 0 and 1", {}), LEARNED),
        ("a tenth of the ratio loss", "all of it", ("weak ratio loss", {}), LEARNED),
        ("learned, undistilled", "distilled", UNTAUGHT, LEARNED),
        ("all tokens, undistilled", "distilled", ALL_UNTAUGHT, KEEPS_ALL),
        ("learned, undistilled", "all tokens, undistilled", UNTAUGHT, ALL_UNTAUGHT),
    ],
    "codesign": [
        ("student pruned", "ticket taught", ("selector_first", AT), TAUGHT),
        ("found together", "ticket taught", ("together", AT), TAUGHT),
    ],
    "controls": [
        *(
            (what, "dense", (kind, {}), DENSE)
            for what, kind in (
                ("the stem alone", "stem"),
                ("56 channels, the selector's MACs", "56 channels"),
                ("24 channels, more parameters than the ticket", "24 channels"),
                ("16 channels, fewer", "16 channels"),
                ("dense, for the search's epochs", "dense, the search's epochs"),
            )
        ),
        ("the stem alone", "all tokens", ("stem", {}), WHOLE),
        ("ticket", "24 channels", ("tickets: ticket", AT), ("24 channels", {})),
        ("selector", "56 channels", ("codesign: selector", AT_RATIO), ("56 channels", {})),
        ("all tokens, undistilled", "distilled", ALL_UNTAUGHT, WHOLE),
        ("selector, undistilled", "all tokens, undistilled",
         ("selector, no distillation", {}), ALL_UNTAUGHT),
        *(
            (f"{kind}, keeps {rho}", "all tokens", (kind, {"selector.keep_ratio": rho}), WHOLE)
            for rho in experiments.LOW_RATIOS
            for kind in ("learned", "random")
        ),
    ],
    "precision": [
        (f"{network}, bfloat16", "float32", (network, at), (other, at | only))
        for network, other, at, only in (
            ("study, dense", "tickets: dense", {}, {}),
            ("study, ticket", "tickets: ticket", AT, {}),
            ("study, selector", "codesign: selector", {}, AT_RATIO),
            ("study-clutter, dense", "selectors: dense", {}, {}),
            ("study-clutter, selector", "selectors: learned", {}, HALF),
            ("study-cifar10-small, dense", "cifar10: dense", {}, {}),
            ("study-cifar10-small, ticket", "cifar10: ticket", LAST, {}),
            ("study-cifar10-small, selector", "cifar10: selector", {}, {}),
        )
    ],
    "habits": [
        *((habit, "without", (habit, {}), ("none", {})) for habit in experiments.HABITS),
        (experiments.BY_SIZE, "by the mask", (experiments.BY_SIZE, {}), ("ticket", {})),
    ],
    "cifar10": _elsewhere(experiments.CIFAR10_ROUNDS),
    "events": _elsewhere(experiments.HEADLINE),
}  # fmt: skip


# experiments whose networks are compared with those of others, whose kinds then name them
BESIDE = {
    "controls": ("tickets", "codesign"),
    "precision": ("tickets", "codesign", "selectors", "cifar10"),
}


def compared(experiment):
    """{(what, instead of what): Estimate of the difference in accuracy}, of those with rows."""
    frames = [rows(experiment)]
    for name in BESIDE.get(experiment, ()):
        other = rows(name)
        frames.append(other.assign(kind=f"{name}: " + other.kind))
    frame, estimates = pd.concat(frames), {}
    for what, other, these, those in COMPARED[experiment]:
        with suppress(Missing):
            estimates[what, other] = difference(pick(frame, *these), pick(frame, *those))
    return estimates


def budgets():
    """Rows of what an unequal budget is worth: data, label, estimate, verdict by C4's rules.

    A student starts from the trained dense network, so it has seen twice as many epochs. A verdict
    is given to the two comparisons that C4 could be asked by.
    """
    first, second = rows("tickets"), rows("codesign")
    whole, both = pick(second, "all_tokens"), pick(second, "both", AT | AT_RATIO)
    sets = {"Fashion-MNIST": (pick(first, "dense"), whole, both)}
    for experiment, data in ELSEWHERE.items():
        frame = rows(experiment)
        sets[data] = tuple(pick(frame, kind) for kind in ("dense", "all_tokens", "both"))
    for data, (dense, whole, both) in sets.items():
        holds = ledger.saving(both, whole).mean() >= ledger.SAVING
        yield data, "all tokens − dense: a second training alone", difference(whole, dense), "–"
        rivals = {"dense: unequal budgets": dense, "all tokens: equal budgets": whole}
        for label, other in rivals.items():
            loss = difference(both, other)
            yield data, f"both − {label}", loss, verdict(loss, holds=holds)


def budget_bars():
    """`budgets`, labelled for a figure."""
    return {f"{data}, {label.partition(': ')[2]}": value for data, label, value, _ in budgets()}


def bars(experiment, instead_of=None):
    """`compared`, labelled for a figure; or only the comparisons with one thing."""
    estimates = compared(experiment).items()
    if instead_of:
        return {what: estimate for (what, other), estimate in estimates if other == instead_of}
    return {f"{what} − {other}": estimate for (what, other), estimate in estimates}


def every_network(without=experiments.UNCOMPARED):
    """The rows of all networks, each once; unless told, of those that are compared or searched."""
    names = [name for name in experiments.EXPERIMENTS if name not in without]
    frames = [rows(name).assign(experiment=name) for name in names if results.path(name).exists()]
    return pd.concat(frames).drop_duplicates("id")


def inflation():
    """Test maximum less the last epoch's accuracy of the seeds with every comparison."""
    frame = every_network().query("seed < @experiments.FIRST")
    return frame.accuracy_test_maximum - frame.accuracy


def search_cost(steps):
    """Time of a training step with so few time steps, as a share of the study's, timed together."""
    timed = records.timings("bench_growth_cpu", "git checkout")
    seconds = timed[timed.implementation == "ssf"].set_index("value").seconds
    return float(seconds[steps] / seconds[preset("study").model.time_steps])


def search_epochs(number=experiments.HEADLINE):
    """Epochs of training until a round's mask is known: dense, then each round from the rewind."""
    epochs = preset("study").train.epochs
    return epochs + (number - 1) * (epochs - experiments.ticket(number).rewind_epoch)
