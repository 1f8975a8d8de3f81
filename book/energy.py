"""What the networks of four blocks cost, where they spike, and where a ticket keeps its weights."""

import said
import texts
from four_blocks import ONCE, SHORT, TWICE, complete, config_of, named, trained

from ssf.config import RunConfig
from ssf.engine.observe import MAC_PICOJOULE
from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.figures.chapters import draw_layers
from ssf.figures.style import COLOURS, MARKERS, done, draw_sentence, figure
from ssf.model import cost
from ssf.study import ledger
from ssf.study.ledger import pick
from ssf.study.statistics import percent

RATES = {"dense": "dense", "all_tokens": "longer", "selector": "learned"}  # kind: whose colour
CLOSE = 1.05  # times the least energy, within which networks count as alike


def compared():
    """{kind: rows} of the shorter training, of the seeds that have all kinds."""
    kinds = (*ONCE, *TWICE)
    return dict(zip(kinds, complete(SHORT, kinds), strict=True))


def costs():
    """Accuracy of the networks of the shorter training, and what an image takes."""
    parts = compared()
    dense = parts["dense"].energy_left.mean()
    for kind, part in parts.items():
        if len(part):
            energy = part.energy_left.mean()
            yield {
                "network": named(kind),
                "accuracy (%)": texts.hundredfold(part.accuracy.mean()),
                "MACs (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "fires (%)": texts.hundredfold(part.firing_rate.mean()),
                "energy (µJ)": f"{energy:.2f}",
                "of the dense network's (%)": f"{100 * energy / dense:.0f}",
            }


def least():
    """The networks of the table that need the least energy, by `CLOSE`."""
    energies = {named(kind): part.energy_left.mean() for kind, part in compared().items()}
    low = min(energies.values())
    close = [network for network, energy in energies.items() if energy <= CLOSE * low]
    if not close:
        return "They are not measured yet."
    if len(close) == 1:
        return f"*{texts.upper(close[0])}* needs least, {low:.2f} µJ an image."
    listed = said.listed([f"*{network}*" for network in close])
    return (
        f"The least in this table is {low:.2f} µJ an image. Within {100 * (CLOSE - 1):.0f} % of it "
        f"are {listed}, and we do not interpret such small differences."
    )


def saved():
    """What a selector saves of MACs and energy, beside all tokens, and what it takes itself."""
    parts = compared()
    whole, part, chance = (parts[kind] for kind in ("all_tokens", "selector", "random_selector"))
    if part.empty:
        return "What the selector saves is not measured yet."
    before, learned, random = (each.energy_left.mean() for each in (whole, part, chance))
    config = config_of("selector")
    layers = cost.layers(config.model, config.selector)
    own = MAC_PICOJOULE / 1e6 * sum(row.macs for row in layers if row.role == "selector")
    return (
        f"Beside *all tokens*, the selector saves {percent(ledger.saving(part, whole))} of the "
        f"MACs and {percent([1 - learned / before])} of the energy. A random choice of as many "
        f"tokens saves {percent([1 - random / before])} of the energy. The learned selector takes "
        f"{learned - random:.2f} µJ more than the random one, and its own layers alone take "
        f"{own:.2f} µJ: they multiply numbers, where most others add spikes."
    )


def saved_of_a_ticket():
    """What a selector does to the energy of a ticket that is trained as long."""
    parts = compared()
    without, both = parts["ticket, trained on"], parts["both"]
    if both.empty:
        return "It is not measured yet."
    before, after = without.energy_left.mean(), both.energy_left.mean()
    does = "costs more than it saves" if after > before else "saves more than it costs"
    macs = (f"{part.macs_left.mean() / 1e6:.1f} M" for part in (without, both))
    return (
        f"In energy it {does}: *ticket, trained on* takes {before:.2f} µJ an image, and *both* "
        f"{after:.2f} µJ. They take {said.listed([*macs])} MACs."
    )


