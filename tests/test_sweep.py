"""Sweeps, with tiny notebooks, on real Dask clusters of separate processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ssf.__main__ import main
from ssf.engine.sweep import name_of, points_of, sweep, value_of

pytest.importorskip("papermill", reason="the extra sweep is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra sweep is not installed")

NOTEBOOK = """
import os, pathlib, time
with open(pathlib.Path(folder) / f"{a}-{b}", "a") as file:
    file.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\\n")
time.sleep(seconds)
assert b != 13, "unlucky"
"""


@pytest.fixture
def notebook(tmp_path):
    """A notebook that notes each execution in a file of its folder, and fails at b = 13."""
    cells = [
        nbformat.v4.new_code_cell(
            f"a = 0\nb = 0\nseconds = 0\nfolder = {str(tmp_path)!r}",
            metadata={"tags": ["parameters"]},
        ),
        nbformat.v4.new_code_cell(NOTEBOOK),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def executions(folder):
    return {p.name: len(p.read_text().splitlines()) for p in folder.glob("*-*") if p.is_file()}


def test_a_grid_is_every_combination_and_every_point_has_a_name():
    points = points_of({"seed": [0, 1], "rounds": [3]})
    assert points == [{"seed": 0, "rounds": 3}, {"seed": 1, "rounds": 3}] and points_of({}) == [{}]
    assert [name_of(p) for p in points] == ["seed=0,rounds=3", "seed=1,rounds=3"]
    odd = [name_of({"path": "/etc/x"}), name_of({"path": "/etc/y"}), name_of({"text": "x" * 300})]
    assert len(set(odd)) == 3 and all(name.isalnum() for name in odd)


@pytest.mark.slow
def test_a_sweep_runs_each_point_once_and_a_failed_one_again(
    notebook, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = ["sweep", str(notebook), "-p", "a=0,1", "-p", "b=12,13", "--workers", "2"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "2 of 4 points done (0 before)" in said.out
    assert said.err.count("ssf: failed at {'a': ") == 2 and "AssertionError: unlucky" in said.err
    (folder,) = (tmp_path / "sweeps").iterdir()
    assert sorted(p.name for p in folder.iterdir()) == [
        "a=0,b=12.ipynb", "a=0,b=13.failed.ipynb", "a=1,b=12.ipynb", "a=1,b=13.failed.ipynb",
    ]  # fmt: skip
    kept = json.loads((folder / "a=1,b=12.ipynb").read_text())
    assert kept["metadata"]["papermill"]["parameters"] == {"a": 1, "b": 12}
    assert executions(tmp_path) == {f"{a}-{b}": 1 for a in (0, 1) for b in (12, 13)}
    assert main(command) == 1 and "(2 before)" in capsys.readouterr().out
    assert executions(tmp_path) == {"0-12": 1, "0-13": 2, "1-12": 1, "1-13": 2}
    monkeypatch.setattr("ssf.engine.sweep.cluster", None)  # a finished sweep starts none
    assert sweep(notebook, {"a": [0, 1], "b": [12]}) == (2, [])


def test_values_mean_what_they_mean_to_papermill():
    means = {"True": True, "False": False, "None": None, "3": 3, "-0": 0, "0.5": 0.5, "1e-3": 0.001}
    for text, value in means.items():
        assert value_of(text) == value and type(value_of(text)) is type(value)
    assert all(value_of(text) == text for text in ("true", "smoke", "0x3", "[1]", ""))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["{notebook}", "-p", "c=1"], "a parameter is 'c'; allowed: a, b, seconds, folder."),
        (["{notebook}", "-p", "a"], "-p is 'a'; allowed: parameter=value"),
        (["nowhere.ipynb"], "nowhere.ipynb is no notebook that can be read"),
        (
            ["{notebook}", "--scheduler", "tcp://127.0.0.1:9"],
            "no scheduler answers at tcp://127.0.0.1:9",
        ),
    ],
)
def test_wrong_use_is_refused_before_anything_runs(
    notebook, tmp_path, capsys, monkeypatch, arguments, sentence
):
    monkeypatch.setattr("ssf.engine.sweep.PATIENCE", 0.5)
    arguments = [a.format(notebook=notebook) for a in arguments]
    assert main(["sweep", *arguments, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert f"ssf: {sentence}" in err and not executions(tmp_path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.slow
def test_a_killed_worker_does_not_stop_a_sweep(notebook, tmp_path):
    """A scheduler and two workers, each a process; one is killed while it executes a point."""
    address = f"tcp://127.0.0.1:{free_port()}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([*dask, "--host", address, "--no-dashboard"], **quiet)]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    processes += [subprocess.Popen(worker, **quiet, start_new_session=True) for _ in range(2)]
    code = (
        f"from ssf.engine.sweep import sweep; before, done = sweep({str(notebook)!r}, "
        f"{{'a': [0, 1, 2, 3], 'seconds': [2]}}, {str(tmp_path / 'out')!r}, {address!r}); "
        "print(before, len(done), [o['error'] for o in done])"
    )
    try:
        sweeping = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(executions(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(processes[1].pid, signal.SIGKILL)  # the worker and the kernel it started
        out, _ = sweeping.communicate(timeout=120)
    finally:
        for process in processes:
            process.kill()
    assert out.strip() == "0 4 [None, None, None, None]"
    (folder,) = (tmp_path / "out").iterdir()
    assert len([p for p in folder.iterdir() if "failed" not in p.name]) == 4
    assert sum(executions(tmp_path).values()) == 5  # the killed one's point twice
