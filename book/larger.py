"""What the page of four blocks shows: the claims' losses by how long the networks were trained."""

import itertools
from contextlib import suppress
from functools import partial

import analyses
import choices
import computation
import energy
import narrower
import said
import tables
import texts
from four_blocks import (
    AGAIN,
    ONCE,
    PAIRS,
    PLANNED,
    SHORT,
    SHOWN,
    SMALL,
    TRAININGS,
    TWICE,
    beyond,
    called,
    complete,
    config_of,
    every,
    judged,
    longer_less_shorter,
    losses,
    minus,
    moved_by_a_seed,
    named,
    planned,
    small_and_whole,
    trained,
)

from ssf.engine.records import Missing
from ssf.figures.style import GREY, draw_differences, draw_paired, draw_sentence
from ssf.study import ledger
from ssf.study.ledger import difference, pick, rows
from ssf.study.statistics import percent, points

SAID = {  # differences that the page tells
    "c1_random": ("ticket", "random"),
    "c1_reinit": ("ticket", "reinit"),
    "c1_twice": ("ticket, trained on", "all_tokens"),
    "dense_twice": ("all_tokens", "dense"),
    "ticket_twice": ("ticket, trained on", "ticket"),
    "c3_loss": ("selector", "all_tokens"),
    "c3_random": ("selector", "random_selector"),
    "both_dense": ("both", "dense"),
    "random_stem": ("random", "stem"),
    "reinit_stem": ("reinit", "stem"),
}
BESIDE = [  # differences without a verdict
    ("ticket", "stem"), ("random", "dense"), ("random", "stem"), ("reinit", "stem"),
    ("stem", "dense"), ("selector", "random_selector"), ("both", "ticket, trained on"),
    ("ticket, trained on", "all_tokens"), ("random_selector", "all_tokens"),
    ("all_tokens", "dense"), ("both", "dense"),
]  # fmt: skip
AFTER, NO_SEEDS = "after four seeds", "there are not enough seeds to tell"
NONE = (
    "There are no verdicts yet: they come when all networks of a training are trained. Until then, "
    "these numbers are provisional."
)


def of_two_blocks():
    """{claim: verdict} of the small network on the same images."""
    return {claim: verdict for claim, (_, verdict) in analyses.elsewhere(SMALL[0]).items()}


def claims():
    """The losses as a table, with the verdicts that this study gives."""
    answers = {name: judged(name) for name in TRAININGS}
    before = of_two_blocks()
    for claim, name, network, estimate in losses(SHOWN):
        line = {"difference": called(claim), "network": network} | tables.columns(estimate)
        given = "none" if claim == AGAIN else AFTER if name in TRAININGS else before[claim]
        if answer := answers.get(name, {}).get(claim):
            verdict, p, corrected = answer
            given = f"{verdict} ({texts.p_text(p)}, corrected {texts.p_text(corrected)})"
        yield line | {"verdict": given}


def beside():
    """The comparisons that have no verdict of their own, with a q of a training's."""
    found = {name: {} for name in TRAININGS}
    for name, pair in itertools.product(TRAININGS, BESIDE):
        with suppress(Missing):
            found[name][pair] = minus(name, *pair)
    qs = {name: analyses.q_of(estimates) for name, estimates in found.items()}
    for pair, (name, training) in itertools.product(BESIDE, TRAININGS.items()):
        if pair in found[name]:
            line = {"difference": " − ".join(map(named, pair)), "training": training}
            q = {"q": tables.q_text(qs[name].get(pair))}
            yield line | tables.columns(found[name][pair]) | q


def told(measure, always=False):
    """What measure(experiment) estimates, after each training that has it; always: names it."""
    parts = {}
    for name, training in TRAININGS.items():
        with suppress(Missing):
            parts[training] = str(measure(name))
    if len(parts) == 1 and not always:
        return next(iter(parts.values()))
    return said.listed([f"{part} after {t}" for t, part in parts.items()] or ["not measured yet"])


