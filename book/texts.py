"""The study's numbers as texts: those that pages ask for, their tables, the short ledger."""

import re

from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments, findings, ledger
from ssf.study.ledger import AT, HALF, additivity, difference, pick, rows
from ssf.study.statistics import Estimate, percent, points


def slug(*words):
    """A name that a page can ask for: C1, loss -> c1_loss."""
    return re.sub(r"\W+", "_", " ".join(words).lower()).strip("_")


def of_claims():
    """{name: text} of the claims' estimates, tests and verdicts."""
    texts = {}
    for name, (claim, measure) in ledger.CLAIMS.items():
        estimates = measure()
        texts[slug(name, "claim")] = claim
        texts[slug(name, "verdict")] = estimates.pop("verdict")
        for key, estimate in estimates.items():
            tests = {
                "tost": estimate.equivalent(ledger.MARGIN),
                "any": estimate.below(0),
                "more": estimate.below(-ledger.MARGIN),
            }
            texts[slug(name, key)] = str(estimate)
            texts[slug(name, key, "mean")] = percent(estimate.values)
            texts[slug(name, key, "control")] = ledger.control(estimate)
            for test, p in tests.items():
                texts[slug(name, key, test)] = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    return texts


def of_weights():
    """{name: text} of which layers keep the ticket's weights."""
    ticket = pick(rows("tickets"), "ticket", AT)
    layers = ledger.densities(ticket)
    layers["left"] = layers.weights * layers.kept
    weights, left = layers.weights.sum(), layers.left.sum()
    noise = (ticket.accuracy * (1 - ticket.accuracy) / ticket.test_images) ** 0.5
    texts = {
        "all_kept": percent(left / weights),
        "sparsity": percent(ticket.sparsity),
        "test_noise": f"{100 * noise.mean():.1f} points",
    }
    for name, roles in (("mlp", ("fc1", "fc2")), ("attention", ("qkv", "proj"))):
        part = layers[layers.role.isin(roles)]
        removed = (part.weights - part.left).sum()
        texts[f"{name}_share"] = percent(part.weights.sum() / weights)
        texts[f"{name}_kept"] = percent(part.left.sum() / part.weights.sum())
        texts[f"{name}_removed"] = percent(removed / (weights - left))
    return texts


def of_searches():
    """{name: text} of what a search takes, and what less of it gives."""
    short, whole = rows("short"), rows("tickets")
    sparse, dense = pick(short, "ticket", AT), pick(short, "dense")
    ticket = pick(whole, "ticket", AT)
    removed = experiments.removed(experiments.HEADLINE)
    one_shot = pick(whole, "one_shot", {"ticket.fraction": removed})
    epochs = findings.search_epochs()
    cut_off = [str(findings.classes_cut_off(seed)) for seed in range(experiments.FIRST)]
    return {
        "short_loss": str(difference(sparse, dense)),
        "short_seed_0": str(difference(sparse[sparse.seed == 0], dense)),
        "short_less": str(additivity(sparse, ticket, dense, pick(whole, "dense"))),
        "trained_on": str(findings.trained_on()),
        "one_shot_control": ledger.control(difference(ticket, one_shot)),
        "search_epochs": f"{epochs}",
        "search_epochs_1": f"{epochs * findings.search_cost(1):.0f}",
        "search_epochs_2": f"{epochs * findings.search_cost(2):.0f}",
        "one_shot_epochs": f"{findings.search_epochs(1)}",
        "classes_cut_off": ", ".join(cut_off),
    }


def share_of_training():
    """(images seen, MACs) of a dense training on CIFAR-10 here, as shares of the published one's.

    The published one holds no images out for validation.
    """
    ours, published = preset("study-cifar10"), preset("spikformer-4-384")
    images = ours.train.epochs * (1 - ours.data.validation_share) / published.train.epochs
    return images, images * cost.macs(ours.model) / cost.macs(published.model)


def of_findings():
    """{name: text} of what was measured beside the claims."""
    frame = rows("codesign")
    published = difference(pick(frame, "selector_first", AT), pick(frame, "all_tokens"))
    images, macs = share_of_training()
    intervals = [
        estimate.interval
        for name in findings.COMPARED
        for estimate in findings.compared(name).values()
        if estimate.seeds > 1
    ]
    apart = [(low, high) for low, high in intervals if not low <= 0 <= high]
    gains = findings.inflation()
    return {
        "published_order": str(published),
        "published_order_verdict": ledger.verdict(published),  # on fewer seeds than C4's
        "cifar10_images": f"{100 * images:.1f} %",
        "cifar10_macs": f"{100 * macs:.2g} %",
        "compared": f"{len(intervals)}",
        "compared_apart": f"{len(apart)}",
        "strayed_by": f"{100 * findings.STRAYED:g} points",
        "inflation": f"{points(gains.mean())} points on average",
        "inflation_none": percent(gains == 0),
        "inflation_largest": f"{points(gains.max())} points",
    }


