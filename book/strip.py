"""Bring notebooks to the form that is committed, with nbstripout.

    python book/strip.py             all chapters, or the files named, in place
    python book/strip.py --verify    only say which are not in that form; exit code 1 if any
    python book/strip.py -           from standard input to standard output: git's filter

Outputs stay in cells tagged nbval-check-output, which nbval compares; other outputs go, and
execution counts, cells that papermill injected, and all metadata but the cells' tags, figures
and folds.

nbstripout's own command can't: it keeps outputs by a tag of its own, `keep_output`, and takes all
execution counts or none, while nbval refuses a stored output whose cell has none. So its function
is called from here.
"""

import sys
from pathlib import Path

import nbformat
from nbstripout import strip_output

CHAPTERS = Path(__file__).resolve().parents[1] / "notebooks"
CHECKED = "nbval-check-output"
KEPT = {"tags", "mystnb", "jupyter"}  # of a cell's metadata
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stripped(text):
    """A notebook's text in the committed form."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for key in set(cell.metadata) - KEPT:
            del cell.metadata[key]
        cell.metadata.keep_output = CHECKED in cell.metadata.get("tags", [])
    injected = ["injected-parameters"]
    notebook = strip_output(
        notebook, keep_output=False, keep_count=False, keep_id=True, drop_tagged_cells=injected
    )
    for cell in notebook.cells:
        if cell.metadata.pop("keep_output") and cell.get("outputs"):
            cell.execution_count = 1
    return nbformat.writes(notebook) + "\n"


def main(arguments):
    if arguments == ["-"]:
        sys.stdout.write(stripped(sys.stdin.read()))
        return 0
    verify = "--verify" in arguments
    named = [Path(argument) for argument in arguments if argument != "--verify"]
    changed = 0
    for path in named or sorted(CHAPTERS.glob("*.ipynb")):
        text = path.read_text()
        if stripped(text) == text:
            continue
        changed += 1
        if verify:
            print(
                f"{path.name} is not in the form that is committed: run python book/strip.py.",
                file=sys.stderr,
            )
        else:
            path.write_text(stripped(text))
            print(f"{path.name}: stripped")
    return int(verify and changed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