def after_each(tell, none):
    """What tell(experiment) says of each training that has it; none: if no training has."""
    sentences = []
    for name in TRAININGS:
        with suppress(Missing):
            sentences.append(tell(name))
    return " ".join(filter(None, sentences)) or none


def tested(pair, words):
    """What the difference of a pair shows by the verdicts' tests, after each training with it."""
    found = []
    for name, training in TRAININGS.items():
        with suppress(Missing):
            change = minus(name, *pair)
            found += [f"{words(change)} after {training}"] if change.seeds > 2 else []
    return said.listed(found or [NO_SEEDS])


def differences():
    """{claim: its difference after each training, with what its tests show where it is judged}."""
    sentences = {claim: [] for claim in PAIRS}
    for claim, name, _, change in losses():
        if name in TRAININGS:
            words = f"{texts.shown(change)}:" if judged(name) else "it is so far"
            sentences[claim].append(f"After {TRAININGS[name]}, {words} {change}.")
    return {claim: " ".join(told) or "It is not measured yet." for claim, told in sentences.items()}


def in_words(change):
    """A difference in words and in points: gains about two and a half points (+2.7, two seeds)."""
    return f"{texts.changes(change)} ({points(change.mean)}, {texts.seeds(change.values)})"


def once_and_twice(name):
    """The ticket minus the dense network, both trained once and both twice: of the same seeds."""
    parts = complete(name, ("ticket", "dense", "ticket, trained on", "all_tokens"))
    return difference(*parts[:2]), difference(*parts[2:])


def when(name):
    return f"On average, after {TRAININGS[name]}, "


def lead(name):
    """What a training, and a second one, change for the ticket. Raises Missing without a seed."""
    once, after = once_and_twice(name)
    told = (
        f"{when(name)}the ticket {in_words(once)} compared with the dense network. When both are "
        f"trained a second time, it {in_words(after)} compared with that network."
    )
    if not after.mean < 0 < once.mean:
        return told
    return (
        f"{told} So its lead may only show that the dense network was trained too briefly. But the "
        "teacher of both is the dense network, which is less accurate than the ticket, and so it "
        "may hold the ticket back."
    )


def changed(name):
    """What a training changes on the mean, in words."""
    sentences = []
    with suppress(Missing):
        sentences.append(lead(name).removeprefix(when(name)))
    with suppress(Missing):
        learned = minus(name, "selector", "all_tokens")
        random = minus(name, "random_selector", "all_tokens")
        sentences.append(
            f"a learned selector {in_words(learned)} compared with *all tokens*, and a random "
            f"selector {in_words(random)}."
        )
    with suppress(Missing):
        both = in_words(minus(name, "both", "all_tokens"))
        sentences.append(f"a ticket with a selector {both}, compared with *all tokens*.")
    first, *others = sentences or [""]
    return first and " ".join([when(name) + first, *map(texts.upper, others)])


def in_short():
    """`changed` by each training."""
    return after_each(changed, "What they change is not measured yet.")


def message():
    """The same in a few sentences, of the longest training that has its verdicts, if one has."""
    for name in reversed(TRAININGS):
        if judged(name):
            once, after = map(texts.changes, once_and_twice(name))
            stem = minus(name, "stem", "dense")
            network = "a network of [four blocks](larger.md) on CIFAR-10 (JPEG)"
            needs = f"A harder test is {network}, which {texts.changes(stem)} without its blocks."
            needs = needs if stem.below(-ledger.MARGIN) < ledger.LEVEL else f"We asked {network}."
            saved = ledger.saving(trained(name, "selector"), trained(name, "all_tokens"))
            selector = texts.changes(minus(name, "selector", "all_tokens"), "costs")
            random = texts.changes(minus(name, "random_selector", "all_tokens"), "costs")
            more = f" {longer}" if name == SHORT and (longer := computation.instead()) else ""
            chance = "a random choice of as many tokens"
            chance = f"so does {chance}" if random == selector else f"{chance} {random}"
            return (
                f"{needs} After {TRAININGS[name]}, the ticket there {once} compared with the dense "
                f"network. After a second training of both, it {after}.{more} A selector that "
                f"saves {percent(saved)} of the multiply-accumulates {selector} compared with a "
                f"network that is trained as long, and {chance}."
            )
    return ""


