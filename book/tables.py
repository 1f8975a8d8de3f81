"""The tables of the findings' pages, computed from the study's rows."""

import analyses
import pandas as pd
import texts

from ssf.engine import records
from ssf.model import cost
from ssf.presets import PUBLISHED_ACCURACY, preset
from ssf.study import experiments, findings, ledger, results
from ssf.study.ledger import AT, HALF, pick, rows
from ssf.study.statistics import Estimate, percent, points


def rows_of(name, kind=None):
    """An experiment's rows, or those of a kind; none without a file."""
    none = pd.DataFrame(columns=["kind", *records.FIELDS])
    frame = rows(name) if results.path(name).exists() else none
    return pick(frame, kind) if kind else frame


def of_common_seeds(parts):
    """These rows, of the seeds that all of them have."""
    seeds = set.intersection(*({*part.seed} for part in parts))
    return [part[part.seed.isin(seeds)] for part in parts]


def columns(estimate, text=points):
    """A table's columns for an Estimate, in points or by another function of a share."""
    bounds = interval(estimate.interval, text) if estimate.seeds > 1 else "–"
    return {"mean": text(estimate.mean), "95 % interval": bounds, "seeds": estimate.seeds}


def interval(bounds, text=points):
    return " to ".join(map(text, bounds))


def q_text(q):
    return "–" if q is None else f"{q:.3f}" if q >= 0.001 else "< 0.001"


def comparisons(experiment, qs):
    """Rows of the table of comparisons of an experiment, in points of accuracy; qs: `q_values`."""
    if not results.path(experiment).exists():
        return
    for (what, other), estimate in findings.compared(experiment).items():
        q = q_text(qs.get((experiment, what, other)))
        yield {"network": what, "compared with": other} | columns(estimate) | {"q": q}


def budgets():
    for data, label, estimate, verdict in findings.budgets():
        yield {"data": data, "difference": label} | columns(estimate) | {"verdict": verdict}


def looks():
    for claim, seeds, loss, verdict in analyses.looks():
        excluded, more = loss.above(-ledger.MARGIN), loss.below(-ledger.MARGIN)
        ps = {"p, loss below a point": excluded, "p, loss above a point": more}
        ps = {name: f"{p:.3f}" for name, p in ps.items()}
        yield (
            {"claim": claim, "seeds": seeds, "mean": points(loss.mean)} | ps | {"verdict": verdict}
        )


def power():
    for claim, deviation, needed in analyses.power():
        cells = {
            f"true loss {100 * true:g}": seeds
            or ("none" if true == ledger.MARGIN else "over 1,000")
            for true, seeds in needed.items()
        }
        yield {"claim": claim, "deviation (points)": f"{100 * deviation:.1f}"} | cells


def interactions():
    for row in analyses.interactions().to_dict("records"):
        head = {"sparsity": percent(row["sparsity"]), "keep ratio": row["keep ratio"]}
        yield head | columns(row["estimate"])


HERE = {"here, Fashion-MNIST": ("study", "tickets", "codesign"),
        "here, CIFAR-10 (JPEG)": ("study-cifar10-small", "cifar10", "cifar10")}  # fmt: skip


def of_the_paper():
    """{line: text} of the network that the paper is about: what is claimed, and in its code."""
    config, zhou = preset("paper-cifar10"), PUBLISHED_ACCURACY["spikformer-4-384"]["cifar10"]
    model, selector, ticket = config.model, config.selector, config.ticket
    left = (1 - ticket.fraction) ** ticket.round
    claimed = {
        "accuracy, dense (%)": f"{zhou} {{cite}}`zhou2023spikformer`; "
        "independently 95.12 {cite}`shen2025step`",
        "accuracy, both, after two trainings (%)": "that of the dense network",
        "sparsity of the ticket": "at least 90 %",
        "parameters gone": "90 %",
        "GFLOPs saved": f"about {100 * ledger.SAVING:g} %",
    }
    code = setting(config) | {
        "sparsity of the ticket": "no search for CIFAR; as on event data, with "
        f"{100 * ticket.fraction:g} % a round, {100 * (1 - left):.1f} % in round {ticket.round}",
        "GFLOPs saved": f"{percent(cost.saving(model, selector))}, keeping {selector.keep_ratio:g}",
        "order": "dense, selector, then tickets of both (event data)",
        "accuracy is of": "the best test epoch",
        "test images": "10,000",
        "seeds": 1,
    }
    return {"claimed": claimed, "published code": code}


def setting(config):
    """{line: text} of what a config sets."""
    model = config.model
    return {
        "network": f"{model.depth} blocks of {model.width} channels",
        "parameters, dense": f"{cost.parameters(model):,}",
        "MACs of an image": f"{cost.macs(model) / 1e6:,.0f} M",
        "epochs": config.train.epochs,
        "time steps, tokens": f"{model.time_steps}, {model.tokens}",
    }


def measured(name, first, second):
    """{line: text} of what the study measured with a preset's networks."""
    dense, frame = pick(rows(first), "dense"), rows(second)
    whole, selector, both = (pick(frame, kind) for kind in ("all_tokens", "selector", "both"))
    gone = 1 - both.parameters_left / whole.parameters.mean()
    return setting(preset(name)) | {
        "accuracy, dense (%)": texts.hundredfold(dense.accuracy.mean()),
        "accuracy, both, after two trainings (%)": texts.hundredfold(both.accuracy.mean()),
        "sparsity of the ticket": percent(both.sparsity),
        "parameters gone": percent(gone),
        "GFLOPs saved": f"{percent(ledger.saving(selector, whole))}, keeping {experiments.CLAIMED}",
        "order": "dense, ticket, then its selector",
        "accuracy is of": "the last epoch",
        "test images": f"{dense.test_images.iloc[0]:,}",
        "seeds": len(dense),
    }


