"""The committed looks into networks agree with the rows of those networks, and with the data."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from ssf import folders
from ssf.config import Selector
from ssf.datasets import sets
from ssf.engine.runs import run
from ssf.figures import inside
from ssf.model.spikformer import Spikformer
from ssf.model.tickets import full_masks
from ssf.model.training import copy_weights, make_network
from ssf.presets import preset
from ssf.study import experiments, ledger

KINDS = ("ticket", "random", "largest")  # of masks that are measured before any training


@pytest.fixture(scope="module")
def make_inside():
    """The script data/make_inside.py."""
    path = folders.home() / "data/make_inside.py"
    spec = importlib.util.spec_from_file_location("make_inside", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_mask_is_that_of_the_ticket(make_inside):
    """After every round the layer has the density that the ticket's row says."""
    rows = ledger.rows("tickets")
    mask = inside.look("mask").to_numpy()
    for number in range(1, experiments.ROUNDS + 1):
        row = rows[
            (rows.kind == "ticket") & (rows["ticket.round"] == number) & (rows.seed == 0)
        ].iloc[0]
        left = ((mask == 0) | (mask > number)).mean()
        assert left == pytest.approx(json.loads(row.densities)[make_inside.LAYER], abs=1e-4)


def test_the_tokens_are_those_of_the_pictures(make_inside):
    table = inside.look("tokens")
    places = table.image.unique()
    assert list(places) == make_inside.first_of_classes(make_inside.IMAGES)
    _, _, shares = inside.pictures(places)
    assert np.allclose(table.foreground, shares.flatten(), atol=1e-4)
    assert (table.groupby("image").token.nunique() == shares.shape[1]).all()


def test_attention_counts():
    table = inside.look("attention")
    assert (table.attention >= 0).all() and table.attention.dtype == int
    assert (table.groupby(["image", "asks"]).attention.sum() > 0).all()
    _, _, shares = inside.pictures(table.image.unique())
    asked = table.drop_duplicates(["image", "asks"])["query"].to_numpy().reshape(-1, 2)
    for image, (item, background) in zip(shares, asked, strict=True):
        assert image[item] == image.max() and image[background] == image.min()


def test_batchnorm_is_measured_anew_for_the_networks_of_the_rows(make_inside):
    table, rows = inside.look("batchnorm"), ledger.rows("replication")
    kinds = {kind for kind, _ in experiments.replication(experiments.FRESH)}
    assert set(table.kind) == kinds and set(table.seed) == set(rows.seed)
    for kind, part in table.groupby("kind"):
        same = rows[(rows.kind == kind) & ~(rows["ticket.round"] < experiments.HEADLINE)]
        told = same.set_index("seed").accuracy
        assert part.set_index("seed").accuracy.to_dict() == pytest.approx(told.to_dict(), abs=1e-5)


def test_batchnorms_averages_are_the_plain_mean_over_batches(make_inside):
    network = Spikformer(preset("smoke").model)
    images = torch.rand(64, *network.image_shape) * torch.linspace(0, 2, 64).view(-1, 1, 1, 1)
    first = network.stem.stages[0]
    with torch.no_grad():
        currents = first.conv(images).flatten(2)
    parts = torch.stack([part.mean((0, 2)) for part in currents.split(16)])
    first.bn.running_mean += 1
    make_inside.measure_batchnorm(network, images, 16)
    assert torch.allclose(first.bn.running_mean, parts.mean(0), atol=1e-5)
    assert not torch.allclose(parts.mean(0), parts[-1], atol=1e-3)


def test_the_learned_scores_find_the_item():
    """The better half of the tokens by score holds more of the foreground than the other half."""
    table = inside.look("tokens")
    better = table.groupby("image").learned.rank(ascending=False, method="first") <= 50
    shows = table.foreground > 0
    assert shows[better].sum() > 0.75 * shows.sum()


def test_the_learned_scores_are_those_of_the_networks_rows():
    """The networks that were scored twice are the study's: trained again, the same recall."""
    table = inside.look("scores")
    learned = table[table.score == "learned"].set_index("seed").recall
    rows = ledger.pick(ledger.rows("selectors"), "learned", ledger.HALF).set_index("seed").recall
    assert learned.to_dict() == pytest.approx(rows[learned.index].to_dict(), abs=1e-6)
    assert sorted(table.seed) == sorted([*range(experiments.FIRST)] * 2)