def of_settings():
    """{name: text} of what was set: margin, keep ratio, tokens, the rates that were tried."""
    model, selector = preset("study").model, experiments.with_selector(experiments.CLAIMED)
    texts = {
        "margin": f"{100 * ledger.MARGIN:g}",
        "largest_ratio": str(cost.keep_ratio_for(ledger.SAVING, model, selector)),
        "ratio": str(experiments.CLAIMED),
        "tokens": ", ".join(map(str, (model.tokens, *selector.counts(model.tokens)))),
    }
    for name, accuracies in findings.tried().items():
        rates = [f"{rate:g}: {percent(accuracy)}" for rate, accuracy in accuracies.items()]
        texts[slug("rates", name)] = ", ".join(rates)
    return texts


def substitutions():
    """{name: text} of every number that the pages state, {{ c1_verdict }}."""
    return of_claims() | of_weights() | of_searches() | of_findings() | of_settings()


def columns(estimate, text=points):
    """A table's columns for an Estimate, in points or by another function of a share."""
    low, high = map(text, estimate.interval)
    interval = f"{low} to {high}" if estimate.seeds > 1 else "–"
    return {"mean": text(estimate.mean), "95 % interval": interval, "seeds": estimate.seeds}


def hundredfold(share):
    return f"{100 * share:.1f}"


def comparisons(experiment):
    """Rows of the table of an experiment's comparisons, in points of accuracy."""
    for (what, other), estimate in findings.compared(experiment).items():
        yield {"what": what, "instead of": other} | columns(estimate)


def interactions():
    for row in findings.interactions().to_dict("records"):
        head = {"sparsity": percent(row["sparsity"]), "keep ratio": row["keep ratio"]}
        yield head | columns(row["estimate"])


KINDS = ("dense", "ticket", "random", "all_tokens", "selector", "both")  # of other data
# (data, experiment, kinds, columns' numbers) of the networks that the claims are about
REACHED = [
    ("embedded", "tickets", ("dense",), {}),
    ("embedded", "tickets", ("ticket", "reinit", "random"), AT),
    ("embedded", "codesign", ("all_tokens", "selector", "random_selector", "ticket", "both"), {}),
    ("cluttered-fashion", "selectors", ("dense", "all_tokens", "all_tokens, no distillation"), {}),
    ("cluttered-fashion", "selectors", ("learned", "no distillation"), HALF),
    ("cluttered-fashion", "selectors", ("firing_rate", "random", "oracle"), HALF),
    *((data, experiment, KINDS, {}) for experiment, data in findings.ELSEWHERE.items()),
]


def reached():
    """What those networks reached; of a search the last round's."""
    for data, experiment, kinds, numbers in REACHED:
        frame = rows(experiment)
        for kind in kinds:
            part = pick(frame, kind, numbers).fillna({"ticket.round": 0})
            part = part[part["ticket.round"] == part["ticket.round"].max()]
            if part.empty:
                continue
            network = kind.replace("_", " ")
            if (experiment, kind) == ("codesign", "ticket"):
                network += ", trained on"
            cells = columns(Estimate(tuple(part.accuracy)), hundredfold)
            yield {
                "data": data,
                "network": network,
                "sparsity": percent(part.sparsity),
                "MACs (M)": f"{part.macs.mean() / 1e6:.1f}",
                "accuracy (%)": cells.pop("mean"),
            } | cells


def strayed():
    for row in findings.strayed().to_dict("records"):
        yield {
            "experiment": row["experiment"],
            "network": row["kind"],
            "round": f"{row['ticket.round']:.0f}" if row["ticket.round"] > 0 else "–",
            "seed": row["seed"],
            "accuracy (%)": hundredfold(row["accuracy"]),
            "median (%)": hundredfold(row["median"]),
        }


def in_markdown(lines):
    """Rows (dicts of the same columns) as a table in Markdown; a sentence where there are none."""
    lines = list(lines)
    if not lines:
        return "*Not measured yet.*\n"
    cells = [lines[0].keys(), ["---"] * len(lines[0]), *(line.values() for line in lines)]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in cells)


def tables(book):
    """Write the tables that the findings' page includes."""
    pages = {f"compared_{name}": comparisons(name) for name in findings.COMPARED}
    pages["elsewhere"] = findings.elsewhere().to_dict("records")
    pages |= {"interactions": interactions(), "reached": reached(), "strayed": strayed()}
    for name, lines in pages.items():
        (book / f"_{name}.md").write_text(in_markdown(lines))


def short_ledger():
    """The claims, a line each: the verdict and the difference it rests on."""
    texts = of_claims()
    for name in ledger.CLAIMS:
        short = name.lower()
        basis = f"accuracy {texts[f'{short}_loss']}"
        if name == "C2":
            basis = f"recall, learned − random {texts['c2_random']}"
            basis += f", − what merely fires most {texts['c2_rate']}"
        yield f"- **{name}**, {texts[f'{short}_claim']}: **{texts[f'{short}_verdict']}** ({basis})"
