"""The study's numbers as texts: those that pages ask for, and the ledger in short."""

import itertools
import re

import analyses
import numpy as np
import said

from ssf.config import Data
from ssf.engine import records
from ssf.figures import inside
from ssf.model import cost
from ssf.presets import PUBLISHED_AT_INFERENCE, preset
from ssf.speed import bench
from ssf.study import experiments, findings, ledger
from ssf.study.ledger import AT, AT_RATIO, additivity, difference, pick, rows
from ssf.study.statistics import Estimate, percent, points


def slug(*words):
    """A name that a page can ask for: C1, loss -> c1_loss."""
    return re.sub(r"\W+", "_", " ".join(words).lower()).strip("_")


def p_text(p):
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


MARGIN = {0.01: "one point"}.get(ledger.MARGIN, f"{100 * ledger.MARGIN:g} points")
WHOLE = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def hundredfold(share):
    return f"{100 * share:.1f}"


def seeds(rows):
    """Two seeds: of how many seeds these rows are, one a row."""
    return "one seed" if len(rows) == 1 else f"{WHOLE[len(rows)]} seeds"


def upper(sentence):
    return sentence[:1].upper() + sentence[1:]


def no_point_lost(loss):
    """Whether a loss of the margin or more is ruled out."""
    return loss.above(-ledger.MARGIN) < ledger.LEVEL


def shown(loss):
    """What the tests of a difference in accuracy show, in plain words."""
    lost = loss.below(0) < ledger.LEVEL
    if loss.below(-ledger.MARGIN) < ledger.LEVEL:
        return f"we found a loss of more than {MARGIN}"
    if loss.above(0) < ledger.LEVEL:
        more = loss.above(ledger.MARGIN) < ledger.LEVEL
        return "we found a gain" + f" of more than {MARGIN}" * more
    if no_point_lost(loss):
        if lost:
            return f"we found a loss, and it is smaller than {MARGIN}"
        return f"we could not show a loss, and a loss of {MARGIN} or more is ruled out"
    if lost:
        return f"we found a loss, and could neither show nor rule out that it exceeds {MARGIN}"
    return f"we could not show a loss, and could not rule out a loss of {MARGIN}"


def size(share):
    """A difference's size as a person would say it: about one and a half points."""
    points_ = abs(100 * share)
    if points_ < 0.05:
        return "nothing"
    if points_ < 0.45:
        return "under half a point"
    whole, half = divmod(round(2 * points_), 2)
    if whole >= len(WHOLE):
        return f"about {points_:.0f} points"
    if whole == 0:
        return "about half a point"
    and_a_half = " and a half" if half else ""
    return f"about {WHOLE[whole]}{and_a_half} point{'s' if half or whole > 1 else ''}"


def changes(estimate, loses="loses", gains="gains"):
    """The sign and the size of a difference in words: loses about one and a half points."""
    if abs(estimate.mean) < 0.0005:
        return "changes nothing"
    return f"{loses if estimate.mean < 0 else gains} {size(estimate.mean)}"


def zero(estimate):
    low, high = estimate.interval
    return "includes" if low <= 0 <= high else "excludes"


CONTROLS = {
    "does worse": "does significantly worse",
    "does as well": f"does as well, as a gain of {MARGIN} over it is ruled out",
    "may do as well": "may do as well: no gain over it was shown, and none is ruled out",
}


def of_claims():
    """{name: text} of the claims' estimates, tests and verdicts."""
    c2 = ledger.c2()
    texts = {"c2_strict_verdict": ledger.verdict(None, (c2["random"], c2["rate"]))}
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
            texts[slug(name, key, "control_words")] = CONTROLS[ledger.control(estimate)]
            texts[slug(name, key, "words")] = shown(estimate)
            texts[slug(name, key, "sentence")] = upper(shown(estimate))
            texts[slug(name, key, "changes")] = changes(estimate)
            texts[slug(name, key, "zero")] = f"an interval that {zero(estimate)} zero"
            for test, p in tests.items():
                texts[slug(name, key, test)] = p_text(p)
    tested = analyses.corrected()
    for name, (p, corrected) in tested.items():
        texts[slug(name, "p")], texts[slug(name, "holm")] = p_text(p), p_text(corrected)
        kept = corrected < ledger.LEVEL
        texts[slug(name, "holm", "words")] = "survives" if kept else "does not survive"
        texts[slug(name, "holm", "means")] = f"with the correction {p_text(corrected)}, which " + (
            "still shows it at 5 %" if kept else "no longer shows it at 5 %"
        )
    verdicts = {name: texts[slug(name, "verdict")] for name in tested}
    return texts | of_a_seed_less() | {"certain": certain(verdicts, tested)}


