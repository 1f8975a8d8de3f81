"""The trained network that a config names: found under runs/, or trained, after those it builds on.

What a run builds on, and how it is trained from there, says ssf.model.tickets. Each is a run of its
own, so that nothing is trained twice, and what was interrupted goes on.
"""

import functools
import sys
from dataclasses import dataclass

from ssf import distributed
from ssf.config import Failed, Refused, RunConfig
from ssf.datasets import sets
from ssf.engine import code, files, observe, records
from ssf.model import tickets, training
from ssf.model.spikformer import Spikformer

MASK = "mask."  # prefix of the masks in a checkpoint


@dataclass
class Run:
    """A finished run: its config and record and, when asked for, its network, masks, history."""

    config: RunConfig
    record: dict

    @functools.cached_property
    def _checkpoint(self):
        return records.read_checkpoint(records.run_folder(self.config))

    @functools.cached_property
    def network(self):
        """In eval mode."""
        network = Spikformer(self.config.model, self.config.selector)
        network.load_state_dict({n: self._checkpoint[0][n] for n in network.state_dict()})
        return network.to(training.device()).eval()

    @functools.cached_property
    def masks(self):
        """Bool tensors by parameter name, an empty dict for a dense network."""
        return _masks_in(self._checkpoint[0])

    @property
    def history(self):
        """A dict for each epoch, with what was measured after it."""
        return self._checkpoint[1]["history"]


def _masks_in(tensors):
    """The masks among a checkpoint's tensors."""
    return {name.removeprefix(MASK): t for name, t in tensors.items() if name.startswith(MASK)}


def run(config, any_code=False, planned=0):
    """The Run of a config. One by other sources is removed and trained anew, but with `any_code`.

    planned: an epoch that a ticket will be rewound to; its weights are kept.

    Raises Refused or Failed, one sentence, for what can't be trained or read.
    """
    folder = records.run_folder(config)
    if not _finished(folder, any_code):
        with distributed.first_process_in(files.lock(folder)):
            if not _finished(folder, any_code):  # another process may have finished it meanwhile
                _make(config, any_code, planned)
    return Run(config, records.read_record(folder))


def _finished(folder, any_code):
    finished = all((folder / name).exists() for name in ("record.json", "checkpoint.safetensors"))
    if finished and not any_code:
        finished = records.read_record(folder)["code"] == code.fingerprint()
    return distributed.agreed(finished)


def _make(config, any_code, planned):
    """Find or train the runs that a run builds on, then train it."""
    records.provenance()  # of the code as it was loaded
    dataset = sets.load_for(config)
    if distributed.rank() == 0:
        files.write_json(records.run_folder(config) / "config.json", config.flat())
    planned = config.ticket.rewind_epoch if config.ticket else planned
    needs = tickets.builds_on(config)
    early = parent = teacher = None
    if needs.unpruned:
        run(needs.unpruned, any_code, planned)
        early = _early_weights(records.run_folder(needs.unpruned), planned)
    if needs.parent:
        parent = run(needs.parent, any_code, planned)
    if needs.teacher:
        teacher = run(needs.teacher, any_code).network
    kept = () if config.ticket else tickets.rewind_epochs(config.train.epochs) | {planned}
    tickets.train(config, dataset, parent, early, teacher, functools.partial(_fit, kept=kept))


def _early_weights(folder, epoch):
    """The weights that an unpruned run had after so many epochs."""
    path = folder / f"epoch-{epoch}.safetensors"
    if not path.exists():
        kept = sorted(int(path.stem.split("-")[1]) for path in folder.glob("epoch-*.safetensors"))
        raise Refused(
            f"ticket.rewind_epoch is {epoch}; allowed: {', '.join(map(str, kept))}, the epochs "
            f"that the finished run {folder} kept; remove that folder, and the run is trained anew "
            f"and keeps epoch {epoch}."
        )
    return files.read_tensors(path)[0]


def _fit(config, network, dataset, masks=None, teacher=None, start=None, kept=()):
    """`training.fit` from the last checkpoint, with one after every epoch; and the record.

    kept: epochs whose weights are kept for tickets to be rewound to.
    """
    folder, masks = records.run_folder(config), masks or {}

    def keep(epoch, tensors):
        if epoch in kept and distributed.rank() == 0:
            weights = {n: t for n, t in tensors.items() if not n.startswith(training.MOMENTS)}
            files.write_tensors(folder / f"epoch-{epoch}.safetensors", weights)

    def after_epoch(moment):
        keep(moment.epoch, moment.tensors)
        if distributed.rank() == 0:
            _save(folder, moment, masks)

    saved = _unfinished(folder)
    if saved:
        tensors, state = saved
        start, masks = training.Moment(tensors=tensors, **state), _masks_in(tensors)
    else:
        keep(0, training.copy_weights(network) | (start.tensors if start else {}))
    try:
        trained = training.fit(
            config, network, dataset, masks, teacher, start, after_epoch=after_epoch
        )
    except Failed as failure:
        last = folder / "checkpoint.safetensors"
        good = f"the last good checkpoint is {last}" if last.exists() else "no epoch was finished"
        raise Failed(f"{failure}; {good}.") from None
    if distributed.rank() == 0:
        _finish(config, dataset, trained, masks)


def _unfinished(folder):
    """The checkpoint that a run goes on from, or None; then what other code left is removed."""
    saved = records.read_checkpoint(folder)
    if saved and saved[1].pop("code", None) == code.fingerprint():
        return saved
    distributed.barrier()  # all have read it
    if distributed.rank() == 0:
        if saved:
            print(f"ssf: {folder} was made by other code; training it again", file=sys.stderr)
        for path in (folder / "record.json", *folder.glob("*.safetensors")):
            path.unlink(missing_ok=True)
    return None


def _save(folder, moment, masks):
    """A Moment and the masks as the folder's checkpoint."""
    tensors = moment.tensors | {MASK + name: mask for name, mask in masks.items()}
    state = {"epoch": moment.epoch, "history": moment.history, "seconds": moment.seconds}
    records.write_checkpoint(folder, tensors, **state, code=code.fingerprint())


def _finish(config, dataset, trained, masks):
    """The last checkpoint, without the optimiser's moments, and the record."""
    folder, history, seconds = records.run_folder(config), trained.history, trained.seconds
    observed = observe.observe(config, dataset, trained.network, masks)
    weights = training.copy_weights(trained.network)
    _save(folder, training.Moment(config.train.epochs, weights, history, seconds), masks)
    seen, looked_at = len(history) * trained.images, len(dataset.test_labels)
    measured = records.measurements(history, seconds, seen, looked_at)
    # last: its presence says that the run is finished
    record = records.make_record(config, masks, measured | observed)
    files.write_json(folder / "record.json", record)
