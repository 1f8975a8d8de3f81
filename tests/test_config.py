import json
import os
import re

import pytest

from ssf.config import Data, Refused, RunConfig, Selector, Ticket
from ssf.presets import PRESETS, from_notebook, preset


@pytest.mark.parametrize(
    "field, value",
    [
        ("data.name", "imagenet"),
        ("data.train_size", -1),
        ("data.validation_share", 1.0),
        ("data.augment", "yes"),
        ("model.heads", 3),
        ("model.width", 20),
        ("model.width", True),
        ("model.time_steps", 0),
        ("model.depth", 1.5),
        ("model.tau", 1.0),
        ("model.v_threshold", float("nan")),
        ("model.pool_stages", (0, 4)),
        ("model.channels", 3),
        ("model.pool_stages", (1, 1)),
        ("selector.keep_ratio", 0),
        ("selector.keep_ratio", 3),
        ("selector.keep_ratio", "half"),
        ("selector.kind", "best"),
        ("selector.locations", (2,)),
        ("selector.locations", ()),
        ("selector.kind", "oracle"),
        ("selector.dropped", "gone"),
        ("selector.inference_keep_ratio", 1.5),
        ("model.encoding", "rate"),
        ("model.block_init", "zeros"),
        ("ticket.freeze", "ice"),
        ("ticket.round", 0),
        ("ticket.fraction", 1.2),
        ("ticket.control", "lucky"),
        ("ticket.rewind_epoch", 99),
        ("train.lr", float("inf")),
        ("train.lr", 10**400),
        ("train.epochs", 0),
        ("train.batch_size", None),
        ("train.early_epochs", -1),
        ("seed", -1),
        ("seed", "one"),
        ("model", None),
    ],
)
def test_an_impossible_value_is_refused_in_one_sentence(field, value):
    with pytest.raises(ValueError) as refusal:
        preset("quick", **{field: value})
    message = str(refusal.value)
    assert message.startswith(f"{field} is ") and "; allowed: " in message and "\n" not in message
    if not isinstance(value, tuple):
        assert repr(value) in message


def test_combinations_that_make_no_sense_are_refused():
    with pytest.raises(
        ValueError,
        match=r"selector.locations is \(0,\); allowed: blocks above 0 with kind attention",
    ):
        preset("quick", **{"selector.kind": "attention", "selector.locations": (0,)})
    published = {"ticket.freeze": "near_zero"}
    assert preset("quick", **published).ticket.freeze == "near_zero"
    with pytest.raises(ValueError, match="ticket.freeze is 'near_zero'; allowed: mask with muon"):
        preset("quick", **published, **{"train.optimiser": "muon"})


@pytest.mark.parametrize(
    "name, changes",
    [
        ("study", {"data.name": "event-fashion"}),
        ("clutter", {"selector.kind": "oracle", "model.pool_stages": (0,)}),
    ],
)
def test_early_epochs_are_for_still_images_without_a_truth(name, changes):
    assert preset(name, **changes).train.early_epochs == 0
    with pytest.raises(ValueError, match="train.early_epochs is 1; allowed: "):
        preset(name, **changes, **{"train.early_epochs": 1})


@pytest.mark.parametrize("key", ["wdith", "model.wdith", "model.", "seed.x", "x.y"])
def test_an_unknown_field_is_named(key):
    with pytest.raises(ValueError, match=f"a parameter is '{key}'; allowed: "):
        preset("quick", **{key: 1})


@pytest.mark.parametrize("name", ["quik", None, ["quick"]])
def test_an_unknown_preset_names_the_known(name):
    with pytest.raises(ValueError, match=re.escape(f"preset is {name!r}; allowed: smoke, quick")):
        preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_equal_configs_have_equal_ids(name):
    assert preset(name, seed=3).hash() == preset(name, seed=3).hash() != preset(name, seed=4).hash()


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_a_row_of_a_table_also_as_text(name):
    config = PRESETS[name]
    as_text = {key: "" if value is None else str(value) for key, value in config.flat().items()}
    gaps = {
        key: f"{float(v)}" if type(v) is int else "nan" if v is None else str(v)
        for key, v in config.flat().items()
    }
    assert (
        RunConfig.from_flat(config.flat())
        == RunConfig.from_flat(as_text)
        == RunConfig.from_flat(gaps)
        == config
    )


def test_a_row_that_is_no_config_is_refused_in_one_sentence():
    row = PRESETS["smoke"].flat()
    for key, value in (
        ("results_version", 1),
        ("model.width", "wide"),
        ("model.pool_stages", "0, x"),
        ("model.width", 7),
        ("seed", 1.7),
        ("seed", "x"),
        ("seed", None),
    ):
        with pytest.raises(Refused, match=f"{key} is .*; allowed: "):
            RunConfig.from_flat(row | {key: value})


def test_an_order_needs_a_selector_and_a_ticket_that_is_none_of_the_controls():
    both = preset("smoke", selector=Selector(), ticket=Ticket(order="together"))
    assert both.ticket.order == "together"
    for change in (
        {"selector": None},
        {"ticket.control": "random"},
        {"ticket.search_time_steps": 1},
    ):
        with pytest.raises(Refused, match="ticket.order is 'together'; allowed: ticket_first, but"):
            both.with_(**change)


def test_every_change_changes_the_hash():
    base = preset("quick")
    others = [
        preset("quick", **{key: value})
        for key, value in [
            ("seed", 1),
            ("model.width", 48),
            ("selector.keep_ratio", 0.5),
            ("selector.keep_ratio", 0.6),
            ("ticket.round", 2),
            ("train.lr", 1e-3),
            ("data.augment", "published"),
        ]
    ]
    assert len({base.hash(), *(o.hash() for o in others)}) == len(others) + 1


