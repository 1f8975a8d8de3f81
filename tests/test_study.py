import os
import signal
import time
from threading import Event, Thread

import pandas as pd
import pytest
import torch

from ssf import folders
from ssf.__main__ import main
from ssf.config import RunConfig
from ssf.engine import records, runs
from ssf.model import cost, kernels
from ssf.presets import preset
from ssf.study import experiments, ledger, results

FOUR_BLOCKS = {
    "dense",
    "ticket",
    "random",
    "all_tokens",
    "selector",
    "both",
    "ticket, trained on",
    "random_selector",
    "stem",
    "reinit",
}
# kinds of which the first seeds are not all trained yet; the pages say so
TO_TRAIN = {
    "four_blocks_long": FOUR_BLOCKS,
    "four_blocks_controls": {"32 channels, ten epochs", "dense, six epochs"},
    "half_hour": {"dense"},
    "precision": {
        "study-cifar10-small, dense",
        "study-cifar10-small, ticket",
        "study-cifar10-small, selector",
        "study-clutter, selector",
        "study, dense",
        "study, ticket",
        "study, selector",
        "study-clutter, dense",
    },
}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """An experiment of two small networks, its rows in a folder of its own."""

    def experiment(seed):
        dense = preset("smoke", seed=seed, **{"data.train_size": 64, "train.epochs": 2})
        yield "dense", dense
        yield "ticket", dense.with_(**{"ticket.fraction": 0.5})

    monkeypatch.setattr(experiments, "EXPERIMENTS", {"tiny": experiment})
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))
    return tmp_path / "study_tiny.csv"


@pytest.mark.slow
def test_rows_are_written_as_networks_are_done_and_survive_the_runs(
    tiny, monkeypatch, tmp_path_factory, capsys
):
    assert main(["study", "tiny", "--seeds", "0"]) == 0
    first = pd.read_csv(tiny)
    assert first.kind.tolist() == ["dense", "ticket"] and first.sparsity.tolist() == [
        0,
        pytest.approx(0.5, abs=1e-3),
    ]
    monkeypatch.setenv(
        "SSF_RUNS", str(tmp_path_factory.mktemp("elsewhere"))
    )  # another clone: no runs, but rows
    before = tiny.read_text()
    records.export(results.finished("tiny", [0]), tiny.stem)
    assert tiny.read_text() == before
    assert "ticket, seed 0: accuracy" in capsys.readouterr().out
    # with rows there is nothing to train; a row stays, whatever its run says now
    monkeypatch.setattr(runs, "run", lambda *_, **__: pytest.fail("trained again"))
    assert main(["study", "tiny", "--seeds", "0"]) == 0
    assert tiny.read_text() == before


@pytest.mark.slow
def test_an_interrupted_experiment_leaves_the_rows_so_far(tiny):
    networks = results.run("tiny", [0])
    next(networks)
    networks.close()
    assert pd.read_csv(tiny).kind.tolist() == ["dense"]


@pytest.mark.slow
def test_a_time_limit_keeps_what_is_done_and_the_same_command_goes_on(tiny, monkeypatch):
    """Also in a shell's background job, which ignores Ctrl-C."""
    trained, run = [], runs.run

    def endless_after_the_first(config, **options):
        while trained:
            time.sleep(0.05)
        trained.append(run(config, **options))
        return trained[-1]

    monkeypatch.setattr(runs, "run", endless_after_the_first)
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(["study", "tiny", "--seeds", "0", "--minutes", "0.3"]) == 0
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)
    assert pd.read_csv(tiny).kind.tolist() == ["dense"]
    monkeypatch.setattr(runs, "run", run)
    assert main(["study", "tiny", "--seeds", "0", "--minutes", "5"]) == 0
    assert pd.read_csv(tiny).kind.tolist() == ["dense", "ticket"]