def certain(verdicts, tested):
    """Which claims are open, and which verdicts rest on tests that survive a correction.

    verdicts: {claim: word}; tested: as `analyses.corrected` has it.
    """
    open_, firm, weak = [], [], []
    for name, (_, corrected) in tested.items():
        undecided = verdicts[name] == "undecided"
        (open_ if undecided else firm if corrected < ledger.LEVEL else weak).append(name)
    told = f"{said.listed(open_)} {'is' if len(open_) == 1 else 'are'} undecided. " if open_ else ""
    groups = {"are still significant": firm, "are not": weak}
    parts = [
        f"the tests behind {said.listed(names)} {how}" for how, names in groups.items() if names
    ]
    ends = f"After a correction for having tested four claims, {', and '.join(parts)}."
    return told + ends if parts else told.strip()


def changed(claim, gains=(), holds=True):
    """In how many cases a claim's verdict changes if one seed is left out: 2 of 9."""
    loss, *gains = (claim[name].without_each() for name in ("loss", *gains))
    less = [ledger.verdict(first, rest, holds) for first, *rest in zip(loss, *gains, strict=True)]
    return f"{sum(verdict != claim['verdict'] for verdict in less)} of {len(less)}"


def of_a_seed_less():
    """{name: text} of verdicts without each seed in turn, and of C4's looks."""
    four = ledger.c4()
    less, holds = four["loss"].without_each(), four["saved"].mean >= ledger.SAVING
    ps = [estimate.below(-ledger.MARGIN) for estimate in less]
    first, *_, last = analyses.LOOKS
    rest = Estimate(four["loss"].values[first:])
    return {
        "c4_later": str(less[0]),
        "c4_first": f"{points(Estimate(four['loss'].values[:first]).mean)} with {first} seeds",
        "c4_last": f"{points(four['loss'].mean)} with {last}",
        "c4_rest": str(rest),
        "c4_rest_verdict": ledger.verdict(rest, holds=holds),
        "c4_less_p": f"{min(ps):.3f} to {max(ps):.3f}",
        "c1_less_other": changed(ledger.c1(), ("reinit", "random")),
        "c3_less_other": changed(ledger.c3()),
        "c4_less_other": changed(four, holds=holds),
    }


def of_event_data():
    """{name: text} of what is saved with the published code's keep ratios at inference."""
    texts = {}
    for name, ratio in PUBLISHED_AT_INFERENCE.items():
        config = preset(name, **{"selector.keep_ratio": ratio})
        saved, of_blocks = (cost.saving(config.model, config.selector, b) for b in (False, True))
        texts[slug("saving", name)] = f"{percent(saved)} at a ratio of {ratio}"
        texts[slug("saving of blocks", name)] = percent(of_blocks)
    return texts


def of_the_count():
    """{name: text} of what a selector saves in the paper's network, by count alone."""
    paper = preset("paper-cifar10")
    saved = cost.saving(paper.model, paper.selector)
    stem = sum(row.macs for row in cost.layers(paper.model) if row.role == "SPS")
    tokens = paper.model.tokens
    counts = map(str, (tokens, *paper.selector.counts(tokens)))
    return {
        "stem_share": percent(stem / cost.macs(paper.model)),
        "blocks_share": percent(1 - stem / cost.macs(paper.model)),
        "published_tokens": " and ".join(", ".join(counts).rsplit(", ", 1)),
        "published_ratio": f"{paper.selector.keep_ratio:g}",
        "c3_count_verdict": "supported" if saved >= ledger.SAVING else "not supported",
        "published_saving": percent(saved),
        "published_saving_of_blocks": percent(cost.saving(paper.model, paper.selector, True)),
        "ratio_that_saves": str(cost.keep_ratio_for(ledger.SAVING, paper.model, paper.selector)),
        "claimed_saving": f"{100 * ledger.SAVING:g} %",
    }


