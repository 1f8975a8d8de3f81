import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssf.config import PARTS, SELECTORS, Refused
from ssf.datasets import sets
from ssf.model import tickets, training
from ssf.presets import preset


@pytest.fixture(scope="module")
def easy():
    """Ten classes told apart by which bright bar an image has."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 10
    images = torch.randint(0, 60, (600, 1, 32, 32), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 3] += 190
    return sets.Dataset(
        "easy", "easy", tuple("0123456789"), images[:500], labels[:500], images[500:], labels[500:]
    )


def config(**overrides):
    return preset(
        "smoke",
        **{
            "data.train_size": 0,
            "train.epochs": 4,
            "train.batch_size": 20,
            "data.augment": "none",
            **overrides,
        },
    )


def moments(cfg, dataset, network=None, **keywords):
    """The Moments after each epoch of a training."""
    seen = []
    training.fit(
        cfg, network or training.make_network(cfg), dataset, after_epoch=seen.append, **keywords
    )
    return seen


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.network.parameters()])


def test_it_learns(easy):
    trained = training.fit(config(), training.make_network(config()), easy)
    losses = [row["train_loss"] for row in trained.history]
    assert losses[-1] < losses[0] - 0.3
    images = easy.standardise(easy.test_images)
    accuracy, loss = training.evaluate(trained.network, images, easy.test_labels)
    assert accuracy > 0.4 and 0 < loss < math.log(10)  # chance: 0.1, log 10


def test_a_seed_repeats_a_run_and_another_does_not(easy):
    a, b, c = (
        weights(training.fit(cfg, training.make_network(cfg), easy, last_epoch=1))
        for cfg in (config(), config(), config(seed=1))
    )
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_training_leaves_the_global_random_state_alone(easy):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    training.fit(config(), training.make_network(config()), easy, last_epoch=1)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    "changes", [{}, {"train.mixed_precision": True}, {"ticket.freeze": "near_zero"}]
)
def test_pruned_weights_stay_exactly_zero_and_the_others_move(easy, changes):
    network = training.make_network(config())
    masks = tickets.prune(network, tickets.full_masks(network), 0.8)
    before = tickets.prunable(network)
    before = {n: w.clone() for n, w in before.items()}
    cfg = config(**{"train.weight_decay": 0.5, **changes})
    trained = training.fit(cfg, network, easy, masks=masks, last_epoch=1 if changes else 2)
    for name, weight in tickets.prunable(trained.network).items():
        assert not weight[~masks[name]].any()
        assert (weight != before[name])[masks[name]].float().mean() > 0.9


def test_going_on_from_a_moment_is_the_uninterrupted_run(easy):
    whole = moments(config(), easy)
    assert [m.epoch for m in whole] == [1, 2, 3, 4] == [row["epoch"] for row in whole[-1].history]
    rest = moments(config(), easy, training.make_network(config(seed=5)), start=whole[1])
    assert [m.epoch for m in rest] == [3, 4] and same(rest[-1].tensors, whole[-1].tensors)
    assert rest[-1].history == whole[-1].history and rest[-1].seconds > whole[1].seconds
    stopped = moments(config(), easy, last_epoch=1)
    assert len(stopped) == 1 and same(stopped[0].tensors, whole[0].tensors)


def test_what_a_start_leaves_out_is_fresh(easy):
    whole = moments(config(), easy, last_epoch=1)[0]
    fresh = training.make_network(config())
    part = {name: whole.tensors[name] for name, _ in fresh.named_parameters()}
    seen = {}
    network = training.make_network(config(seed=5))

    def look(*_):
        if not seen:
            seen.update(training.copy_weights(network))

    network.stem.register_forward_pre_hook(look)
    training.fit(config(), network, easy, start=training.Moment(1, part), last_epoch=2)
    buffers = dict(training.make_network(config(seed=5)).named_buffers())
    for name, tensor in seen.items():
        assert torch.equal(tensor, part.get(name, buffers.get(name))), name


def test_looking_at_the_test_images_changes_nothing(easy):
    """Accuracy on them is noted after every epoch; weights don't depend on it."""
    other = replace(
        easy, test_images=easy.test_images.flip(0)[:7], test_labels=easy.test_labels[:7]
    )
    a, b = (moments(config(), dataset, last_epoch=2)[-1] for dataset in (easy, other))
    assert same(a.tensors, b.tensors) and a.history != b.history
    accuracy, _ = training.evaluate(
        training.fit(config(), training.make_network(config()), easy, last_epoch=2).network,
        easy.standardise(easy.test_images),
        easy.test_labels,
    )
    assert a.history[-1]["test_accuracy"] == accuracy