def test_only_some_kinds_are_trained_and_the_manifest_tells_what_it_took(tiny, monkeypatch):
    assert main(["study", "tiny", "--seeds", "0,1", "--only", "dense"]) == 0
    rows = pd.read_csv(tiny)
    assert rows.kind.tolist() == ["dense"] * 2 and rows.seed.tolist() == [0, 1]
    (line,) = pd.read_csv(tiny.with_name("study_manifest.csv")).to_dict("records")
    assert line["command"] == "python -m ssf study tiny --seeds 0,1" and line["networks"] == 2
    assert line["hours"] == pytest.approx(rows.seconds.sum() / 3600, abs=0.01)
    # rows of before the processor was recorded: the manifest on another machine keeps its word
    monkeypatch.setattr(records, "processor", lambda: "another")
    rows.drop(columns="processor").to_csv(tiny, index=False)
    kept = results.manifest().processor.tolist()
    assert kept == [line["processor"]] and kept != ["another"]
    rows.assign(processor=["", "another"]).to_csv(tiny, index=False)
    assert results.manifest().processor[0].split(", ") == sorted([line["processor"], "another"])


@pytest.mark.parametrize("half", [{"train.mixed_precision": True}, {"train.optimiser": "muon"}])
def test_no_row_of_half_precision_is_trained_in_float32(tiny, monkeypatch, capsys, half):
    usual = experiments.EXPERIMENTS["tiny"]

    def in_half(seed):
        for kind, config in usual(seed):
            yield kind, config.with_(**half)

    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", in_half)
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda _: False)
    assert main(["study", "tiny", "--seeds", "0"]) == 1
    assert "'dense' trains in bfloat16" in capsys.readouterr().err and not tiny.exists()


