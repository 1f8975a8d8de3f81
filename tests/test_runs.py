import json
from dataclasses import replace

import pytest
import torch

from ssf import runs, store, tickets, train
from ssf.runs import run


def same(a, b):
    return all(torch.equal(a[n].cpu(), b[n].cpu()) for n in a) and a.keys() == b.keys()


@pytest.fixture
def starts(monkeypatch):
    """{config: (weights a training began with, its other arguments)}, filled in while runs are trained."""
    seen, fit = {}, train.fit

    def noted(config, network, *args, **keywords):
        seen[config] = train.copy_weights(network), keywords
        return fit(config, network, *args, **keywords)

    monkeypatch.setattr(train, "fit", noted)
    return seen


def test_a_finished_run_is_read_not_trained(smoke, monkeypatch):
    first = run(smoke)
    monkeypatch.setattr(train, "fit", None)
    again = run(smoke)
    assert again.record == first.record and again.history == first.history
    assert same(first.network.state_dict(), again.network.state_dict()) and not again.network.training
    assert store.read_json(store.run_folder(smoke) / "config.json") == json.loads(json.dumps(smoke.as_dict()))


def test_a_record_says_what_was_run_and_what_came_out(smoke):
    record = run(smoke).record
    assert record["id"] == smoke.hash() and record["model.width"] == smoke.model.width and record["ticket"] is None
    assert 0 <= record["accuracy"] <= 1 and record["loss"] > 0 and record["seconds"] > 0
    assert record["parameters_left"] == record["parameters"] and record["sparsity"] == 0
    frame = store.frame([record])
    assert list(frame.id) == [smoke.hash()] and frame.accuracy[0] == record["accuracy"]


def test_a_ticket_is_the_dense_runs_large_weights_rewound(smoke, starts):
    cfg = smoke.with_(**{"ticket.round": 1, "ticket.fraction": 0.6, "ticket.rewind_epoch": 1})
    dense = run(smoke)
    ticket = run(cfg)
    expected = tickets.prune(dense.network, tickets.full_masks(dense.network), 0.6)
    assert same(ticket.masks, expected)
    weights, keywords = starts[cfg]
    after_one = train.fit(smoke, train.make_network(smoke), last_epoch=1, snapshot_epochs=(1,)).snapshots[1]
    fresh = train.make_network(cfg).state_dict()
    for name, weight in weights.items():
        statistic = "running" in name or "tracked" in name
        assert torch.equal(weight, (fresh if statistic else after_one)[name]), name
    assert keywords["first_epoch"] == 1 and keywords["optimiser_state"] is None
    assert ticket.record["sparsity"] == pytest.approx(0.6, abs=1e-3)
    assert ticket.record["parameters"] - ticket.record["parameters_left"] == sum(
        int((~m).sum()) for m in ticket.masks.values()
    )
    for name, weight in tickets.prunable(ticket.network).items():
        assert not weight[~ticket.masks[name]].any()


def test_rewinding_the_whole_state_takes_batchnorm_and_optimiser_along(smoke, starts):
    cfg = smoke.with_(**{"ticket.fraction": 0.6, "ticket.rewind": "state"})
    run(cfg)
    weights, keywords = starts[cfg]
    after_one = train.fit(smoke, train.make_network(smoke), last_epoch=1, snapshot_epochs=(1,)).snapshots[1]
    assert same(weights, {n: after_one[n] for n in weights}) and same(keywords["optimiser_state"], after_one)


def test_magnitude_at_initialisation_needs_no_trained_network(smoke, starts):
    control = {"ticket.round": 3, "ticket.fraction": 0.5, "ticket.control": "magnitude_at_init"}
    cfg = smoke.with_(**control)
    found = run(cfg)
    assert list(starts) == [cfg] and len(found.history) == smoke.train.epochs
    assert found.record["sparsity"] == pytest.approx(1 - 0.5**3, abs=1e-3)
    fresh = train.make_network(smoke)
    weights = tickets.prunable(fresh)
    kept = torch.cat([w[found.masks[n]].abs() for n, w in weights.items()])
    gone = torch.cat([w[~found.masks[n]].abs() for n, w in weights.items()])
    assert kept.min() >= gone.max() and same(starts[cfg][0], fresh.state_dict())


def test_a_ticket_by_layer_is_equally_dense_everywhere(smoke):
    found = run(smoke.with_(**{"ticket.round": 2, "ticket.fraction": 0.5, "ticket.scope": "layer"}))
    assert all(d == pytest.approx(0.25, abs=0.04) for d in tickets.density_by_layer(found.masks).values())


def test_rounds_and_controls_share_the_search(smoke):
    base = smoke.with_(**{"ticket.fraction": 0.5})
    one, two = run(base), run(base.with_(**{"ticket.round": 2}))
    assert two.record["sparsity"] == pytest.approx(0.75, abs=1e-3)
    assert all(bool((two.masks[n] <= one.masks[n]).all()) for n in one.masks)
    reinit = run(base.with_(**{"ticket.round": 2, "ticket.control": "reinit"}))
    random = run(base.with_(**{"ticket.round": 2, "ticket.control": "random"}))
    assert same(reinit.masks, two.masks) and not same(random.masks, two.masks)
    assert tickets.density_by_layer(random.masks) == tickets.density_by_layer(two.masks)
    assert len(reinit.history) == smoke.train.epochs == len(two.history) + 1  # equal training in all


def test_the_control_starts_from_other_weights_than_the_dense_run(smoke):
    a, b = train.make_network(smoke), train.make_network(smoke, smoke.seed + runs.REINIT)
    assert not same(a.state_dict(), b.state_dict())


def test_selector_starts_from_the_dense_weights_and_keeps_a_tickets_mask(smoke, starts):
    both = smoke.with_(**{"selector.keep_ratio": 0.5, "ticket.fraction": 0.7})
    student = run(both)
    ticket, dense = run(replace(both, selector=None)), run(smoke)
    start, keywords = starts[both]
    teacher = keywords["teacher"]
    assert same(train.copy_weights(ticket.network), {n: w for n, w in start.items() if "predictors" not in n})
    assert same(teacher.state_dict(), dense.network.state_dict()) and not teacher.training
    assert same(student.masks, ticket.masks)
    assert student.record["macs"] < dense.record["macs"] and student.record["macs_left"] < student.record["macs"]
    for name, weight in tickets.prunable(student.network).items():
        assert name not in student.masks or not weight[~student.masks[name]].any()


@pytest.mark.parametrize("name", ["record.json", "weights.safetensors", "history.json"])
def test_a_damaged_run_is_named_with_what_mends_it(smoke, name):
    run(smoke)
    path = store.run_folder(smoke) / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=f"{name} is damaged; remove the folder"):
        run(smoke)