def test_choices_are_of_the_networks_of_the_rows():
    table = inside.look("choices")
    own = table[table.choice == "learned"].set_index("seed")
    told = ledger.pick(ledger.rows("four_blocks"), "selector").set_index("seed").accuracy
    assert own.accuracy.to_dict() == pytest.approx(told[own.index].to_dict(), abs=2e-4) and len(own)
    network = dict(experiments.four_blocks(0))["selector"]
    places = table.filter(like="place_")
    assert np.allclose(
        places.sum(axis=1), network.selector.counts(network.model.tokens)[-1], atol=1e-3
    )
    assert (own.same == 1).all() and (table[table.choice != "learned"].same < 1).all()
    another = table[table.choice == "another image's"].filter(like="place_")
    assert np.allclose(another, own.filter(like="place_"), atol=1e-5)


def test_other_choices_are_as_many_and_what_they_are_called(make_inside, smoke):
    config = smoke.with_(selector=Selector(keep_ratio=0.5, locations=(0, 1)))
    network = Spikformer(config.model, config.selector)
    count, last = config.selector.counts(config.model.tokens)
    dataset = sets.load_for(config)
    seen = dataset.standardise(dataset.train_images[:50])
    make_inside.measure_batchnorm(network, seen, 25)  # or it would not fire
    small = SimpleNamespace(
        test_images=dataset.test_images[:6],
        train_images=dataset.train_images[:50],
        standardise=dataset.standardise,
    )
    before = Spikformer(config.model, config.selector).selector
    with torch.no_grad():
        logits = network.eval()(small.standardise(small.test_images))
    choices = {name: (told, kept) for name, told, kept in
               make_inside.other_choices(network, small, before)}  # fmt: skip
    assert all((kept.sum(1) == last).all() for _, kept in choices.values()) and last < count
    own, another = choices["learned"][1], choices["another image's"][1]
    assert (another == own.roll(1, 0)).all() and not (own == own[0]).all()
    usual = choices["usual places"][1]
    assert (usual == usual[0]).all() and not (choices["random"][1] == usual).all()
    assert torch.allclose(choices["learned"][0], logits, atol=1e-5)
    with torch.no_grad():  # its selector is the untrained one now
        logits = network(small.standardise(small.test_images))
    assert torch.allclose(choices["untrained"][0], logits, atol=1e-5)
    assert network.selector is before and not (choices["untrained"][1] == own).all()


def test_seeds_that_were_looked_at_keep_their_rows(make_inside, monkeypatch):
    """Only a new seed's network is asked for; those of the others may be gone."""
    known, rows = inside.look("choices"), ledger.rows("four_blocks")
    new = int(known.seed.max()) + 1
    mine = rows[rows.seed.isin(known.seed)]
    monkeypatch.setattr(ledger, "rows", lambda _: pd.concat([mine, mine.assign(seed=new)]))
    asked, kept = [], torch.eye(64)[:2]

    def run(config, **_):
        asked.append(config)
        return SimpleNamespace(network=torch.nn.Identity())

    monkeypatch.setattr(make_inside.runs, "run", run)
    labels = SimpleNamespace(test_labels=torch.tensor([1, 0]))
    monkeypatch.setattr(make_inside.sets, "load_for", lambda _: labels)
    answers = [("learned", torch.eye(2), kept), ("random", torch.eye(2).flip(1), kept.flip(1))]
    monkeypatch.setattr(make_inside, "other_choices", lambda *_: answers)
    table = make_inside.choice_rows()
    assert asked == [dict(experiments.four_blocks(new))["selector"]]
    assert table[table.seed < new].equals(known)
    assert table[table.seed == new].choice.tolist() == ["learned", "random"]
    assert table[table.seed == new].accuracy.tolist() == [0, 1]
    assert table[table.seed == new].same.tolist() == [1, 0]