def alike(name):
    """Whether the verdicts are those of two blocks, on the same images, and rest on one seed."""
    before, answers = of_two_blocks(), judged(name)
    if not answers:
        return ""
    other = [claim for claim, (answer, *_) in answers.items() if answer != before[claim]]
    same = f"differ for {said.listed(other)} from" if other else "are"
    single = said.listed([*moved_by_a_seed(name)] or ["none of them"])
    return (
        f"After {TRAININGS[name]}, the verdicts {same} those of two blocks on the same images. "
        f"Leaving out one of the seeds changes {single}."
    )


def small_epochs():
    """How many of each training's epochs show small images: two of three, and six of ten."""
    parts = (small_and_whole(name, "dense") for name in TRAININGS)
    words = [f"{texts.WHOLE[early]} of {texts.WHOLE[early + whole]}" for early, whole in parts]
    return said.listed(words)


def summed(name):
    """What both change beside what each changes alone, all trained twice. Raises Missing."""
    *parts, whole = complete(name, ("selector", "ticket, trained on", "both", "all_tokens"))
    alone, ticket, both = (points(difference(part, whole).mean) for part in parts)
    return (
        f"After {TRAININGS[name]}, the selector alone changes accuracy by {alone} points, the "
        f"ticket alone (*ticket, trained on*) by {ticket}, and both together by {both}. Beyond the "
        f"sum, that is {beyond(name)}."
    )


def moved(name):
    """The claims' mean differences in the small network beside a training of four blocks."""
    found = {(claim, n): change for claim, n, _, change in losses()}
    steps = [
        f"{claim} goes from {points(found[claim, SMALL[0]].mean)} to "
        f"{points(found[claim, name].mean)} ({texts.seeds(found[claim, name].values)})"
        for claim in PAIRS
        if {(claim, name), (claim, SMALL[0])} <= found.keys()
    ]
    blocks, epochs = SMALL[1].split(", ")
    return steps and (
        f"From {blocks} ({epochs}, {texts.seeds(trained(SMALL[0], 'dense'))}) to four blocks "
        f"({TRAININGS[name]}), the mean differences change. In points, {said.listed(steps)}."
    )


def other_images():
    """How much wider other test images would make the intervals of the claims' differences."""
    wider = []
    for these, those, _ in PAIRS.values():
        pair = [trained(SHORT, kind) for kind in (these, those)]
        measured = None if pair[0].empty or pair[1].empty else analyses.over_images(*pair)
        if measured:
            wider.append(analyses.times_as_wide(*measured))
    if not wider:
        return "What other test images would add is not known yet."
    return (
        "All networks were tested on the same images. With other images, too, the intervals of the "
        f"claims' differences would be up to {max(wider):.1f} times as wide."
    )


def bars():
    """The losses, labelled for a figure; none before the first of four blocks."""
    lines = list(losses(SHOWN))
    if {name for _, name, *_ in lines} <= {SMALL[0]}:
        return {}
    return {f"{called(claim)}, {network}": each for claim, _, network, each in lines}


def matters():
    for claim, estimate in longer_less_shorter():
        yield {"difference": called(claim)} | tables.columns(estimate)


def reached(kinds, what):
    """Accuracy of networks, {kind: what it is}, by training; what: that column's name."""
    begun = {
        name: training
        for name, training in TRAININGS.items()
        if any(len(trained(name, kind)) for kind in kinds)
    }
    for kind, words in kinds.items():
        parts = {training: trained(name, kind) for name, training in begun.items()}
        cells = {
            f"after {training} (%)": f"{texts.hundredfold(part.accuracy.mean())} ({len(part)})"
            for training, part in parts.items()
            if len(part)
        }
        if cells:
            none = {f"after {training} (%)": "–" for training in parts}
            yield {"network": named(kind), what: words} | none | cells


