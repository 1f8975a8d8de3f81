import pytest

from ssf.__main__ import main
from ssf.config import PRESETS


def test_presets_lists_every_preset_with_its_size(capsys):
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows.keys() >= PRESETS.keys()
    assert "9,324,730" in rows["spikformer-4-384"] and "3.736" in rows["spikformer-4-384"]
    assert "cifar10 95.19, cifar100 77.86" in rows["spikformer-4-384"] and "–" in rows["quick"]


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
    assert main(["train", "-o", "name=3"]) == 2
    assert "a parameter is 'name'" in capsys.readouterr().err


def test_unknown_commands_are_wrong_use():
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == 2