def paper():
    """Rows of the paper beside its code and beside what was measured."""
    sources = of_the_paper() | {title: measured(*names) for title, names in HERE.items()}
    lines = dict.fromkeys(line for cells in sources.values() for line in cells)
    for line in sorted(lines, key=list(measured(*HERE["here, CIFAR-10 (JPEG)"])).index):
        cells = {title: cells.get(line, "–") for title, cells in sources.items()}
        yield {"": line} | cells


KINDS = ("dense", "ticket", "random", "all_tokens", "selector", "both")  # of other data
STUDENTS = ("all_tokens", "selector", "random_selector", "ticket", "both")
# (data, experiment, kinds, columns' numbers) of the networks that the claims are about
REACHED = [
    ("Fashion-MNIST", "tickets", ("dense",), {}),
    ("Fashion-MNIST", "tickets", ("ticket", "reinit", "random"), AT),
    ("Fashion-MNIST", "codesign", STUDENTS, {}),
    ("cluttered-fashion", "selectors", ("dense", "all_tokens", "all_tokens, no distillation"), {}),
    ("cluttered-fashion", "selectors", ("learned", "no distillation"), HALF),
    ("cluttered-fashion", "selectors", ("firing_rate", "random", "oracle"), HALF),
    *((data, experiment, KINDS, {}) for experiment, data in findings.ELSEWHERE.items()),
]


CALLED = {
    "reinit": "ticket's mask, new weights",
    "random": "random ticket",
    ("codesign", "ticket"): "ticket, trained on",
    ("selectors", "random"): "random selector",
    "learned": "learned selector",
    "no distillation": "learned selector, undistilled",
    "all_tokens, no distillation": "all tokens, undistilled",
}


def reached():
    """What those networks reached; of a search the last round's."""
    for data, experiment, kinds, numbers in REACHED:
        frame = rows(experiment)
        for kind in kinds:
            part = pick(frame, kind, numbers).fillna({"ticket.round": 0})
            part = part[part["ticket.round"] == part["ticket.round"].max()]
            if part.empty:
                continue
            network = CALLED.get((experiment, kind), CALLED.get(kind, kind.replace("_", " ")))
            cells = columns(Estimate(tuple(part.accuracy)), texts.hundredfold)
            yield {
                "data": data,
                "network": network,
                "sparsity": percent(part.sparsity),
                "MACs (M)": f"{part.macs.mean() / 1e6:.1f}",
                "accuracy (%)": f"{cells['mean']} ({cells['95 % interval']})",
                "seeds": cells["seeds"],
            }


NAMED = {
    "magnitude_at_init": "untrained weights pruned by size",
    "search_1": "search with one time step",
    "search_2": "search with two time steps",
}


def strayed():
    for row in analyses.strayed().to_dict("records"):
        yield {
            "experiment": row["experiment"],
            "network": NAMED.get(row["kind"], row["kind"].replace("_", " ")),
            "round": f"{row['ticket.round']:.0f}" if row["ticket.round"] > 0 else "–",
            "seed": row["seed"],
            "accuracy (%)": texts.hundredfold(row["accuracy"]),
            "median (%)": texts.hundredfold(row["median"]),
        }


def images():
    """The claims' comparisons in the study and in fresh seeds, over seeds and over images."""
    for name, (study, fresh, error) in analyses.replicated().items():
        mean, bounds = analyses.change(fresh, study)
        wider = (
            interval(analyses.widened(study, error).interval)
            if error
            else "seeds share too little to tell"
        )
        yield {
            "comparison": name,
            "study, over seeds": f"{points(study.mean)} ({interval(study.interval)})",
            "over seeds and images": wider,
            f"{fresh.seeds} fresh seeds": f"{points(fresh.mean)} ({interval(fresh.interval)})",
            "fresh − study": f"{points(mean)} ({interval(bounds)})",
        }


def in_markdown(lines, none="*Not measured yet.*"):
    """Rows (dicts of the same columns) as a table in Markdown; a sentence where there are none."""
    lines = list(lines)
    if not lines:
        return none + "\n"
    cells = [lines[0].keys(), ["---"] * len(lines[0]), *(line.values() for line in lines)]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in cells)


def write(book):
    """Write the tables that the findings' page includes."""
    qs = analyses.q_values()
    pages = {f"compared_{name}": comparisons(name, qs) for name in findings.COMPARED}
    several = [row for row in comparisons("controls", qs) if row["seeds"] >= analyses.SEVERAL]
    pages["compared_controls"] = several
    pages |= {"budgets": budgets(), "looks": looks(), "power": power(), "paper": paper()}
    pages |= {"interactions": interactions(), "reached": reached(), "strayed": strayed()}
    for name, lines in pages.items():
        (book / f"_{name}.md").write_text(in_markdown(lines))
    none = "These networks are not trained yet, so we cannot tell."
    (book / "_images.md").write_text(in_markdown(images(), none))
