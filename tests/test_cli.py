import pandas as pd
import pytest

from ssf import folders
from ssf.__main__ import EXAMPLES, main, option
from ssf.presets import PRESETS


def test_presets_lists_every_preset_with_its_size(capsys):
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows.keys() >= PRESETS.keys()
    assert "9,324,730" in rows["spikformer-4-384"] and "3.736" in rows["spikformer-4-384"]
    assert "cifar10 95.19, cifar100 77.86" in rows["spikformer-4-384"] and "–" in rows["quick"]


@pytest.mark.slow
def test_train_prints_its_record_and_finds_it_again(capsys):
    command = ["train", "--preset", "smoke", "-o", "data.train_size=64", "-o", "train.epochs=1"]
    assert main(command) == 0 == main(command)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and first.startswith("accuracy 0.")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--preset", "quik"], "preset is 'quik'; allowed: smoke"),
        (["-o", "model.heads=3"], "model.heads is 3; allowed: a divisor"),
        (["-o", "model.time_steps=0"], "model.time_steps is 0"),
        (["-o", "ticket.fraction=1.2"], "ticket.fraction is 1.2"),
        (["-o", "selector.keep_ratio=0"], "selector.keep_ratio is 0"),
        (["-o", "data.name=nowhere"], "data.name is 'nowhere'"),
        (["-o", "wdith=3"], "a parameter is 'wdith'"),
        (["-o", "width"], "-o is 'width'; allowed: field=value"),
    ],
)
def test_wrong_use_ends_in_one_sentence_and_exit_code_2(capsys, arguments, sentence):
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"ssf: {sentence}") and err.count("\n") == 1


def test_a_seed_among_the_overrides_wins(capsys):
    assert main(["train", "-o", "seed=-5"]) == 2
    assert "seed is -5" in capsys.readouterr().err
    assert main(["train", "-o", "nome=3"]) == 2
    assert "a parameter is 'nome'" in capsys.readouterr().err


def test_a_field_needs_no_part_where_only_one_has_it():
    assert option("epochs=3") == ("train.epochs", 3) and option("width=48") == ("model.width", 48)
    assert option("seed=3") == ("seed", 3) and option("kind=random") == ("selector.kind", "random")
    assert option("train.lr=1e-3") == ("train.lr", 1e-3)


@pytest.mark.slow
def test_a_failed_training_ends_with_code_1(capsys):
    assert main(["train", "--preset", "smoke", "-o", "data.train_size=64", "-o", "lr=1e30"]) == 1
    err = capsys.readouterr().err
    assert (
        err.startswith("ssf: the loss is nan in epoch ")
        and "learning rate" in err
        and err.count("\n") == 1
    )


@pytest.mark.slow
def test_results_lists_and_exports_what_was_trained(capsys, tmp_path, monkeypatch):
    assert main(["results"]) == 0 and "no records under" in capsys.readouterr().out
    assert main(["train", "--preset", "smoke", "-o", "data.train_size=64", "-o", "epochs=1"]) == 0
    capsys.readouterr()
    assert main(["results"]) == 0
    assert "fashion-mini" in capsys.readouterr().out
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))
    assert main(["results", "--export", "few"]) == 0
    assert (tmp_path / "few.csv").read_text().startswith("id,results_version,seed,data.name")


@pytest.mark.parametrize("command", [[], ["train"], ["sweep"], ["presets"], ["results"]])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0 and "python -m ssf" in capsys.readouterr().out.split("examples:")[1]


def test_unknown_commands_are_wrong_use():
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == 2


def test_a_fault_of_our_own_shows_its_traceback(monkeypatch):
    """Only what a user can mend is one line: an internal ValueError is no message."""

    def broken(*_):
        raise ValueError("too many values to unpack")

    monkeypatch.setattr("ssf.model.cost.macs", broken)
    with pytest.raises(ValueError, match="too many values"):
        main(["presets"])


def test_the_example_of_a_rerun_names_a_row_of_the_study():
    identity = EXAMPLES.split("--rerun ")[1]
    rows = pd.read_csv(folders.shipped() / "results" / "study_tickets.csv")
    assert identity in set(rows.id)