@pytest.mark.slow
def test_a_row_can_be_trained_again_and_a_wrong_one_is_told(tiny, capsys):
    main(["study", "tiny", "--seeds", "0"])
    rows = pd.read_csv(tiny)
    row = rows[rows.kind == "ticket"].iloc[0]
    trained = records.run_folder(RunConfig.from_flat(row.to_dict()))
    stamp = (trained / "record.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["results", "--rerun", row.id]) == 0
    assert (
        f"accuracy {row.accuracy:.6f} in the row, {row.accuracy:.6f} now: the same"
        in capsys.readouterr().out
    )
    assert (
        trained / "record.json"
    ).stat().st_mtime_ns == stamp and folders.runs() == trained.parent
    rows.loc[rows.id == row.id, ["accuracy", "torch"]] = [row.accuracy + 0.125, "0.1"]
    rows["code"] = "of before"
    rows.to_csv(tiny, index=False)
    assert main(["results", "--rerun", row.id]) == 0
    said = capsys.readouterr().out
    assert "now: -12.50 points" in said and "torch 0.1, now" in said
    assert "code of before, now" in said


@pytest.mark.slow
def test_two_processes_that_write_one_file_lose_no_row(tiny, monkeypatch):
    """The second one finishes while the first has read the rows and not yet written them."""
    for seed in (0, 1):
        runs.run(dict(experiments.EXPERIMENTS["tiny"](seed))["dense"])
    has_read, has_written, finished = Event(), Event(), results.finished

    def slowly(name, seeds):
        table = finished(name, seeds)
        if not has_read.is_set():
            has_read.set()
            has_written.wait(1)  # in vain, where the second waits for the first
        return table

    def second():
        has_read.wait()
        list(results.run("tiny", [1], ["dense"]))
        has_written.set()

    monkeypatch.setattr(results, "finished", slowly)
    other = Thread(target=second)
    other.start()
    list(results.run("tiny", [0], ["dense"]))
    other.join()
    assert pd.read_csv(tiny).seed.tolist() == [0, 1]
    assert pd.read_csv(tiny.with_name("study_manifest.csv")).networks.tolist() == [2]


@pytest.mark.slow
def test_a_row_trained_again_leaves_threads_and_folders_as_they_were(tiny, monkeypatch):
    list(results.run("tiny", [0], ["dense"]))
    (identity,) = rows = results.as_text("tiny")
    usual, threads = os.environ["SSF_RUNS"], torch.get_num_threads()
    table = pd.DataFrame(rows.values())
    table.assign(threads=threads + 1).to_csv(tiny, index=False)
    inside = []

    def fails(config, **_):
        inside.append((torch.get_num_threads(), folders.runs().exists(), str(folders.runs())))
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run", fails)
    with pytest.raises(KeyboardInterrupt):
        results.rerun(identity)
    ((counted, is_folder, folder),) = inside
    assert counted == threads + 1 and is_folder and folder != usual
    assert torch.get_num_threads() == threads and os.environ["SSF_RUNS"] == usual
    assert not os.path.exists(folder)


def test_what_computed_a_row_is_compared_where_the_row_names_it(monkeypatch):
    monkeypatch.setattr(records, "MACHINE", ("torch", "kernels", "processor"))
    record = {"torch": "2.13.0", "kernels": "avx2", "processor": "EPYC", "code": "abc"}
    assert results.changed({"torch": "2.13.0", "kernels": "", "code": None}, record) == []
    assert results.changed({key: "x" for key in record}, record) == [
        "torch x, now 2.13.0",
        "kernels x, now avx2",
        "processor x, now EPYC",
        "code x, now abc",
    ]


def test_wrong_use_is_refused(tiny, capsys):
    wrong = (
        ["study", "nothing"],
        ["study", "tiny", "--seeds", "a"],
        ["study", "tiny", "--only", "x"],
    )
    for arguments in (*wrong, ["results", "--rerun", "x"]):
        assert main(arguments) == 2
        assert "allowed:" in capsys.readouterr().err


def test_four_blocks_keep_the_most_tokens_that_save_a_fifth():
    network = dict(experiments.four_blocks(0))["selector"]
    most = cost.keep_ratio_for(ledger.SAVING, network.model, network.selector)
    assert network.selector.keep_ratio == pytest.approx(most, abs=5e-4)
    assert cost.saving(network.model, network.selector) >= ledger.SAVING


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_committed_rows_are_of_the_study_as_it_stands(name):
    """Each row's config, as the experiment names it, hashes to its id."""
    if not results.path(name).exists():
        pytest.skip(f"{results.path(name).name} is not there yet")
    rows = pd.read_csv(results.path(name))
    assert [RunConfig.from_flat(row).hash() for row in rows.to_dict("records")] == rows.id.tolist()
    named = {
        config.hash(): kind
        for seed in set(rows.seed)
        for kind, config in experiments.EXPERIMENTS[name](seed)
    }
    assert named.items() >= dict(zip(rows.id, rows.kind, strict=True)).items()
    for seed, part in rows.groupby("seed"):
        configs = {config.hash(): config for _, config in experiments.EXPERIMENTS[name](seed)}
        for row in part.itertuples():
            assert configs[row.id].seed == seed and not row.accuracy != row.accuracy


@pytest.mark.parametrize("name", sorted(experiments.EXPERIMENTS))
def test_an_experiment_has_every_network_of_its_first_seeds(name):
    """But those that are still to be trained, which are listed as long as they are."""
    rows = results.as_text(name)
    first = {"replication": experiments.FRESH}.get(name, 0)
    seeds = range(first, first + experiments.FIRST)
    if name in experiments.CHOOSING:
        seeds = [experiments.CHOSEN_WITH]
    named = [
        (kind, config) for seed in seeds for kind, config in experiments.EXPERIMENTS[name](seed)
    ]
    missing = {kind for kind, config in named if config.hash() not in rows}
    assert named and missing == TO_TRAIN.get(name, set())


def test_the_recipe_trains_by_muon_and_its_study_by_adamw_as_published():
    assert preset("study-cifar10").train.optimiser == "muon"
    for name in ("four_blocks", "four_blocks_long"):
        networks = [config for _, config in experiments.EXPERIMENTS[name](0)]
        assert {config.train.optimiser for config in networks} == {"adamw"}
        assert not any(config.train.mixed_precision for config in networks)
