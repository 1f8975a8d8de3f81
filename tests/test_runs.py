import json
import multiprocessing
import os
import random
import signal
import threading
from dataclasses import replace

import pytest
import torch
from filelock import FileLock

from ssf.config import Failed, Refused
from ssf.engine import code, files, records
from ssf.engine.runs import run
from ssf.model import cost, tickets, training
from ssf.presets import preset

# processes that a test may kill: forked from one that has imported torch, but not yet used it
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "ssf.engine.runs", "ssf.presets"])
TIMING = ("seconds", "images_per_second")


def same(a, b):
    return all(torch.equal(a[n].cpu(), b[n].cpu()) for n in a) and a.keys() == b.keys()


@pytest.fixture
def starts(monkeypatch):
    """{config: (weights that a training began with, its start, its teacher)}, as it is trained."""
    seen, fit = {}, training.fit

    def noted(config, network, dataset=None, masks=None, teacher=None, start=None, **keywords):
        start = start or training.Moment(0, {})
        own = training.copy_weights(network)
        seen[config] = own | {n: t for n, t in start.tensors.items() if n in own}, start, teacher
        return fit(config, network, dataset, masks, teacher, start, **keywords)

    monkeypatch.setattr(training, "fit", noted)
    return seen


def first_moment(config):
    seen = []
    training.fit(config, training.make_network(config), last_epoch=1, after_epoch=seen.append)
    return seen[0].tensors


def test_a_finished_run_is_read_not_trained(smoke, monkeypatch):
    first = run(smoke)
    monkeypatch.setattr(training, "fit", None)
    again = run(smoke)
    assert again.record == first.record and again.history == first.history
    assert (
        same(first.network.state_dict(), again.network.state_dict()) and not again.network.training
    )
    assert files.read_json(records.run_folder(smoke) / "config.json") == json.loads(
        json.dumps(smoke.flat())
    )


def test_a_record_says_what_was_run_and_what_came_out(smoke):
    record = run(smoke).record
    assert record["id"] == smoke.hash() and record["model.width"] == smoke.model.width
    assert (
        record["ticket.round"] is None
        and record["world_size"] == 1
        and record["results_version"] >= 2
    )
    assert 0 <= record["accuracy"] <= 1 and record["loss"] > 0 and record["seconds"] > 0
    assert record["parameters_left"] == record["parameters"] and record["sparsity"] == 0
    assert (
        record["sops_left"] == record["sops"] > 0
        and record["energy_left"] == record["energy_one_addition"] > 0
    )
    assert record["densities"] == "{}" and record["recall"] is None
    frame = records.frame([record])
    assert list(frame.id) == [smoke.hash()] and frame.accuracy[0] == record["accuracy"]


def test_a_ticket_is_the_dense_runs_large_weights_rewound(smoke, starts):
    cfg = smoke.with_(**{"ticket.round": 1, "ticket.fraction": 0.6, "ticket.rewind_epoch": 1})
    dense = run(smoke)
    ticket = run(cfg)
    expected = tickets.prune(dense.network, tickets.full_masks(dense.network), 0.6)
    assert same(ticket.masks, expected)
    weights, start, _ = starts[cfg]
    after_one = first_moment(smoke)
    fresh = training.make_network(cfg).state_dict()
    for name, weight in weights.items():
        statistic = "running" in name or "tracked" in name
        assert torch.equal(weight, (fresh if statistic else after_one)[name]), name
    assert start.epoch == 1 and not any(n.startswith(training.MOMENTS) for n in start.tensors)
    assert ticket.record["sparsity"] == pytest.approx(0.6, abs=1e-3)
    assert ticket.record["parameters"] - ticket.record["parameters_left"] == sum(
        int((~m).sum()) for m in ticket.masks.values()
    )
    for name, weight in tickets.prunable(ticket.network).items():
        assert not weight[~ticket.masks[name]].any()