def test_photographs_keep_as_many_tokens_as_the_last_selector(make_inside):
    table = inside.look("photographs")
    config = dict(experiments.four_blocks(make_inside.SHOWN))["selector"]
    last = config.selector.counts(config.model.tokens)[-1]
    kept = table.drop(columns="token").groupby("image").sum()
    assert (kept == last).all().all() and len(kept) == make_inside.PHOTOGRAPHS
    places = table.pivot(index="image", columns="token", values="usual_places")
    assert (places == places.iloc[0]).all().all()  # the same in every image
    another = table.pivot(index="image", columns="token", values="another_image_s").to_numpy()
    own = table.pivot(index="image", columns="token", values="learned").to_numpy()
    assert sorted(map(tuple, another)) == sorted(map(tuple, own))


def test_firing_rates_are_those_of_the_rows(make_inside):
    table, rows = inside.look("rates"), ledger.rows("four_blocks")
    rows = rows[rows.seed == make_inside.SHOWN].set_index("kind").firing_rate
    means = table.groupby("kind").rate.mean()
    assert means.to_dict() == pytest.approx(rows[means.index].to_dict(), rel=1e-3)


def test_given_tokens_are_kept_and_then_forgotten(make_inside, smoke):
    config = smoke.with_(selector=Selector(keep_ratio=0.5, locations=(0,)))
    network = Spikformer(config.model, config.selector)
    images = torch.rand(6, *network.image_shape)
    (kept,) = config.selector.counts(config.model.tokens)
    wanted = torch.zeros(6, config.model.tokens)
    wanted[:, -kept:] = 1
    _, (found,) = make_inside.kept_by(network, images, torch.clone, [wanted])
    assert (found == wanted).all()
    _, (found,) = make_inside.kept_by(network, images, torch.clone)
    assert not (found == wanted).all()


def test_masks_without_training_are_the_tickets_and_the_random_tickets(make_inside, smoke):
    config = smoke.with_(ticket=experiments.ticket(2, rewind_epoch=0))
    masks = make_inside.both_masks(config)
    chance = run(config.with_(**{"ticket.control": "random"})).masks
    assert all(torch.equal(mask, chance[name]) for name, mask in masks["random"].items())
    assert any(not torch.equal(mask, masks["ticket"][name]) for name, mask in chance.items())


def test_a_mask_that_keeps_all_changes_nothing_and_one_that_keeps_nothing_leaves_chance(
    make_inside, smoke
):
    network, dataset = make_network(smoke), sets.load_for(smoke)
    labels = dataset.test_labels[:100]
    part = (dataset.test_images[:100], labels, None)
    small = SimpleNamespace(part=lambda _: part, standardise=dataset.standardise)
    images = dataset.standardise(dataset.train_images[:100])
    full, early = full_masks(network), copy_weights(network)
    accuracy = make_inside.untrained(smoke, early, full, small, images)
    assert accuracy == make_inside.untrained(smoke, early, {}, small, images)
    nothing = {name: torch.zeros_like(mask) for name, mask in full.items()}
    one_class = make_inside.untrained(smoke, early, nothing, small, images)
    assert any(one_class == pytest.approx(n / 100) for n in labels.bincount().tolist())


def test_each_round_of_each_seed_has_its_mask_measured():
    table = inside.look("masked").set_index(["kind", "seed", "ticket.round"]).accuracy
    rounds = range(1, experiments.HEADLINE + 1)
    for seed in range(experiments.FIRST):
        asked = {("dense", seed, 0)} | {(k, seed, r) for k in KINDS for r in rounds}
        assert asked <= {*table.index}
    assert table.index.is_unique and len(table) == experiments.FIRST * (
        len(KINDS) * len(rounds) + 1
    )


def test_the_largest_weights_are_as_many_in_each_layer(make_inside):
    weights = {"a": torch.tensor([[0.1, -3.0], [2.0, 0.5]]), "b": torch.tensor([[1.0, -1.0]])}
    masks = {"a": torch.tensor([[True, True], [False, False]]), "b": torch.tensor([[False, True]])}
    kept = make_inside.largest(weights, masks)
    assert kept["a"].tolist() == [[False, True], [True, False]]
    assert kept["b"].tolist() == [[True, False]]  # of equal weights the first