def draw_rounds():
    """The tickets of every round beside the dense network, and the controls of the last."""
    curves, stems = {}, {}
    looks = {"four_blocks": ("ticket", "bottom"), "four_blocks_long": ("both", "top")}
    for name, training in TRAININGS.items():
        dense = trained(name, "dense")
        for kind in ("ticket", "random", "reinit"):
            part = every(name, kind)
            part = part[part.seed.isin(dense.seed)].assign(percent=100 * part.sparsity)
            if len(part):
                colour = looks[name][0] if kind == "ticket" else kind
                curves[f"{named(kind)}, {training}"] = (colour, part, dense)
                with suppress(Missing):
                    stems[name] = 100 * minus(name, "stem", "dense").mean
    if not curves:
        return draw_sentence("not measured yet")
    fig = draw_paired(curves, "percent", "sparsity (%)", "the dense network's", ledger.MARGIN)
    (ax,) = fig.axes
    for name, stem in stems.items():
        text = f" the stem alone, {TRAININGS[name]}"
        ax.axhline(stem, color=GREY, ls="--", lw=0.8)
        ax.text(sum(ax.get_xlim()) / 2, stem, text, ha="center", va=looks[name][1])
    return fig


def dense_after():
    """What the dense network reaches after each training, a clause each."""
    clauses = []
    for name, training in TRAININGS.items():
        dense = trained(name, "dense")
        if len(dense):
            clauses.append(f"{percent(dense.accuracy)} after {training} ({texts.seeds(dense)})")
    return " and ".join(clauses) or "a share that is not measured yet"


def sparser(name):
    """What the tickets of all rounds change, and the last round's controls: means over the seeds
    that have all of these. Raises Missing without one."""
    dense, _, *controls = complete(name, ("dense", "ticket", "random", "reinit"))
    tickets = every(name, "ticket")
    tickets = tickets[tickets.seed.isin(dense.seed)]
    parts = [part for _, part in tickets.groupby("ticket.round")] + controls
    *steps, random, reinit = (points(difference(part, dense).mean) for part in parts)
    return (
        f"After {TRAININGS[name]}, the tickets differ from the dense network by "
        f"{said.listed(steps)} points ({texts.seeds(dense)}), from the first round to the last. In "
        f"the last round, the random ticket differs by {random}, and the mask with new weights by "
        f"{reinit}."
    )


def verdicts():
    """The verdicts that have been given, a clause for each training."""
    for name, training in TRAININGS.items():
        given = [f"{claim} *{answer}*" for claim, (answer, *_) in judged(name).items()]
        if given:
            yield f"after {training} {', '.join(given)}"


def told_verdicts():
    """The verdicts in a sentence, with what has none yet; or that there are none."""
    told = "; ".join(verdicts())
    if not told:
        return NONE
    begun = {name for _, name, *_ in losses() if name in TRAININGS}
    open_ = [training for name, training in TRAININGS.items() if name in begun and not judged(name)]
    later = "".join(f" After {t} there is none yet: its numbers are provisional." for t in open_)
    return f"The verdicts: {told}.{later}"


def doubt(name):
    """What a verdict on C1 that goes by a lead, which a second training ends, is about; or ""."""
    if judged(name).get("C1", [""])[0] != "supported":
        return ""
    lead, after = once_and_twice(name)
    return after.mean < 0 < lead.mean and (
        f"C1's verdict after {TRAININGS[name]} is about networks that are trained once, and does "
        "not count the search."
    )


def state():
    """In which trainings the claims are measured, and what the dense network reaches."""
    done = [training for name, training in TRAININGS.items() if judged(name)]
    open_ = [training for training in TRAININGS.values() if training not in done]
    clauses = [f"are measured after {said.listed(done)}"] if done else []
    clauses += [f"are being measured after {said.listed(open_)}"] if open_ else []
    told = f"In [networks of four blocks](larger.md), the claims {said.listed(clauses)}."
    if not any(len(trained(name, "dense")) for name in TRAININGS):
        return told
    return (
        f"{told} Of the test images of CIFAR-10 (JPEG), the dense one is right on {dense_after()}."
    )