def test_magnitude_at_initialisation_needs_no_trained_network(smoke, starts):
    control = {"ticket.round": 3, "ticket.fraction": 0.5, "ticket.control": "magnitude_at_init"}
    cfg = smoke.with_(**control)
    found = run(cfg)
    assert list(starts) == [cfg] and len(found.history) == smoke.train.epochs
    assert found.record["sparsity"] == pytest.approx(1 - 0.5**3, abs=1e-3)
    fresh = training.make_network(smoke)
    weights = tickets.prunable(fresh)
    kept = torch.cat([w[found.masks[n]].abs() for n, w in weights.items()])
    gone = torch.cat([w[~found.masks[n]].abs() for n, w in weights.items()])
    assert kept.min() >= gone.max() and same(starts[cfg][0], fresh.state_dict())


def test_rounds_and_controls_share_the_search(smoke):
    base = smoke.with_(**{"ticket.fraction": 0.5})
    one, two = run(base), run(base.with_(**{"ticket.round": 2}))
    assert two.record["sparsity"] == pytest.approx(0.75, abs=1e-3)
    assert all(bool((two.masks[n] <= one.masks[n]).all()) for n in one.masks)
    reinit = run(base.with_(**{"ticket.round": 2, "ticket.control": "reinit"}))
    random = run(base.with_(**{"ticket.round": 2, "ticket.control": "random"}))
    assert same(reinit.masks, two.masks) and not same(random.masks, two.masks)
    assert cost.density_by_layer(random.masks) == cost.density_by_layer(two.masks)
    assert (
        len(reinit.history) == smoke.train.epochs == len(two.history) + 1
    )  # equal training in all


def test_an_early_time_ticket_takes_its_mask_from_a_search_with_fewer_steps(smoke):
    base = smoke.with_(**{"ticket.fraction": 0.5, "ticket.round": 2, "model.time_steps": 3})
    early = run(base.with_(**{"ticket.search_time_steps": 1}))
    search = run(base.with_(**{"model.time_steps": 1}))
    assert early.config.model.time_steps == 3 and same(early.masks, search.masks)
    assert not same(early.masks, run(base).masks)


def test_the_control_starts_from_other_weights_than_the_dense_run(smoke):
    a, b = training.make_network(smoke), training.make_network(smoke, smoke.seed + tickets.REINIT)
    assert not same(a.state_dict(), b.state_dict())


def test_selector_first_prunes_the_student_and_rewinds_it_to_itself(smoke, starts):
    student = smoke.with_(**{"selector.keep_ratio": 0.5})
    pruned = student.with_(**{"ticket.fraction": 0.5, "ticket.order": "selector_first"})
    found, there = run(pruned), run(student)
    expected = tickets.prune(there.network, tickets.full_masks(there.network), 0.5)
    assert same(found.masks, expected) and any(name.startswith("selector") for name in found.masks)
    _, start, teacher = starts[pruned]
    kept = files.read_tensors(records.run_folder(student) / "epoch-1.safetensors")[0]
    assert start.epoch == 1 and all(
        torch.equal(tensor, kept[name]) for name, tensor in start.tensors.items()
    )
    assert same(teacher.state_dict(), run(smoke).network.state_dict())


def test_together_starts_from_the_dense_run_and_prunes_the_selector_from_the_second_round_on(
    smoke, starts
):
    both = smoke.with_(
        **{"selector.keep_ratio": 0.5, "ticket.fraction": 0.5, "ticket.order": "together"}
    )
    second = run(both.with_(**{"ticket.round": 2}))
    first, dense = run(both), run(smoke)
    expected = tickets.prune(dense.network, tickets.full_masks(dense.network), 0.5)
    assert same({name: first.masks[name] for name in expected}, expected)
    assert all(first.masks[name].all() for name in first.masks.keys() - expected.keys())
    assert same(second.masks, tickets.prune(first.network, first.masks, 0.5))
    rewound = files.read_tensors(records.run_folder(smoke) / "epoch-1.safetensors")[0]
    _, start, teacher = starts[second.config]
    assert start.epoch == 1 and all(
        torch.equal(tensor, rewound[name]) for name, tensor in start.tensors.items()
    )
    assert not any(name.startswith("selector") for name in start.tensors)
    assert same(teacher.state_dict(), dense.network.state_dict())


