"""Where things lie: in a checkout, in an installed wheel, in a cache that is this user's."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ssf import folders

ROOT = folders.home()


def test_a_checkout_keeps_its_own_data_runs_and_results(monkeypatch):
    for name in ("SSF_RUNS", "SSF_RESULTS", "SSF_DATA"):
        monkeypatch.delenv(name, raising=False)
    assert (ROOT / "pyproject.toml").exists() and folders.shipped() == ROOT / "data"
    assert folders.runs() == ROOT / "runs" and folders.results() == ROOT / "data" / "results"
    assert folders.sets() == ROOT / "data" / "sets"
    monkeypatch.setenv("SSF_RUNS", "/elsewhere")
    assert folders.runs() == Path("/elsewhere")


def test_an_installed_library_finds_its_data_and_trains_where_it_is_called(tmp_path):
    """As a wheel lays it out (see pyproject.toml): data/ within the package, no repository."""
    installed = tmp_path / "site" / "ssf"
    shutil.copytree(ROOT / "ssf", installed, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data", installed / "data", ignore=shutil.ignore_patterns("sets"))
    (tmp_path / "work").mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SSF_")}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    command = "train --preset smoke -o data.train_size=64 -o epochs=1".split()
    code = f"""import ssf.__main__, ssf.study.ledger
assert ssf.__file__.startswith({str(installed)!r})
assert len(ssf.study.ledger.rows("tickets"))
raise SystemExit(ssf.__main__.main({command!r}))"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd=tmp_path / "work", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accuracy ")
    assert len(list((tmp_path / "work" / "runs").glob("*/record.json"))) == 1


def test_a_wheel_has_every_package_and_all_that_is_not_python():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "ssf").rglob("__init__.py")}
    packages = {name.replace(".", "/") for name in setuptools["packages"]}
    assert packages - {"ssf/data", "ssf/data/results"} == rooms
    where = setuptools["package-dir"]
    for package, patterns in setuptools["package-data"].items():
        folder = ROOT / where.get(package, package.replace(".", "/"))
        assert all(list(folder.glob(pattern)) for pattern in patterns), package
    own = [p for p in (ROOT / "ssf").rglob("*.*") if "__pycache__" not in p.parts]
    others = [p for p in own if p.suffix != ".py"]
    for path in others:
        package = ".".join(path.parent.relative_to(ROOT).parts)
        patterns = setuptools["package-data"].get(package, ())
        assert any(path.match(pattern) for pattern in patterns), path
    assert {".c", ".h", ".toml", ".js"} <= {path.suffix for path in others}


def test_a_cache_of_somebody_elses_is_not_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    assert folders.cache() == tmp_path / "cache" / "ssf"
    uid = os.getuid()
    monkeypatch.setattr(folders.os, "getuid", lambda: uid + 1)
    with pytest.raises(OSError, match="no folder for caches"):
        folders.cache()