def of_budgets():
    """{name: text} of the published comparison and of equal budgets, by data."""
    texts = {}
    spreads = {data: findings.compared(name).values() for name, data in findings.ELSEWHERE.items()}
    for data, label, estimate, verdict in findings.budgets():
        name = slug("budget", data.split()[0], label.partition(":")[0])
        texts[name], texts[f"{name}_verdict"] = str(estimate), verdict
        texts[f"{name}_changes"] = changes(estimate, "costs")
        if data in spreads:
            low, high = map(points, analyses.pooled(estimate, spreads[data]))
            texts[f"{name}_pooled"] = f"{low} to {high}"
    return texts


def published_search():
    """What the ticket of the one search as published loses, of those of its rounds with rows."""
    plan = "search as published, with 25 % a round and rewinding to a fifteenth of training"
    rounds = sum(kind == "ticket, 25 % a round" for kind, _ in experiments.controls(0))
    frame = rows("controls")
    found = frame[frame.kind == "ticket, 25 % a round"]
    if found.empty:
        return f"A {plan} is planned for one seed and not trained yet."
    done = int(found["ticket.round"].max())
    last = found[found["ticket.round"] == done]
    loss = difference(last, pick(frame, "dense, 15 epochs"))
    made = f"It is a {plan}."
    if done < rounds:
        made = f"Of a {plan}, {done} of {rounds} rounds are trained."
    return f"{made} At {percent(last.sparsity)} sparsity, ticket minus dense is {loss}."


def of_controls():
    """{name: text} of the controls, and what the network without blocks shows on each data set."""
    controls, tickets = rows("controls"), rows("tickets")
    stem, small = pick(controls, "stem"), pick(controls, "24 channels")
    dense, ticket = pick(tickets, "dense"), pick(tickets, "ticket", AT)
    student = pick(rows("codesign"), "selector")
    texts = {
        "published_search": published_search(),
        "stem_macs": percent([stem.macs.mean() / dense.macs.mean()]),
        "stem_parameters": percent([stem.parameters.mean() / dense.parameters.mean()]),
        "parameters_24": f"{small.parameters.mean():,.0f}",
        "parameters_ticket": f"{ticket.parameters_left.mean():,.0f}",
        "ticket_gone": percent([1 - ticket.parameters_left.mean() / dense.parameters.mean()]),
        "selector_parameters": f"{student.parameters.mean() - dense.parameters.mean():,.0f}",
    }
    for experiment in ("controls", *findings.ELSEWHERE):
        for (what, other), estimate in findings.compared(experiment).items():
            about = "control" if experiment == "controls" else experiment
            texts[slug(about, what, other)] = str(estimate)
            if what == "the stem alone":
                name = slug("stem", experiment, other)
                texts[name], texts[f"{name}_words"] = str(estimate), shown(estimate)
    return texts


PARTS = {"mlp": "the MLP", "attention": "attention"}


def of_weights():
    """{name: text} of which layers keep the ticket's weights."""
    ticket = pick(rows("tickets"), "ticket", AT)
    layers = ledger.densities(ticket)
    layers["left"] = layers.weights * layers.kept
    weights, left = layers.weights.sum(), layers.left.sum()
    texts = {
        "all_kept": percent(left / weights),
        "sparsity": percent(ticket.sparsity),
    }
    kept = {}
    for name, roles in (("mlp", ("fc1", "fc2")), ("attention", ("qkv", "proj"))):
        part = layers[layers.role.isin(roles)]
        removed = (part.weights - part.left).sum()
        texts[f"{name}_share"] = percent(part.weights.sum() / weights)
        texts[f"{name}_removed"] = percent(removed / (weights - left))
        kept[name] = part.left.sum() / part.weights.sum()
        texts[f"{name}_kept"] = percent(kept[name])
    harder, other = sorted(kept, key=kept.get)
    texts["pruned_harder"] = f"{PARTS[harder]} keeps a smaller share than {PARTS[other]}"
    return texts