def test_selector_starts_from_the_dense_weights_and_keeps_a_tickets_mask(smoke, starts):
    both = smoke.with_(**{"selector.keep_ratio": 0.5, "ticket.fraction": 0.7})
    student = run(both)
    ticket, dense = run(replace(both, selector=None)), run(smoke)
    weights, _, teacher = starts[both]
    assert same(
        training.copy_weights(ticket.network),
        {n: w for n, w in weights.items() if "predictors" not in n},
    )
    assert same(teacher.state_dict(), dense.network.state_dict()) and not teacher.training
    assert same(student.masks, ticket.masks)
    assert (
        student.record["macs"] < dense.record["macs"]
        and student.record["macs_left"] < student.record["macs"]
    )
    for name, weight in tickets.prunable(student.network).items():
        assert name not in student.masks or not weight[~student.masks[name]].any()


@pytest.mark.parametrize("name", ["record.json", "checkpoint.safetensors"])
def test_a_damaged_run_is_named_with_what_mends_it(smoke, name):
    run(smoke)
    path = records.run_folder(smoke) / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=f"{name} is damaged; remove it and run again"):
        assert run(smoke).network


def test_an_altered_checkpoint_is_noticed(smoke):
    run(smoke)
    path = records.run_folder(smoke) / "checkpoint.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1  # one bit of one weight
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"checkpoint.safetensors is damaged; remove it"):
        assert run(smoke).network


# batches of one size, so that the teacher's potentials do carry over from one to the next
LEAKING = {
    "selector.keep_ratio": 0.5,
    "selector.teacher_in_training_mode": True,
    "train.batch_size": 43,
}


