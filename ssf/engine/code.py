"""The code that made a run: a fingerprint of the sources that decide its numbers."""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ALONE = ("config.py", "distributed.py")
ROOMS = ("model", "datasets", "kernels")


def without_docstrings(text):
    """Python source in one canonical form: no docstrings, comments, blank lines or formatting."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def sources(package=PACKAGE):
    """The files that decide numbers, in a fixed order."""
    files = [package / name for name in ALONE]
    for room in ROOMS:
        files += sorted((package / room).glob("*.py")) + sorted((package / room).glob("*.[ch]"))
    return files


@functools.cache
def fingerprint(package=PACKAGE):
    """12 hex digits that change with what could change a number, not with Python's comments."""
    total = hashlib.sha256()
    for path in sources(package):
        text = path.read_text()
        total.update(f"{path.relative_to(package).as_posix()}\n".encode())
        total.update((without_docstrings(text) if path.suffix == ".py" else text).encode())
    return total.hexdigest()[:12]
