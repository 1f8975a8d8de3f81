"""The chapters: where they are and what is in them."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def chapters():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def cells(notebook):
    return json.loads(notebook.read_text())["cells"]