def interrupted(monkeypatch, epoch):
    """Let a run stop after writing this epoch's checkpoint, as by Ctrl-C."""
    written = records.write_checkpoint

    def stopping(folder, tensors, **state):
        written(folder, tensors, **state)
        if state["epoch"] == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(records, "write_checkpoint", stopping)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"selector.keep_ratio": 0.5, "train.optimiser": "muon"},
        LEAKING,
        {"ticket.fraction": 0.6, "ticket.own_lr": 0.01},
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_end(smoke, part, monkeypatch, tmp_path):
    cfg = smoke.with_(**{"train.epochs": 4, **part})
    with monkeypatch.context() as patch:
        patch.setenv("SSF_RUNS", str(tmp_path))
        whole = run(cfg)
        assert whole.network and whole.history
    with monkeypatch.context() as patch:
        interrupted(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(cfg)
    resumed = run(cfg)
    assert (
        same(resumed.network.state_dict(), whole.network.state_dict())
        and resumed.history == whole.history
    )
    assert {k: v for k, v in resumed.record.items() if k not in TIMING} == {
        k: v for k, v in whole.record.items() if k not in TIMING
    }
    log = (records.run_folder(cfg) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in log] == whole.history


def test_a_failed_training_names_its_last_good_checkpoint(smoke, monkeypatch):
    loss, calls = training.batch_loss, []

    def failing(*args):
        calls.append(1)
        value, logits = loss(*args)
        return (value if len(calls) < 5 else value * float("nan")), logits  # three steps an epoch

    monkeypatch.setattr(training, "batch_loss", failing)
    with pytest.raises(
        Failed, match=r"loss is nan in epoch 2, step 2, .*; the last good checkpoint is .*"
    ):
        run(smoke)
    _, state = records.read_checkpoint(records.run_folder(smoke))
    assert state["epoch"] == 1


@pytest.fixture
def fits(monkeypatch):
    """The configs that are trained, in order."""
    trained, fit = [], training.fit

    def noted(config, *arguments, **keywords):
        trained.append(config)
        return fit(config, *arguments, **keywords)

    monkeypatch.setattr(training, "fit", noted)
    return trained


def kept(config):
    """{epoch: weights} that a run has kept."""
    paths = records.run_folder(config).glob("epoch-*.safetensors")
    return {int(path.stem.split("-")[1]): files.read_tensors(path)[0] for path in paths}


def test_a_dense_run_keeps_the_epochs_that_tickets_are_rewound_to(smoke, fits, starts):
    run(smoke)
    weights = kept(smoke)
    assert same(weights[0], training.make_network(smoke).state_dict())
    first = first_moment(smoke)
    assert same(weights[1], {n: t for n, t in first.items() if training.MOMENTS not in n})
    assert weights.keys() == {0, 1} and weights[1].keys() < first.keys()
    del fits[:]
    for epoch in (0, 1):
        cfg = smoke.with_(**{"ticket.rewind_epoch": epoch})
        run(cfg)
        start = starts[cfg][1]
        assert fits.pop() == cfg and not fits and start.epoch == epoch
        assert all(torch.equal(t, weights[epoch][name]) for name, t in start.tensors.items())


def test_a_long_run_keeps_few_epochs_and_those_that_a_planned_ticket_asks_for(
    smoke, fits, monkeypatch
):
    """Trained again, perhaps on other threads, an epoch might be one that the run never had."""
    monkeypatch.setattr(training, "evaluate", lambda *_: (0.5, 1.0))  # for the sake of time
    dense = smoke.with_(**{"train.epochs": 22, "data.train_size": 40})
    ticket = dense.with_(**{"ticket.rewind_epoch": 7})
    run(dense)
    assert kept(dense).keys() == {0, 1, 20} and fits == [dense]
    sentence = r"ticket.rewind_epoch is 7; allowed: 0, 1, 20, the epochs that the finished run .*"
    with pytest.raises(Refused, match=f"{sentence}{dense.hash()} kept; remove that folder"):
        run(ticket)
    assert fits == [dense]
    for path in records.run_folder(dense).iterdir():
        path.unlink()
    run(ticket)
    assert kept(dense).keys() == {0, 1, 7, 20} and fits == [dense, dense, ticket]
    assert tickets.rewind_epochs(300) == {0, 1, 20} and tickets.rewind_epochs(2) == {0, 1}
    assert tickets.rewind_epochs(600) == {0, 1, 20, 40}


def test_a_run_that_other_code_made_is_trained_again(smoke, fits, monkeypatch, capsys):
    cfg = smoke.with_(**{"ticket.fraction": 0.5})
    first, own = run(cfg), code.fingerprint()
    assert first.record["code"] == own and fits == [smoke, cfg]
    monkeypatch.setattr(code, "fingerprint", lambda: "another")
    assert run(cfg, any_code=True).record == first.record and fits == [smoke, cfg]
    further = run(replace(cfg, ticket=replace(cfg.ticket, round=2)), any_code=True)
    assert further.record["code"] == "another" and len(fits) == 3
    assert not capsys.readouterr().err
    again = run(cfg)
    assert fits[3:] == [smoke, cfg] and again.record["code"] == "another"
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"ssf: {records.run_folder(c)} was made by other code; training it again"
        for c in (smoke, cfg)
    ]
    assert same(again.network.state_dict(), first.network.state_dict())
    assert run(cfg).record == again.record and len(fits) == 5


