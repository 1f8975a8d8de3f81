import os
import resource

import pandas as pd
import pytest
import torch

from ssf.__main__ import main
from ssf.config import Failed
from ssf.engine import code, files, records
from ssf.engine.runs import run
from ssf.model import kernels


def test_tensors_and_state_survive_a_round_trip(tmp_path):
    tensors = {"a": torch.rand(3, 4).T, "mask": torch.rand(5) < 0.5, "count": torch.tensor(3)}
    files.write_tensors(tmp_path / "t.safetensors", tensors, epoch=2, history=[{"loss": 0.1 + 0.2}])
    again, state = files.read_tensors(tmp_path / "t.safetensors")
    assert again.keys() == tensors.keys() and all(
        torch.equal(tensors[n], again[n]) for n in tensors
    )
    assert state == {"epoch": 2, "history": [{"loss": 0.1 + 0.2}]}
    assert (
        files.digest(tensors)
        == files.digest(again)
        != files.digest(again | {"count": torch.tensor(4)})
    )


def test_a_class_can_share_the_files(tmp_path):
    """Those of a run are as open as the umask has them, the tensors' and the lock, too."""
    usual = os.umask(0o002)
    try:
        files.write_tensors(tmp_path / "t.safetensors", {"a": torch.ones(2)})
        files.write_json(tmp_path / "record.json", {})
        with files.lock(tmp_path):
            pass
    finally:
        os.umask(usual)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o664}


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "record.json"
    files.write_json(path, {"a": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(Failed, match=r"record.json can't be written: disk full"):
        files.write(path, fail)
    assert files.read_json(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda r: r.pop("accuracy"), "lacks the field accuracy; remove it and run again"),
        (
            lambda r: r.pop("parameters_left"),
            "lacks the field parameters_left; remove it and run again",
        ),
        (lambda r: r.update(results_version=99), "is of results version 99; this code knows up to"),
    ],
)
def test_a_record_that_can_not_be_read_is_named_and_the_others_are_listed(
    smoke, change, sentence, capsys
):
    good, bad = run(smoke), run(smoke.with_(seed=1))
    path = records.run_folder(bad.config) / "record.json"
    record = files.read_json(path)
    change(record)
    files.write_json(path, record)
    found, sentences = records.records()
    assert (
        [r["id"] for r in found] == [good.config.hash()]
        and len(sentences) == 1
        and sentence in sentences[0]
    )
    with pytest.raises(ValueError, match=sentence):
        run(bad.config)
    assert main(["results"]) == 1
    said = capsys.readouterr()
    assert good.config.hash() in said.out and sentence in said.err


def test_columns_are_the_same_for_every_kind_of_run(smoke):
    parts = ({}, {"ticket.fraction": 0.5}, {"selector.keep_ratio": 0.5})
    frames = [records.frame([run(smoke.with_(**part)).record]) for part in parts]
    assert [*frames[0]] == [*frames[1]] == [*frames[2]]
    assert frames[1]["ticket.fraction"][0] == 0.5 and frames[0]["ticket.fraction"][0] is None


def test_accuracies_are_named_for_what_they_are():
    history = [
        {"epoch": 1, "validation_accuracy": 0.3, "test_accuracy": 0.5, "test_loss": 1.0},
        {"epoch": 2, "validation_accuracy": 0.4, "test_accuracy": 0.2, "test_loss": 2.0},
        {"epoch": 3, "validation_accuracy": 0.1, "test_accuracy": 0.3, "test_loss": 3.0},
    ]
    row = records.measurements(history, 2.0, 100, 10)
    assert (row["accuracy"], row["accuracy_validation_selected"], row["accuracy_test_maximum"]) == (
        0.3,
        0.2,
        0.5,
    )
    assert row["loss"] == 3.0 and row["images_per_second"] == 50


def test_a_record_knows_its_code_kernels_and_processor_and_older_ones_do_not(smoke):
    record = run(smoke).record
    assert record["code"] == code.fingerprint() and len(record["code"]) == 12
    assert record["kernels"] == kernels.path() and record["processor"] == records.processor()
    path = records.run_folder(smoke) / "record.json"
    files.write_json(path, {k: v for k, v in record.items() if k not in records.ADDED})
    older = records.read_record(path.parent)
    assert [older[name] for name in ("code", "kernels", "processor")] == [None] * 3
    assert older["accuracy"] == run(smoke, any_code=True).record["accuracy"]


def test_runs_that_can_not_be_written_are_one_sentence(smoke, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SSF_RUNS", str(tmp_path / "file"))
    with pytest.raises(Failed, match="can't be written: "):
        run(smoke)


def test_export_writes_a_csv(tmp_path, monkeypatch):
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))
    path = records.export(pd.DataFrame({"b": [1], "a": [0.5]}), "study")
    assert path == tmp_path / "study.csv" and path.read_text() == "b,a\n1,0.5\n"


def test_a_full_disk_is_one_sentence_and_loses_nothing(smoke, monkeypatch, capsys):
    command = ["train", "--preset", "smoke", "-o", "data.train_size=64"]

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, hard)
    )  # the config still fits, a checkpoint does not
    try:
        assert main(command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    err = capsys.readouterr().err
    assert "can't be written" in err and err.startswith("ssf: ") and err.count("\n") == 1
    assert main(command) == 0


def test_a_machine_without_git_gives_a_record_without_a_commit(smoke, monkeypatch):
    records.provenance.cache_clear()
    monkeypatch.setenv("PATH", "")
    record = run(smoke).record
    records.provenance.cache_clear()
    assert record["commit"] is None and record["dirty"] is None