def substitutions():
    """{name: text} of what the pages say of these networks."""
    counts = []
    for name, training in TRAININGS.items():
        ids, rows_ = planned(name), tables.rows_of(name)
        counts.append(f"{rows_.id.isin(ids).sum()} of {len(ids)} networks with {training}")
    selector = config_of("selector")
    left = map(str, selector.selector.counts(selector.model.tokens))
    compared = {f"larger_{key}": told(partial(minus, these=these, those=those))
                for key, (these, those) in SAID.items()}  # fmt: skip
    compared["larger_c1_twice_words"] = tested(SAID["c1_twice"], texts.shown)
    random = tested(SAID["c3_random"], lambda gain: texts.CONTROLS[ledger.control(gain)])
    random = f"So a random choice {random}." if random != NO_SEEDS else f"{texts.upper(random)}."
    compared["larger_c3_random_words"] = random
    compared["larger_stem_dense"] = told(partial(minus, these="stem", those="dense"), always=True)
    compared |= {f"larger_{claim.lower()}": text for claim, text in differences().items()}
    return (
        compared
        | energy.substitutions()
        | narrower.substitutions()
        | computation.substitutions()
        | {
            "larger_in_short": in_short(),
            "larger_leads": after_each(lead, "What more training changes is not measured yet."),
            "larger_places": choices.preferred(),
            "larger_sum": after_each(summed, "It is not measured yet."),
            "larger_alike": after_each(alike, "There are no verdicts to compare yet."),
            "larger_small_epochs": small_epochs(),
            "larger_trained": " and ".join(counts),
            "larger_sparser": after_each(sparser, "It is not measured yet."),
            "larger_looked": choices.looked(),
            "larger_small": percent(pick(rows(SMALL[0]), "dense").accuracy),
            "larger_moved": after_each(moved, "The differences are not measured yet."),
            "larger_keep_ratio": f"{selector.selector.keep_ratio}",
            "larger_left": said.listed([*left]),
            "larger_seeds": texts.WHOLE[PLANNED],
            "larger_other_images": other_images(),
            "larger_photographs": choices.alike(),
            "larger_uniform": choices.uniform(),
            "larger_untrained": choices.untrained(),
            "larger_doubt": after_each(doubt, "C1 is judged by networks that are trained once."),
            "larger_state": state(),
            "larger_verdicts": told_verdicts(),
        }
    )


def figures():
    """{name: figure} of the page."""
    drawn = {"larger": draw_differences(bars(), ledger.MARGIN), "rounds": draw_rounds()}
    drawn |= {"sizes": narrower.draw_sizes(), "computation": computation.draw()}
    return drawn | energy.figures() | choices.figures()


def pages(book):
    """Write the tables that the page includes."""
    included = {
        "claims": claims(),
        "beside": beside(),
        "matters": matters(),
        "costs": energy.costs(),
        "narrower": narrower.compared(),
        "sizes": narrower.sizes(),
    }
    included |= {"once": reached(ONCE, "what is left"), "twice": reached(TWICE, "starts from")}
    included["choices"] = choices.others()
    for name, lines in included.items():
        (book / f"_larger_{name}.md").write_text(tables.in_markdown(lines))
    names = (*TRAININGS, narrower.NAME)
    left = [name for name in names if planned(name) - {*tables.rows_of(name).id}]
    seeds = ",".join(map(str, range(PLANNED)))
    commands = [f".venv/bin/python -m ssf study {name} --seeds {seeds}\n" for name in left]
    text = "The following trains what is missing. It can be interrupted, and goes on where it was:"
    text = f"{text}\n\n```sh\n{''.join(commands)}```\n" if left else "Nothing is missing.\n"
    (book / "_larger_commands.md").write_text(text)