def test_what_other_code_left_unfinished_is_started_anew(smoke, starts, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(code, "fingerprint", lambda: "another")
        interrupted(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            run(smoke)
    weights, start, _ = starts.pop(smoke)
    finished = run(smoke, any_code=True)
    assert starts[smoke][1].epoch == start.epoch == 0 and same(starts[smoke][0], weights)
    assert "was made by other code; training it again" in capsys.readouterr().err
    assert len(finished.history) == smoke.train.epochs


def in_a_fork(target, *arguments):
    """The exit code of a process that calls target."""
    process = FORKS.Process(target=target, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def trained_until(folder, place=None, moment=0):
    """Train LONG; die before, in the midst of or after a file, or after so many milliseconds."""
    os.environ["SSF_RUNS"] = folder
    torch.set_num_threads(1)
    training.evaluate = lambda *_: (0.5, 1.0)  # for the sake of time
    written, write = [], files.write

    def dying(path, save):
        def half(temporary):
            save(temporary)
            if here and place == "half":
                temporary.write_bytes(temporary.read_bytes()[: temporary.stat().st_size // 2])
                die()

        written.append(path)
        here = len(written) == moment
        if here and place == "before":
            die()
        write(path, half)
        if here and place == "after":
            die()

    files.write = dying
    if place == "anywhere":
        timer = threading.Timer(moment / 1000, die)
        timer.daemon = True
        timer.start()
    run(LONG)


LONG = preset("smoke", **{"train.epochs": 30, "data.train_size": 40})


def test_a_run_killed_ten_times_ends_with_the_same_weights(tmp_path, monkeypatch):
    """SIGKILL, in the middle of writing included; then to the end, as if nothing had been."""
    draw = random.Random(4)
    kills = [(place, draw.randint(1, 5)) for place in ["before", "half", "after"] * 2 + ["half"]]
    kills += [("anywhere", draw.randint(30, 150)) for _ in range(3)]
    draw.shuffle(kills)
    for place, moment in kills:
        assert in_a_fork(trained_until, str(tmp_path / "killed"), place, moment) == -signal.SIGKILL
    ends = []
    for folder in ("killed", "whole"):
        assert in_a_fork(trained_until, str(tmp_path / folder)) == 0
        monkeypatch.setenv("SSF_RUNS", str(tmp_path / folder))
        ends.append(run(LONG))
        assert not list(records.run_folder(LONG).glob(".*"))  # nothing half-written is left
    killed, whole = ends
    assert files.digest(killed.network.state_dict()) == files.digest(whole.network.state_dict())
    assert killed.history == whole.history
    fields = killed.record.keys() - set(TIMING)
    assert all(killed.record[field] == whole.record[field] for field in fields)


def train_aloud(folder, said):
    os.environ["SSF_RUNS"] = folder
    torch.set_num_threads(1)
    fit = training.fit

    def noted(*arguments, **keywords):
        said.put("trained")
        return fit(*arguments, **keywords)

    training.fit = noted
    said.put(run(preset("smoke")).record["accuracy"])


def test_two_processes_train_one_run_once(tmp_path):
    said = FORKS.SimpleQueue()
    both = [FORKS.Process(target=train_aloud, args=(str(tmp_path), said)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    first, *accuracies = [said.get() for _ in range(3)]
    assert first == "trained" and accuracies[0] == accuracies[1] > 0 and said.empty()


def lock_and_die(path):
    FileLock(path).acquire()
    die()


def test_a_lock_left_by_a_dead_process_holds_nobody_up(smoke):
    folder = records.run_folder(smoke)
    folder.mkdir(parents=True)
    assert in_a_fork(lock_and_die, str(folder / "lock")) == -signal.SIGKILL
    assert (folder / "lock").exists() and run(smoke).record["id"] == smoke.hash()


def test_a_tickets_own_rate_is_that_of_its_round_alone(smoke, fits):
    plain = smoke.with_(**{"ticket.round": 2, "ticket.fraction": 0.3})
    own = plain.with_(**{"ticket.own_lr": 1e-3})
    assert run(plain).record["validation_accuracy"] is not None
    before = len(fits)
    run(own)
    assert len(fits) == before + 1  # the dense network and the first round are shared
    assert not same(run(own).network.state_dict(), run(plain).network.state_dict())
