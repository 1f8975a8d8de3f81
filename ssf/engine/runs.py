"""The trained network that a config names: found under runs/, or trained, after the runs it builds on.

A ticket builds on the round before it, the first round on the dense run; a selector builds on the same config without
one. Each is a run of its own, so what is there is never trained twice, and what was interrupted goes on.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ssf import distributed
from ssf.config import Failed, RunConfig
from ssf.datasets import sets
from ssf.engine import records
from ssf.engine.truth import against_truth
from ssf.model import cost, tickets, training
from ssf.model.spikformer import Spikformer

REINIT = 0x5EED  # added to the seed for the new initialisation of the control
MASK = "mask."  # prefix of the masks in a checkpoint
LOOKED_AT = 100  # test images behind firing rates and operations


@dataclass
class Run:
    """A finished run: config and record; read when asked for: the network (in eval mode), its masks, its history."""

    config: RunConfig
    record: dict

    @cached_property
    def _checkpoint(self):
        tensors, state = records.read_checkpoint(records.run_folder(self.config))
        return tensors, state["history"]

    @cached_property
    def network(self):
        network = Spikformer(self.config.model, self.config.selector)
        network.load_state_dict({n: self._checkpoint[0][n] for n in network.state_dict()})
        return network.to(training.device()).eval()

    @cached_property
    def masks(self):
        """{parameter name: bool tensor}, {} for a dense network."""
        return _masks_in(self._checkpoint[0])

    @property
    def history(self):
        return self._checkpoint[1]


def _masks_in(tensors):
    """The masks among a checkpoint's tensors."""
    return {name.removeprefix(MASK): t for name, t in tensors.items() if name.startswith(MASK)}


def run(config):
    """The Run of a config. Raises ValueError, one sentence, for what can't be trained or read."""
    if not _there(config):
        with distributed.first_process_in(records.Lock(config)):
            if not _there(config):  # another process may have finished it meanwhile
                _make(config, records.run_folder(config))
    return Run(config, records.read_record(records.run_folder(config)))


def _there(config):
    folder = records.run_folder(config)
    return distributed.agreed(
        all((folder / name).exists() for name in ("record.json", "checkpoint.safetensors"))
    )


def _make(config, folder):
    records.provenance()  # of the code as it was loaded
    dataset = sets.load_for(config)
    if distributed.rank() == 0:
        records.write_json(folder / "config.json", config.as_dict())
    if config.selector and (config.ticket is None or config.ticket.order == "ticket_first"):
        _train_selector(config, dataset)
    elif config.ticket:
        _train_ticket(config, dataset)
    else:
        _train(config, dataset, training.make_network(config))


def _train(config, dataset, network, masks=None, start=None, teacher=None):
    """Train with a checkpoint after every epoch, going on from one that is there, and write the record."""
    folder, masks = records.run_folder(config), masks or {}
    saved = records.read_checkpoint(folder)
    if saved:
        tensors, state = saved
        start = training.Moment(tensors=tensors, **state)
        masks = _masks_in(tensors)

    def after_epoch(moment):
        if distributed.rank() == 0:
            if moment.epoch in kept_epochs(config):
                records.write_tensors(folder / f"epoch-{moment.epoch}.safetensors", moment.tensors)
            _save(folder, moment, masks)

    try:
        trained = training.fit(
            config, network, dataset, masks, teacher, start, after_epoch=after_epoch
        )
    except Failed as failure:
        last = folder / "checkpoint.safetensors"
        there = (
            f"the last good checkpoint is {last}"
            if last.exists()
            else "no epoch was finished before"
        )
        raise Failed(f"{failure}; {there}.") from None
    if distributed.rank() == 0:
        _finish(config, dataset, trained, masks)


def _save(folder, moment, masks):
    """A Moment and the masks as the folder's checkpoint."""
    tensors = moment.tensors | {MASK + name: mask for name, mask in masks.items()}
    records.write_checkpoint(
        folder, tensors, epoch=moment.epoch, history=moment.history, seconds=moment.seconds
    )


def _finish(config, dataset, trained, masks):
    """The last checkpoint, without the optimiser's moments, and the record."""
    folder = records.run_folder(config)
    observed = observe(config, dataset, trained.network, masks)
    weights = training.copy_weights(trained.network)
    _save(
        folder,
        training.Moment(config.train.epochs, weights, trained.history, trained.seconds),
        masks,
    )
    seen = len(trained.history) * trained.images
    measured = records.measurements(
        trained.history, trained.seconds, seen, len(dataset.test_labels)
    )
    # last: its presence says that the run is finished
    records.write_json(
        folder / "record.json", records.make_record(config, masks, measured | observed)
    )


