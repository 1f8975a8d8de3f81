"""The chapters: where they are, what is in them, and how they are executed."""

import json
from pathlib import Path

import papermill

ROOT = Path(__file__).resolve().parents[1]


def chapters():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def cells(notebook):
    return json.loads(notebook.read_text())["cells"]


def executed(notebook, out, parameters=None):
    """Execute a chapter into `out`, from the repository's root; returns papermill's notebook.

    Raises ValueError, one sentence with the chapter's name, where a cell fails.
    """
    settings = {"cwd": ROOT, "progress_bar": False, "log_output": False}
    try:
        return papermill.execute_notebook(notebook, out, parameters, **settings)
    except papermill.PapermillExecutionError as error:
        out.unlink(missing_ok=True)
        cell = f"{notebook.name} failed in cell {error.exec_count}"
        raise ValueError(f"{cell}: {error.ename}: {error.evalue}") from None