def test_freezing_near_zero_stops_survivors_that_happen_to_be_small(easy):
    """The published way of holding pruned weights at zero also holds kept ones below 1e-6."""
    for freeze in ("mask", "near_zero"):
        cfg, network = config(**{"ticket.freeze": freeze}), training.make_network(config())
        with torch.no_grad():
            network.head.weight[0] = 1e-7
        trained = training.fit(cfg, network, easy, masks=tickets.full_masks(network), last_epoch=1)
        moved = (trained.network.head.weight[0].abs() > 1e-6).float().mean()
        assert moved == 0 if freeze == "near_zero" else moved > 0.9


def test_mixed_precision_learns_as_well(easy):
    """As the loss falls in float32, on average over three seeds: one alone may be slow."""
    fallen = []
    for seed in range(3):
        cfg = config(seed=seed, **{"train.mixed_precision": True})
        history = training.fit(cfg, training.make_network(cfg), easy).history
        fallen.append(history[0]["train_loss"] - history[-1]["train_loss"])
    assert sum(fallen) / len(fallen) > 0.3


def test_early_epochs_see_fewer_time_steps_and_smaller_images_and_the_others_do_not(easy):
    small = config(**{"train.epochs": 2, "train.early_epochs": 1})
    network, seen = training.make_network(small), {True: [], False: []}
    network.stem.register_forward_hook(
        lambda stem, inputs, x: seen[stem.training].append((inputs[0].shape[-1], *x.shape[::2]))
    )
    steps = math.ceil(training.fit(small, network, easy).images / small.train.batch_size)
    early, whole = (24, 1, 36), (32, 2, 64)  # side, time steps, tokens
    assert seen[True] == [early] * steps + [whole] * steps
    assert set(seen[False]) == {whole}


def test_a_selector_keeps_its_share_of_a_smaller_image(easy):
    cfg = config(**{"selector.kind": "random", "selector.keep_ratio": 0.5})
    network = training.make_network(cfg)
    network.expect(cfg.early_model)
    _, (kept,) = network.forward_tokens(torch.rand(3, 1, 24, 24))
    assert kept.shape == (3, 36) and (kept.sum(1) == 18).all()


def test_the_teacher_is_in_eval_mode_unless_told_to_leak(easy):
    teacher, images = training.make_network(config()), easy.standardise(easy.train_images[:20])
    training.fit(config(), teacher, easy, last_epoch=1)
    with torch.no_grad():
        honest = [teacher(images), teacher(images)]
        training.prepare_teacher(teacher, in_training_mode=True)
        leaking = [teacher(images), teacher(images), teacher(images[:8])]
        again = training.prepare_teacher(teacher)
        assert torch.equal(again(images), again(images))  # nothing leaks any more
    assert torch.equal(*honest) and not torch.equal(*leaking[:2]) and len(leaking[2]) == 8
    for habit in (False, True):
        part = {"selector.teacher_in_training_mode": habit, "selector.distill_weight": 1.0}
        cfg, teacher = config(**part), training.make_network(config())
        training.fit(cfg, training.make_network(cfg), easy, teacher=teacher, last_epoch=1)
        assert teacher.training is habit


def test_learning_rate_warms_up_and_falls_to_its_minimum():
    schedule = replace(config().train, epochs=10, warmup_epochs=2.0, lr=1.0, min_lr=0.1)
    rates = [training.learning_rate(schedule, e / 4) for e in range(41)]
    assert (
        rates[0] == pytest.approx(0.1)
        and rates[8] == pytest.approx(1.0)
        and rates[-1] == pytest.approx(0.1)
    )
    assert rates[24] == pytest.approx((1 + 0.1) / 2)  # half way down the cosine
    assert all(a < b for a, b in zip(rates[:8], rates[1:9], strict=True))
    assert all(a > b for a, b in zip(rates[8:], rates[9:], strict=False))