def observe(config, dataset, network, masks):
    """What a trained network does on test images: `records.activity` and, where the set tells, the selector's truth."""
    where, looks = training.device(), []
    some = dataset.part("test", torch.arange(min(LOOKED_AT, len(dataset.test_labels))))
    with training.own_random_state():
        torch.manual_seed(config.seed)  # for the random selector
        for pixels, _, foreground in sets.batches(some):
            foreground = None if foreground is None else foreground.to(where)
            given = dataset.standardise(pixels.to(where)), training.truth(network, foreground)
            rates = cost.firing_rates(network, *given)
            looks.append(
                (
                    len(pixels),
                    rates,
                    cost.operations(network, config.model, config.selector, *given),
                )
            )
    found = records.activity(*cost.averaged(looks), masks)
    if config.selector and dataset.test_foreground is not None:
        scores = against_truth(network, network.selector, dataset, seed=config.seed)
        found |= {
            column: scores[column.replace("_", " ")].float().mean().item()
            for column in records.TRUTH
        }
    return found


def kept_epochs(config):
    """Epochs of an unpruned run that are kept for tickets to be rewound to: the first, and 20 of 300 as published."""
    return () if config.ticket else (1, config.train.epochs // 15)


def _train_selector(config, dataset):
    """The student starts from the trained weights without a selector; the teacher is the dense network."""
    start, teacher = _student_of(config)
    _train(
        config,
        dataset,
        training.make_network(config),
        run(replace(config, selector=None)).masks,
        start,
        teacher,
    )


def _student_of(config):
    """(the Moment that a student starts from, its teacher)."""
    parent = run(replace(config, selector=None))
    return training.Moment(0, training.copy_weights(parent.network)), _teacher(config)


def _teacher(config):
    """The dense network, for a student; None where there is no selector."""
    return run(replace(config, selector=None, ticket=None)).network if config.selector else None


def _train_ticket(config, dataset):
    """Prune the round before, rewind (or, for a control, initialise anew), train to the end of the schedule."""
    ticket = config.ticket
    if ticket.control == "magnitude_at_init":
        network = training.make_network(config)
        masks = tickets.magnitude_at_init(network, ticket.round, ticket.fraction, ticket.scope)
        return _train(config, dataset, network, masks)
    before = (
        replace(ticket, round=ticket.round - 1, control="ticket", search_time_steps=0)
        if ticket.round > 1
        else None
    )
    searched = replace(config.model, time_steps=ticket.search_time_steps or config.model.time_steps)
    unpruned = _unpruned(config)
    parent = run(
        replace(config, ticket=before, model=searched)
        if before
        else replace(unpruned, model=searched)
    )
    masks = parent.masks or tickets.full_masks(parent.network)
    masks = tickets.prune(parent.network, masks, ticket.fraction, ticket.scope)
    if (
        ticket.order == "together"
    ):  # the dense network before the first round has no selector to prune
        masks = tickets.full_masks(training.make_network(config)) | masks
    if ticket.control == "reinit":
        return _train(config, dataset, training.make_network(config, config.seed + REINIT), masks)
    if ticket.control == "random":
        masks = tickets.shuffled(masks, config.seed)
    network, tensors = (
        training.make_network(config),
        rewind_point(unpruned, ticket.rewind_epoch, dataset),
    )
    if ticket.rewind == "weights":
        own = {name for name, _ in network.named_parameters()}
        tensors = {name: tensor for name, tensor in tensors.items() if name in own}
    return _train(
        config,
        dataset,
        network,
        masks,
        training.Moment(ticket.rewind_epoch, tensors),
        _teacher(config),
    )


def _unpruned(config):
    """The config of the run that a ticket is found in and rewound to: the dense one or, selector_first, the student."""
    selector_first = config.ticket.order == "selector_first"
    return replace(config, ticket=None, selector=config.selector if selector_first else None)


def rewind_point(unpruned, epoch, dataset):
    """The tensors of an unpruned run after so many epochs (see training.snapshot).

    Where the run did not keep them, those epochs are run again, once: on a CPU with the same number of threads they
    give the same weights.
    """
    path = records.run_folder(unpruned) / f"epoch-{epoch}.safetensors"
    with distributed.first_process_in(records.Lock(unpruned)):
        if not distributed.agreed(path.exists()):
            network, start, teacher = training.make_network(unpruned), None, None
            if unpruned.selector:
                start, teacher = _student_of(unpruned)
            moments = [start or training.Moment(0, training.copy_weights(network))]
            training.fit(
                unpruned,
                network,
                dataset,
                None,
                teacher,
                start,
                last_epoch=epoch,
                after_epoch=moments.append,
            )
            if distributed.rank() == 0:
                records.write_tensors(path, moments[-1].tensors)
    return records.read_tensors(path)[0]
