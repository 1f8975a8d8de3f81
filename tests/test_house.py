"""The house: rooms whose arrows point down, short files and functions, light imports."""

import ast
import os
import statistics
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = 0  # config, field, presets, folders, distributed
ROOMS = {"figures": 5, "speed": 5, "study": 4, "engine": 3, "model": 2, "datasets": 1, "kernels": 1}
ENTRANCE = 6  # __main__
FILE, FUNCTION, LINE = 350, 45, 100  # at most: lines, lines, characters
LIBRARY, MODEL = 7_834, 1_116  # lines, and those of model/
HIDDEN = ("papermill", "nbformat", "nbclient", "IPython", "ipykernel", "jupyter_client", "altair",
          "vl_convert", "yaml", "bs4", "dask", "distributed", "playwright")  # fmt: skip

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "ssf").rglob("*.py"))
}


def imported(source, modules):
    """Modules of the library that a source imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules else node.module)
    return {name for name in found if name.partition(".")[0] == "ssf"}


def height(module):
    _, room, *_ = [*module.split("."), "", ""]
    return ENTRANCE if room == "__main__" else ROOMS.get(room, GROUND)


def upward(arrows):
    """Arrows that do not point down: to a higher room, or to another one of the same height."""
    wrong = []
    for module, others in arrows.items():
        for other in others:
            own_room = module.split(".")[1:2] == other.split(".")[1:2]
            beside = height(module) == height(other) != GROUND and not own_room
            if height(other) > height(module) or beside:
                wrong.append(f"{module} imports {other}")
    return wrong


@pytest.fixture(scope="module")
def arrows():
    return {module: imported(path.read_text(), SOURCES) for module, path in SOURCES.items()}


def test_arrows_point_down(arrows):
    assert not upward(arrows)
    assert {module.split(".")[1] for module in arrows if module.count(".") > 1} == ROOMS.keys()


def test_there_is_no_circle(arrows):
    order = list(TopologicalSorter(arrows).static_order())
    assert order.index("ssf.config") < order.index("ssf.engine.runs")


def test_an_upward_arrow_is_found():
    source = "import torch\ndef f():\n    from ssf.study import ledger\n    import ssf.folders"
    found = imported(source, {"ssf.study.ledger"})
    assert found == {"ssf.study.ledger", "ssf.folders"}
    assert upward({"ssf.engine.runs": found}) == ["ssf.engine.runs imports ssf.study.ledger"]
    assert upward({"ssf.speed.bench": {"ssf.figures.style"}, "ssf.config": {"ssf.model.cost"}})
    assert not upward({"ssf.speed.bench": {"ssf.speed.race", "ssf.kernels.build", "ssf.config"}})


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_is_short_and_so_are_its_functions_and_lines(module):
    text = SOURCES[module].read_text()
    lines = text.splitlines()
    assert len(lines) <= FILE and max(map(len, lines), default=0) <= LINE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION, node.name


def test_the_library_is_thin():
    sizes = {module: len(path.read_text().splitlines()) for module, path in SOURCES.items()}
    model = sum(size for module, size in sizes.items() if module.startswith("ssf.model"))
    assert sum(sizes.values()) <= LIBRARY
    assert model <= MODEL


def test_every_package_says_what_lives_there():
    for room in ROOMS:
        said = ast.get_docstring(ast.parse(SOURCES[f"ssf.{room}"].read_text()))
        assert said and 3 <= len(said.splitlines()) <= 6, room


def seconds(*modules):
    """What it takes to start Python and import those; they print nothing."""
    began = time.perf_counter()
    command = [sys.executable, "-c", f"import {', '.join(modules)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return time.perf_counter() - began


@pytest.mark.slow
def test_import_takes_no_longer_than_torchs():
    """And 0.3 seconds; medians of turns."""
    turns = [(seconds("ssf"), seconds("torch")) for _ in range(3)]
    own, torchs = map(statistics.median, zip(*turns, strict=True))
    assert own < torchs + 0.3


@pytest.mark.slow
def test_import_prints_nothing_and_leaves_slow_packages_alone():
    code = (
        "import ssf.engine.runs, ssf.figures, sys;"
        "assert not {'matplotlib', 'seaborn', 'pandas', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_librarys_tests_need_nothing_of_the_books():
    """All files of tests/ but the book's are imported, some of them run, without its packages."""
    code = f"""
import sys, pytest
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
sys.exit(pytest.main(["-p", "no:cacheprovider", "--ignore=tests/book", "tests", "-k", sys.argv[1]]))
"""
    chosen = "test_config.py or test_draws.py or test_tickets.py or test_sweep.py"
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-c", code, chosen]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
