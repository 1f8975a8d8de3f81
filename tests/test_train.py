import math
from dataclasses import replace

import pytest
import torch

from ssf import data, tickets, train
from ssf.config import preset


@pytest.fixture(scope="module")
def easy():
    """Ten classes told apart by which bright bar an image has."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 10
    images = torch.randint(0, 60, (600, 1, 32, 32), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 3] += 190
    return data.Dataset("easy", tuple("0123456789"), images[:500], labels[:500], images[500:], labels[500:])


def config(**overrides):
    return preset(
        "smoke", **{"data.train_size": 0, "train.epochs": 4, "train.batch_size": 20, "data.augment": False, **overrides}
    )


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.network.parameters()])


def test_it_learns(easy):
    trained = train.fit(config(), train.make_network(config()), easy)
    losses = [row["train_loss"] for row in trained.history]
    assert losses[-1] < losses[0] - 0.3
    images = easy.standardise(easy.test_images)
    accuracy, loss = train.evaluate(trained.network, images, easy.test_labels)
    assert accuracy > 0.4 and 0 < loss < math.log(10)  # chance: 0.1, log 10


def test_a_seed_repeats_a_run_and_another_does_not(easy):
    a, b, c = (
        weights(train.fit(cfg, train.make_network(cfg), easy, last_epoch=1))
        for cfg in (config(), config(), config(seed=1))
    )
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_training_leaves_the_global_random_state_alone(easy):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train.fit(config(), train.make_network(config()), easy, last_epoch=1)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("changes", [{}, {"train.mixed_precision": True}, {"ticket.freeze": "near_zero"}])
def test_pruned_weights_stay_exactly_zero_and_the_others_move(easy, changes):
    network = train.make_network(config())
    masks = tickets.prune(network, tickets.full_masks(network), 0.8)
    before = tickets.prunable(network)
    before = {n: w.clone() for n, w in before.items()}
    cfg = config(**{"train.weight_decay": 0.5, **changes})
    trained = train.fit(cfg, network, easy, masks=masks, last_epoch=1 if changes else 2)
    for name, weight in tickets.prunable(trained.network).items():
        assert not weight[~masks[name]].any()
        assert (weight != before[name])[masks[name]].float().mean() > 0.9


def test_stopping_and_resuming_the_schedule(easy):
    whole = train.fit(config(), train.make_network(config()), easy, snapshot_epochs=(0, 1, 4))
    assert sorted(whole.snapshots) == [0, 1, 4] and [r["epoch"] for r in whole.history] == [1, 2, 3, 4]
    part = train.fit(config(), train.make_network(config()), easy, last_epoch=1, snapshot_epochs=(1,))
    assert all(torch.equal(part.snapshots[1][n], w) for n, w in whole.snapshots[1].items())
    later = train.fit(config(), train.make_network(config()), easy, first_epoch=3)
    assert [r["epoch"] for r in later.history] == [4]


def test_resuming_a_snapshot_with_its_moments_is_the_uninterrupted_run(easy):
    whole = train.fit(config(), train.make_network(config()), easy, snapshot_epochs=(2, 4))
    then, network = whole.snapshots[2], train.make_network(config(seed=5))
    network.load_state_dict({n: then[n] for n in network.state_dict()})
    rest = train.fit(config(), network, easy, first_epoch=2, snapshot_epochs=(4,), optimiser_state=then)
    assert len(then) > len(network.state_dict())
    assert all(torch.equal(rest.snapshots[4][n], w) for n, w in whole.snapshots[4].items())


def test_freezing_near_zero_stops_survivors_that_happen_to_be_small(easy):
    """The published way of holding pruned weights at zero also holds a kept weight that is below 1e-6."""
    for freeze in ("mask", "near_zero"):
        cfg, network = config(**{"ticket.freeze": freeze}), train.make_network(config())
        with torch.no_grad():
            network.head.weight[0] = 1e-7
        trained = train.fit(cfg, network, easy, masks=tickets.full_masks(network), last_epoch=1)
        moved = (trained.network.head.weight[0].abs() > 1e-6).float().mean()
        assert moved == 0 if freeze == "near_zero" else moved > 0.9


def test_mixed_precision_learns_as_well(easy):
    cfg = config(**{"train.mixed_precision": True})
    losses = [row["train_loss"] for row in train.fit(cfg, train.make_network(cfg), easy).history]
    assert losses[-1] < losses[0] - 0.3


def test_the_teacher_is_in_eval_mode_unless_told_to_leak(easy):
    teacher, images = train.make_network(config()), easy.standardise(easy.train_images[:20])
    train.fit(config(), teacher, easy, last_epoch=1)
    with torch.no_grad():
        honest = [teacher(images), teacher(images)]
        train.prepare_teacher(teacher, in_training_mode=True)
        leaking = [teacher(images), teacher(images), teacher(images[:8])]
        again = train.prepare_teacher(teacher)
        assert torch.equal(again(images), again(images))  # nothing leaks any more
    assert torch.equal(*honest) and not torch.equal(*leaking[:2]) and len(leaking[2]) == 8
    for habit in (False, True):
        part = {"selector.teacher_in_training_mode": habit, "selector.distill_weight": 1.0}
        cfg, teacher = config(**part), train.make_network(config())
        train.fit(cfg, train.make_network(cfg), easy, teacher=teacher, last_epoch=1)
        assert teacher.training is habit


def test_learning_rate_warms_up_and_falls_to_its_minimum():
    schedule = replace(config().train, epochs=10, warmup_epochs=2.0, lr=1.0, min_lr=0.1)
    rates = [train.learning_rate(schedule, e / 4) for e in range(41)]
    assert rates[0] == pytest.approx(0.1) and rates[8] == pytest.approx(1.0) and rates[-1] == pytest.approx(0.1)
    assert rates[24] == pytest.approx((1 + 0.1) / 2)  # half way down the cosine
    assert all(a < b for a, b in zip(rates[:8], rates[1:9], strict=True))
    assert all(a > b for a, b in zip(rates[8:], rates[9:], strict=False))


def test_weight_decay_spares_biases_and_batchnorm():
    network = train.make_network(config())
    decayed, spared = train.optimiser(network, config().train).param_groups
    assert decayed["weight_decay"] == config().train.weight_decay and spared["weight_decay"] == 0
    assert {p.ndim for p in spared["params"]} == {1} and all(p.ndim > 1 for p in decayed["params"])


def test_a_loss_that_is_no_number_stops_the_run_in_one_sentence(easy):
    network = train.make_network(config())
    with torch.no_grad():
        network.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"the loss is nan in epoch 1, step 1, at a learning rate of .*try"):
        train.fit(config(), network, easy)


def test_the_random_selector_is_evaluated_on_the_same_tokens_every_time(easy):
    cfg = config(**{"selector.kind": "random", "selector.keep_ratio": 0.2})
    network, images = train.make_network(cfg), easy.standardise(easy.test_images)
    assert train.evaluate(network, images, easy.test_labels) == train.evaluate(network, images, easy.test_labels)