def test_a_config_survives_json_and_what_is_no_config_is_refused():
    config = preset("paper-dvs128", seed=3)
    row = json.loads(json.dumps(config.flat()))
    assert RunConfig.from_flat(row) == config
    with pytest.raises(ValueError, match="results_version is '99'; allowed: "):
        RunConfig.from_flat(row | {"results_version": 99})
    with pytest.raises(ValueError, match="model.wings is '2'; allowed: encoding, channels"):
        RunConfig.from_flat(row | {"model.wings": 2})
    with pytest.raises(ValueError, match="model is 5; allowed: a Model"):
        preset("quick", **{"model": 5, "model.width": 8})


def test_an_id_covers_what_differs_from_the_defaults():
    """So a field that comes later, with a default that means "as before", renames nothing."""
    nothing = {"results_version": 5, "seed": 0, "data": {}, "model": {}, "train": {}}
    assert RunConfig().differences() == nothing
    config = RunConfig(seed=1).with_(**{"model.width": 48, "selector.keep_ratio": 0.7})
    assert config.differences()["model"] == {"width": 48} and config.differences()["selector"] == {}
    assert config.hash() != config.with_(selector=None).hash()
    zero, minus = (preset("quick", **{"train.min_lr": value}) for value in (0.0, -0.0))
    assert zero.hash() == minus.hash() and str(minus.train.min_lr) == "0.0"


def test_a_row_without_a_fields_column_has_its_default():
    row = preset("quick", **{"selector.keep_ratio": 0.5}).flat()
    for name in ("selector.dropped", "train.mixup", "data.difficulty"):
        del row[name]
    assert RunConfig.from_flat(row) == preset("quick", **{"selector.keep_ratio": 0.5})


def test_fields_that_depend_on_each_other_change_together():
    for given in ({"model.heads": 3, "model.width": 24}, {"model.width": 24, "model.heads": 3}):
        assert preset("quick", **given).model.heads == 3
    assert preset("spikformer-4-384", **{"model.width": 256, "model.heads": 8}).model.width == 256


def test_parts_can_be_taken_away_and_dotted_fields_make_them():
    assert preset("paper-cifar10", selector=None).selector is None
    assert preset("quick", **{"selector.keep_ratio": 0.4}).selector.keep_ratio == 0.4


def test_keep_ratios_are_powers_and_tokens_are_floored():
    selector = preset("paper-cifar10").selector
    assert selector.ratios() == pytest.approx([0.9, 0.81, 0.729])
    assert selector.counts(64) == [57, 51, 46]
    assert preset("quick", **{"selector.keep_ratio": 0.3}).selector.counts(10) == [3]


def test_a_ticket_reaches_the_sparsity_asked_for():
    ticket = Ticket(round=3).reaching(0.9)
    assert (1 - ticket.fraction) ** 3 == pytest.approx(0.1)
    with pytest.raises(ValueError, match="ticket.sparsity is 1.2; allowed"):
        ticket.reaching(1.2)


def notebook(**changes):
    return {"preset": "quick", "width": None, "sparsity": 0.9, "rounds": 2, **changes}


FIELDS = {
    "preset": "preset",
    "width": "model.width",
    "sparsity": "ticket.sparsity",
    "rounds": "ticket.round",
}


def test_notebook_parameters_become_a_config():
    config = from_notebook(notebook(width=48), FIELDS)
    assert config.model.width == 48 and config.ticket.fraction == pytest.approx(1 - 0.1**0.5)
    assert from_notebook(notebook(), FIELDS).model == preset("quick").model


def test_a_notebook_refuses_a_parameter_it_does_not_have():
    with pytest.raises(ValueError, match="a parameter is 'widht'; allowed: preset, width"):
        from_notebook(notebook(widht=48), FIELDS)


def test_a_notebook_may_have_imported_something_and_none_is_the_presets_value():
    config = from_notebook(notebook(os=os, preset_=len, sparsity=None, rounds=None), FIELDS)
    assert config.ticket == Ticket()
    chosen = from_notebook(
        {"preset": "quick", "keep_ratio": None},
        {"preset": "preset", "keep_ratio": "selector.keep_ratio"},
    )
    assert chosen.selector is not None
    with pytest.raises(ValueError, match="preset is None; allowed"):
        from_notebook(notebook(preset=None), FIELDS)


def test_another_data_set_brings_its_shape_along_and_leaves_what_is_not_its_own():
    cluttered = preset("clutter")
    assert cluttered.data.difficulty != Data().difficulty
    events = cluttered.with_(**{"data.name": "event-fashion"})
    assert (events.model.encoding, events.model.channels, events.model.side) == ("frames", 2, 32)
    assert (
        events.data.difficulty == Data().difficulty and events.model.width == cluttered.model.width
    )
    same = {"data.name": "cluttered-fashion"}
    assert cluttered.with_(**same) == cluttered
    assert cluttered.with_(**{"data.difficulty": 1, **same}).data.difficulty == 1.0
    for wrong, sentence in (
        (
            {"data.name": "event-fashion", "data.difficulty": 0.1},
            "data.difficulty is 0.1; allowed: 0.5, but with",
        ),
        (
            {"data.name": "event-fashion", "model.side": 48},
            "model.side is 48; allowed: 32, as in event",
        ),
        ({"data.name": ["cifar10"]}, r"data.name is \['cifar10'\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            cluttered.with_(**wrong)