def test_weight_decay_spares_biases_and_batchnorm():
    network = training.make_network(config())
    decayed, spared = training.optimiser(network, config().train).param_groups
    assert decayed["weight_decay"] == config().train.weight_decay and spared["weight_decay"] == 0
    assert {p.ndim for p in spared["params"]} == {1} and all(p.ndim > 1 for p in decayed["params"])


def test_a_loss_that_is_no_number_stops_the_run_in_one_sentence(easy):
    network = training.make_network(config())
    with torch.no_grad():
        network.head.bias[0] = float("nan")
    with pytest.raises(
        ValueError, match=r"the loss is nan in epoch 1, step 1, at a learning rate of .*help"
    ):
        training.fit(config(), network, easy)


def test_the_random_selector_is_evaluated_on_the_same_tokens_every_time(easy):
    cfg = config(**{"selector.kind": "random", "selector.keep_ratio": 0.2})
    network, images = training.make_network(cfg), easy.standardise(easy.test_images)
    assert training.evaluate(network, images, easy.test_labels) == training.evaluate(
        network, images, easy.test_labels
    )


sizes = st.integers(-1, 3)
odd = st.sampled_from([0, -1, 3, 0.5, 1.0, True, None, "x", (), (0,), (1,), float("nan"), 10**400])
fields_of = st.sampled_from(
    [f"{part}.{f.name}" for part, kind in PARTS.items() for f in dataclasses.fields(kind)]
)


def built(sensible, selector, wild):
    """The config of a drawn example, or the sentence that refuses it."""
    changes = {"data.train_size": 0, "train.epochs": 1, **sensible, **(selector or {}), **wild}
    try:
        cfg = preset("smoke", **changes)
    except Refused as refusal:
        return str(refusal)
    return replace(cfg, train=replace(cfg.train, epochs=min(cfg.train.epochs, 2)))


drawn = st.builds(
    built,
    sensible=st.fixed_dictionaries(
        {
            "model.heads": st.sampled_from([1, 2, 3]),
            "model.depth": st.integers(1, 3),
            "model.time_steps": sizes,
            "model.pool_stages": st.sampled_from([(0, 1), (0, 1, 2), (0, 1, 2, 3), (2, 3)]),
            "train.batch_size": st.sampled_from([1, 2, 40, 1000]),
        }
    ),
    selector=st.none()
    | st.fixed_dictionaries(
        {
            "selector.kind": st.sampled_from([*SELECTORS, "best"]),
            "selector.keep_ratio": st.floats(-0.1, 1.1),
            "selector.locations": st.sampled_from([(0,), (1,), (0, 1), (2, 1)]),
            "selector.dropped": st.sampled_from(["removed", "bypass"]),
        }
    ),
    wild=st.dictionaries(fields_of, odd, max_size=2),
)
quiet = [HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn)
def test_any_configuration_is_built_or_refused_with_a_sentence(config_or_sentence):
    if isinstance(config_or_sentence, str):
        assert config_or_sentence.strip() and "\n" not in config_or_sentence


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=quiet)
@given(drawn.filter(lambda config_or_sentence: not isinstance(config_or_sentence, str)))
def test_any_configuration_that_is_built_trains_or_is_refused(easy, cfg):
    few = replace(easy, train_images=easy.train_images[:40], train_labels=easy.train_labels[:40],
                  test_images=easy.test_images[:4], test_labels=easy.test_labels[:4])  # fmt: skip
    try:
        network = training.make_network(cfg)
        teacher = training.make_network(replace(cfg, selector=None)) if cfg.selector else None
        trained = training.fit(cfg, network, few, teacher=teacher, last_epoch=1)
    except Refused as refusal:
        assert str(refusal).strip() and "\n" not in str(refusal)
    else:
        assert math.isfinite(trained.history[0]["train_loss"])


def test_training_does_not_mind_a_caller_without_gradients(smoke):
    config = smoke.with_(**{"train.epochs": 1})
    network, dataset = training.make_network(config), sets.load_for(config)
    before = training.copy_weights(network)
    with torch.no_grad():
        training.fit(config, network, dataset)
    assert any(
        not torch.equal(before[name], weight) for name, weight in network.state_dict().items()
    )
