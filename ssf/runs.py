"""The trained network that a config names: found under runs/, or trained, after the runs it builds on.

A ticket builds on the round before it, the first round on the dense run; a selector builds on the same config without
one. Each is a run of its own, so what is there is never trained twice.
"""

from dataclasses import dataclass, replace

from ssf import data, store, tickets, train
from ssf.config import RunConfig
from ssf.spikformer import Spikformer

REINIT = 0x5EED  # added to the seed for the new initialisation of the control


@dataclass
class Run:
    """A trained network, in eval mode, with its masks ({} for a dense one), its learning curve and its record."""

    config: RunConfig
    network: Spikformer
    masks: dict
    history: list
    record: dict


def run(config):
    """The Run of a config. Raises ValueError, one sentence, for what can't be trained or read."""
    found = _found(config)
    if found:
        return found
    dataset = data.load(config.data.name)
    if config.selector:
        masks, trained = _fit_selector(config, dataset)
    elif config.ticket:
        masks, trained = _fit_ticket(config, dataset)
    else:
        masks, trained = {}, train.fit(config, train.make_network(config), dataset)
    where = train.device()
    accuracy, loss = train.evaluate(
        trained.network, dataset.standardise(dataset.test_images).to(where), dataset.test_labels.to(where)
    )
    record = store.make_record(config, trained, masks, accuracy, loss, len(dataset.test_labels))
    folder = store.run_folder(config)
    store.write_json(folder / "config.json", config.as_dict())
    store.write_json(folder / "history.json", trained.history)
    store.write_tensors(folder / "weights.safetensors", train.copy_weights(trained.network))
    store.write_tensors(folder / "masks.safetensors", masks)
    store.write_json(folder / "record.json", record)  # last: its presence says that the run is finished
    return Run(config, trained.network, masks, trained.history, record)


def _found(config):
    folder = store.run_folder(config)
    if not (folder / "record.json").exists():
        return None
    network = Spikformer(config.model, config.selector)
    network.load_state_dict(store.read_tensors(folder / "weights.safetensors"))
    return Run(
        config,
        network.to(train.device()).eval(),
        store.read_tensors(folder / "masks.safetensors"),
        store.read_json(folder / "history.json"),
        store.read_json(folder / "record.json"),
    )


def _fit_selector(config, dataset):
    """The student starts from the trained weights without a selector; the teacher is the dense network."""
    parent = run(replace(config, selector=None))
    teacher = run(replace(config, selector=None, ticket=None)).network
    network = train.make_network(config)
    network.load_state_dict({**network.state_dict(), **train.copy_weights(parent.network)})
    return parent.masks, train.fit(config, network, dataset, masks=parent.masks, teacher=teacher)


def _fit_ticket(config, dataset):
    """Prune the round before, rewind (or, for a control, initialise anew), train to the end of the schedule."""
    ticket = config.ticket
    if ticket.control == "magnitude_at_init":
        network = train.make_network(config)
        masks = tickets.full_masks(network)
        for _ in range(ticket.round):
            masks = tickets.prune(network, masks, ticket.fraction, ticket.scope)
        return masks, train.fit(config, network, dataset, masks=masks)
    before = replace(ticket, round=ticket.round - 1, control="ticket") if ticket.round > 1 else None
    parent = run(replace(config, ticket=before))
    masks = parent.masks or tickets.full_masks(parent.network)
    masks = tickets.prune(parent.network, masks, ticket.fraction, ticket.scope)
    if ticket.control == "reinit":
        return masks, train.fit(config, train.make_network(config, config.seed + REINIT), dataset, masks=masks)
    if ticket.control == "random":
        masks = tickets.shuffled(masks, config.seed)
    then, network = rewind_point(config, dataset), train.make_network(config)
    names = network.state_dict() if ticket.rewind == "state" else dict(network.named_parameters())
    network.load_state_dict(network.state_dict() | {name: then[name] for name in names})
    moments = then if ticket.rewind == "state" else None
    return masks, train.fit(
        config, network, dataset, masks=masks, first_epoch=ticket.rewind_epoch, optimiser_state=moments
    )


def rewind_point(config, dataset):
    """A snapshot of the dense run after `rewind_epoch` epochs (see train.snapshot).

    Those epochs are run again, once: on a CPU with the same number of threads they give the same weights.
    """
    dense = replace(config, ticket=None, selector=None)
    epoch = config.ticket.rewind_epoch
    path = store.run_folder(dense) / f"epoch-{epoch}.safetensors"
    if not path.exists():
        replay = train.fit(dense, train.make_network(dense), dataset, last_epoch=epoch, snapshot_epochs=(epoch,))
        store.write_tensors(path, replay.snapshots[epoch])
    return store.read_tensors(path)
