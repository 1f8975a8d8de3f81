"""The code that made a run: a fingerprint of the sources that decide its numbers."""

import ast
import functools
import hashlib
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ALONE = ("config.py", "distributed.py")
ROOMS = ("model", "datasets", "kernels")
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)  # or a string, kept


def without_docstrings(text):
    """Python source in one canonical form: no docstrings, comments, blank lines or formatting."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def without_comments(text):
    """C source without comments, each run of white space a single space."""
    return " ".join(COMMENT.sub(lambda match: match[1] or " ", text).split())


def sources(package=PACKAGE):
    """The files that decide numbers, in a fixed order."""
    files = [package / name for name in ALONE]
    for room in ROOMS:
        files += sorted((package / room).glob("*.py")) + sorted((package / room).glob("*.[ch]"))
    return files


@functools.cache
def fingerprint(package=PACKAGE):
    """12 hex digits that change with whatever could change a number, not with words about it."""
    total = hashlib.sha256()
    for path in sources(package):
        meaning = without_docstrings if path.suffix == ".py" else without_comments
        total.update(f"{path.relative_to(package).as_posix()}\n".encode())
        total.update(meaning(path.read_text()).encode())
    return total.hexdigest()[:12]


def kernels():
    """What computes: "plain", that is torch alone, or the flags of the compiled kernels."""
    try:
        from ssf.kernels import path
    except ImportError:  # their room may be deleted
        return "plain"
    return path()