def of_test_images():
    """{name: text} of one accuracy's standard error from the choice of test images, by data."""
    texts = {}
    for name, experiment in (("study", "tickets"), ("cifar10", "cifar10")):
        dense = pick(rows(experiment), "dense")
        noise = (dense.accuracy * (1 - dense.accuracy) / dense.test_images) ** 0.5
        texts[slug("test_noise", name)] = f"{100 * noise.mean():.1f} points"
        texts[slug("test_images", name)] = f"{dense.test_images.iloc[0]:,}"
    return texts


def of_searches():
    """{name: text} of what a search takes, and what less of it gives."""
    short, whole = rows("short"), rows("tickets")
    sparse, dense = pick(short, "ticket", AT), pick(short, "dense")
    ticket = pick(whole, "ticket", AT)
    removed = experiments.removed(experiments.HEADLINE)
    one_shot = pick(whole, "one_shot", {"ticket.fraction": removed})
    epochs = findings.search_epochs()
    cut_off = [str(analyses.classes_cut_off(seed)) for seed in range(experiments.FIRST)]
    return {
        "short_loss": str(difference(sparse, dense)),
        "short_verdict": ledger.verdict(difference(sparse, dense)),
        "short_seed_0": str(difference(sparse[sparse.seed == 0], dense)),
        "short_less": str(additivity(sparse, ticket, dense, pick(whole, "dense"))),
        "trained_on": str(analyses.trained_on()),
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
    ours, published = preset("study-cifar10-small"), preset("spikformer-4-384")
    images = ours.train.epochs * (1 - ours.data.validation_share) / published.train.epochs
    return images, images * cost.macs(ours.model) / cost.macs(published.model)


def of_scores():
    """{name: text} of two scores in the learned selector's own networks."""
    recalls = inside.look("scores").pivot(index="seed", columns="score", values="recall")
    return {"same_networks": str(Estimate(tuple(recalls.learned - recalls.firing_rate)))}


def of_findings():
    """{name: text} of what was measured beside the claims."""
    frame = rows("codesign")
    order, whole = pick(frame, "selector_first", AT), pick(frame, "all_tokens")
    published, both = difference(order, whole), pick(frame, "both", AT | AT_RATIO)
    ours = difference(both[both.seed.isin(order.seed)], whole)
    images, macs = share_of_training()
    qs = analyses.q_values()
    gains = findings.inflation()
    return {
        "published_order": str(published),
        "published_order_more": p_text(published.below(-ledger.MARGIN)),
        "published_order_verdict": ledger.verdict(published),
        "our_order": str(ours),
        "our_order_verdict": ledger.verdict(ours),
        "cifar10_images": f"{100 * images:.1f} %",
        "cifar10_macs": f"{100 * macs:.2g} %",
        "compared": f"{len(qs)}",
        "strayed_by": f"{100 * analyses.STRAYED:g} points",
        "inflation": f"{hundredfold(gains.mean())} points on average",
        "inflation_none": percent(gains == 0),
        "inflation_largest": f"{hundredfold(gains.max())} points",
    }


def of_practice():
    """{name: text} of how far the study's networks could be pruned, and what the clock says."""
    frame, kept = rows("tickets"), {}
    dense = pick(frame, "dense")
    for number in range(1, experiments.HEADLINE + 1):
        ticket = pick(frame, "ticket", {"ticket.round": number})
        kept[percent(ticket.sparsity)] = difference(ticket, dense)
    unsafe = [at for at, loss in kept.items() if not no_point_lost(loss)]
    safe = list(itertools.takewhile(lambda at: at not in unsafe, kept))
    timed = records.timings("bench_codesign_cpu", "python -m ssf bench --only codesign")
    kinds = {kind: kind for kind in ("dense", "ticket", "selector")}
    clock = bench.shares(timed, "codesign", kinds).set_index("label")
    texts = {
        f"{column}_{kind}": percent(clock[column][kind])
        for column in ("macs", "seconds", "deployed")
        for kind in kinds
    }
    one_shot = findings.bars("tickets", "ticket")
    first = experiments.removed(experiments.CONTROLLED[0])
    behind = one_shot[f"pruned in one shot, {100 * first:.0f} %"]
    texts["one_shot_sparse"] = str(Estimate(tuple(-value for value in behind.values)))
    return texts | {
        "prune_to": safe[-1] if safe else "no share",
        "prune_to_loss": str(kept[safe[-1]]) if safe else "not measured",
        "prune_to_twice": trained_twice(len(safe)),
        "prune_beyond": unsafe[0] if unsafe else "any share",
        "prune_beyond_loss": str(kept[unsafe[0]]) if unsafe else "not measured",
    }


def trained_twice(number):
    """A sentence on a round's ticket minus the dense network, both trained a second time."""
    try:
        frame = rows("codesign")
        ticket = frame[(frame["ticket.round"] == number) & (frame["selector.keep_ratio"] == 1)]
        loss = difference(ticket, pick(frame, "all_tokens"))
    except records.Missing:
        return "What a second training changes was not measured there."
    return (
        "After a second one, with a teacher, for ticket and dense network alike, even the ticket "
        f"without {percent(ticket.sparsity)} of the weights differs by {loss}."
    )


def of_settings():
    """{name: text} of what was set: margin, keep ratio, tokens, the rates that were tried."""
    model, selector = preset("study").model, experiments.with_selector(experiments.CLAIMED)
    fewest = experiments.with_selector(min(experiments.LOW_RATIOS)).counts(model.tokens)
    texts = {
        "margin": MARGIN,
        "study_difficulty": f"{preset('study-clutter').data.difficulty:g}",
        "usual_difficulty": f"{Data.difficulty:g}",
        "fewest_tokens": f"{fewest[0]} of {model.tokens} tokens",
        "largest_ratio": str(cost.keep_ratio_for(ledger.SAVING, model, selector)),
        "ratio": str(experiments.CLAIMED),
        "dropped_share": f"{100 * (1 - experiments.CLAIMED):.0f} %",
        "tokens": ", ".join(map(str, (model.tokens, *selector.counts(model.tokens)))),
    }
    return texts


ARMS = ("ticket", "random ticket")  # of C1, each tried at learning rates of its own


def of_rates():
    """{name: text} of the learning rates that were tried, by validation accuracy."""
    texts, gains, tried = {}, [], analyses.tried()
    for name, accuracies in tried.items():
        used, rates = preset("study" if name in ARMS else name).train.lr, []
        for rate, accuracy in accuracies.items():
            bold = "**" if rate == used else ""
            rates.append(f"{bold}{percent(accuracy)} at {rate:g}{bold}")
        texts[slug("rates", name)] = ", ".join(rates)
        gain = points(max(accuracies.values()) - accuracies[used]).lstrip("+")
        gains += [f"the {name} {gain}"] if name in ARMS else []
    return texts | {"own_rates": " and ".join(gains)}


LOSSES = ("C1: ticket − dense", "C3: selector − all tokens", "C4: both − all tokens")


def of_images():
    """{name: text} of what is shown of the claims' losses if other test images count, too."""
    replicated, clauses, ratios = analyses.replicated(), [], [1.0]
    four = replicated.get(LOSSES[-1])
    for name in filter(replicated.get, LOSSES):
        study, _, error = replicated[name]
        clauses.append(f"of {name[:2]}, {shown(analyses.widened(study, error))}")
        ratios.append(analyses.times_as_wide(study, error))
    changed = [analyses.change(fresh, study)[1] for study, fresh, _ in replicated.values()]
    same = sum(low <= 0 <= high for low, high in changed)
    seen = [hundredfold(np.ptp(bounds) / 2) for bounds in changed]
    pooled = {  # nobody planned to
        name[:2]: Estimate(replicated[name][0].values + replicated[name][1].values)
        for name in filter(replicated.get, LOSSES)
    }
    fresh = [f"{name[:2]} {fresh}" for name, (_, fresh, _) in replicated.items() if name in LOSSES]
    return {
        "fresh_losses": ", ".join(fresh) or "not trained yet",
        "fresh_more": p_text(four[1].below(-ledger.MARGIN)) if four else "no p yet",
        "all_losses": ", ".join(f"{claim} {loss}" for claim, loss in pooled.items()),
        "all_more": p_text(pooled["C4"].below(-ledger.MARGIN)) if four else "no p yet",
        "over_images": "; ".join(clauses) or "we cannot tell yet",
        "images_wider": f"{max(ratios):.1f} times",
        "repeats": f"The interval of *fresh − study* includes zero in {same} of {len(changed)}",
        "change_seen": f"{min(seen, default='–')} to {max(seen, default='–')} points",
    }


def of_batchnorm():
    """{name: text} of the fresh seeds' networks, BatchNorm's averages measured anew."""
    frame = inside.look("batchnorm")
    changes = frame.anew - frame.accuracy
    frame = frame.assign(change=changes)
    pairs = {"C1": ("ticket", "dense"), "C3": ("selector", "all_tokens")}
    pairs["C4"] = ("both", "all_tokens")
    losses, answer = [], []
    for claim, kinds in pairs.items():
        one, other = (pick(frame, kind) for kind in kinds)
        change, loss = difference(one, other, "change"), -difference(one, other).mean
        losses.append(f"{claim} by {change}")
        explains = "cannot explain" if change.interval[1] < loss else "may explain"
        answer.append(f"{explains} all of that of {claim} ({hundredfold(loss)} points)")
    return {
        "norms_networks": f"{len(frame)}",
        "norms_mean": f"{points(changes.mean())} points",
        "norms_least": points(changes.min()),
        "norms_most": points(changes.max()),
        "norms_losses": "; ".join(losses),
        "norms_answer": said.listed(answer),
    }


def substitutions():
    """{name: text} of every number that the pages state, {{ c1_verdict }}."""
    claims = of_claims() | of_the_count() | of_event_data() | of_budgets() | of_controls()
    claims |= of_scores() | of_weights() | of_searches() | of_findings() | of_settings()
    claims |= of_practice()
    claims |= of_rates() | of_batchnorm() | of_images()
    return claims | of_test_images() | said.sentences()


def short_ledger():
    """The claims, a line for each verdict, in plain words and with what it rests on."""
    texts = substitutions()
    lines = {
        "C1": "{c1_claim}: **{c1_verdict}**. {c1_loss_sentence}. Accuracy, ticket minus dense: "
        "{c1_loss}",
        "C2": "{c2_claim}: **{c2_verdict}**. Share of the foreground that it keeps, minus that of "
        "a random choice: {c2_random}. Keeping the tokens that merely fire most "
        "{c2_rate_control}: selector minus these, {c2_rate}. If the selector had to beat them, the "
        "claim would be *{c2_strict_verdict}*. The brightest tokens hold {brightest_recall}, and "
        "the learned selector's {c2_recall_mean}. In accuracy, selector minus random is "
        "{c2_accuracy}",
        "C3, by count": "{c3_claim}: **{c3_count_verdict}** in the paper's network for "
        "CIFAR. The published keep ratio of {published_ratio} saves {published_saving} there, and "
        "saving {claimed_saving} needs a ratio of {ratio_that_saves}. In the paper's network for "
        "DVS128 Gesture, the published code saves {saving_paper_dvs128}",
        "C3, by accuracy": "a loss below {margin} where {claimed_saving} are saved: "
        "**{c3_verdict}** in our network, with a keep ratio of {ratio}. {c3_loss_sentence}. "
        "Accuracy, selector minus all tokens: {c3_loss}. A random choice of tokens "
        "{c3_random_control}: selector minus random, {c3_random}",
        "C4": "{c4_claim}: **{c4_verdict}**. {c4_loss_sentence}. Accuracy, both minus all tokens: "
        "{c4_loss}. This verdict {c4_holm_words} a correction for having tested four claims. Of "
        "all parameters, also those that are never pruned, {c4_parameters_mean} are gone",
    }
    for name, line in lines.items():
        yield f"- **{name}**: {line.format(**texts)}."