def sparsity():
    """What is left of the last ticket's weights, and of all its parameters."""
    ticket = trained(SHORT, "ticket")
    if ticket.empty:
        return "The ticket is not trained yet."
    return (
        f"The last ticket keeps {percent(1 - ticket.sparsity)} of the weights. Biases and "
        "BatchNorm's parameters are never pruned, so of all parameters it keeps "
        f"{percent(ticket.parameters_left / ticket.parameters)}."
    )


def thinned():
    """Which layers the last ticket thins out most and least, and what is left of the MACs."""
    ticket = trained(SHORT, "ticket")
    if ticket.empty:
        return "The ticket is not trained yet."
    kept = ledger.densities(ticket).set_index("layer").kept
    low, high = kept.idxmin(), kept.idxmax()
    rows = cost.layers(RunConfig.from_flat(ticket.iloc[0].to_dict()).model)
    products = sum(row.macs for row in rows if row.role == "attention")
    left, whole = ticket.macs_left.mean(), ticket.macs.mean()
    return (
        f"The ticket keeps least of `{low}` ({percent([kept[low]])}) and most of `{high}` "
        f"({percent([kept[high]])}). It has {percent(1 - ticket.sparsity)} of the weights and "
        f"{percent([left / whole])} of the MACs. The two products of attention, q·k and times v, "
        f"have no weights to prune, and are {percent([products / left])} of the MACs that are "
        f"left. Without them, {percent([(left - products) / (whole - products)])} of the MACs are "
        "left."
    )


def draw_densities():
    """The share of its weights that each layer of the last ticket keeps, the mean over seeds."""
    ticket = trained(SHORT, "ticket")
    if ticket.empty:
        return draw_sentence("not measured yet")
    kept = ledger.densities(ticket).set_index("layer").kept
    return draw_layers((100 * kept).to_dict(), "weights kept (%)")


def fired():
    """The firing rates, a row a kind and layer. Raises Missing where they are not measured."""
    frame = inside.look("rates")
    return frame.assign(layer=frame.layer.str.removesuffix("lif").str.strip("._"))


def draw_rates():
    """How much each layer's neurons fire, in three networks of one seed."""
    try:
        frame = fired()
    except Missing:
        return draw_sentence("not measured yet")
    layers = list(dict.fromkeys(frame.layer))
    fig, ax = figure(height=0.23 * len(layers) + 1.1)
    for kind, colour in RATES.items():
        part = pick(frame, kind)
        style = {"color": COLOURS[colour], "alpha": 0.85, "label": named(kind)}
        ax.plot(100 * part.rate, part.layer, MARKERS.get(colour, "o"), **style)
    ax.invert_yaxis()
    ax.grid(axis="y", lw=0.4)
    ax.set(xlabel="neurons and time steps with a spike (%)", xlim=(0, None))
    return done(fig, legend=3)


def fires():
    """In how many layers the selector's network has a higher rate than all tokens, and where."""
    try:
        rates = fired().pivot(index="layer", columns="kind", values="rate")
    except Missing:
        return "It is not measured yet."
    more = rates.selector - rates.all_tokens
    low, high, end = rates.all_tokens.idxmin(), rates.all_tokens.idxmax(), more.abs().idxmax()
    shares = *rates.all_tokens[[low, high, end]], rates.selector[end]
    least, most, before, after = (percent([share]) for share in shares)
    return (
        f"With all tokens, `{high}` fires most ({most}) and `{low}` least ({least}). With the "
        f"selector, {sum(more > 0)} of {len(more)} layers have a higher rate than with all tokens. "
        f"The rate differs most in `{end}`: {after} instead of {before}. (No token is dropped "
        "before block 1, so what differs up to there, training has changed.)"
    )


def substitutions():
    """{name: text} of what the page says of costs and spikes."""
    return {
        "larger_densities": thinned(),
        "larger_least": least(),
        "larger_rates": fires(),
        "larger_saved": saved(),
        "larger_saved_of_a_ticket": saved_of_a_ticket(),
        "larger_sparsity": sparsity(),
    }


def figures():
    """{name: figure} of the same."""
    return {"densities": draw_densities(), "rates": draw_rates()}
