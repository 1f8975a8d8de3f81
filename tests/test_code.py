import runpy
import shutil
import sys

import pytest

from ssf.engine import code

SELECTOR, KERNEL = "model/selector.py", "kernels/lif.c"


@pytest.fixture
def package(tmp_path):
    """A copy of the library's sources."""
    for path in code.sources():
        copy = tmp_path / "ssf" / path.relative_to(code.PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path / "ssf"


def fingerprint(package):
    return code.fingerprint.__wrapped__(package)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_words_about_the_code_are_no_part_of_its_fingerprint(package):
    before = fingerprint(package)
    assert before == code.fingerprint()
    for path in package.glob("*/*.py"):
        edit(path, path.read_text(), f"# a comment\n\n{path.read_text()}\n\n# another\n")
    assert fingerprint(package) == before
    edit(package / SELECTOR, '"""', '"""Other words. ')
    edit(package / "model/training.py", "def device():\n", 'def device():\n    """Where."""\n\n')
    assert fingerprint(package) == before


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("model/training.py", "1009", "1013"),
        ("model/tickets.py", "0x5EED", "0x5EEE"),
        ("config.py", "lr: field.Positive = 3e-3", "lr: field.Positive = 4e-3"),
        (KERNEL, "long ", "int "),
    ],
)
def test_a_number_is(package, name, old, new):
    if not (package / name).exists():
        pytest.skip("the kernels' room is gone")
    before = fingerprint(package)
    edit(package / name, old, new)
    assert fingerprint(package) != before


def test_without_the_kernels_room_all_is_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "ssf.kernels", None)
    alone = runpy.run_path(code.PACKAGE / "model" / "kernels.py")
    assert alone["path"]() == "plain" and alone["linear"](1, 2, 3) is None
