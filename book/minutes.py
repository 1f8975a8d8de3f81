"""The minutes that a chapter takes: to read, by its words, and to run, as measured.

    python book/minutes.py                      every chapter
    python book/minutes.py 02_winning_tickets   one of them; the rows of the others stay

A chapter is executed at its defaults with an empty folder of runs, so that it trains all it needs: what it takes on
its own. data/results/minutes.csv gets a row for each code cell; the tables of the book are made of those and of the
chapters as they stand.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pandas as pd
import papermill
from chapters import ROOT, cells, chapters

from ssf.engine import records

FILE = ROOT / "data" / "results" / "minutes.csv"
COLUMNS = ["notebook", "cell", "heading", "seconds", "cores", "processor"]
COMMAND = "python book/minutes.py"
WORDS_A_MINUTE = 200  # what stands between two spaces counts as a word, an equation's signs too


def measured():
    """The committed rows, none where there is no file."""
    return pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=COLUMNS)


def pieces(notebook):
    """(heading, words to read, None or the id of a code cell) of a chapter, in order; each heading starts a piece.

    A hash within a fence is no heading. Solutions (cells with that tag) are folded on the page: nothing to read.
    """
    heading, fence = notebook.stem, None
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            yield heading, 0, cell["id"]
        elif cell["cell_type"] == "markdown" and "solution" not in cell["metadata"].get("tags", []):
            for line in "".join(cell["source"]).splitlines():
                mark = re.match(r"\s*(`{3,}|~{3,})(.*)", line)
                title = None if fence else re.match(r"#+ +(.+)", line)
                if mark and not fence:
                    fence = mark[1]
                elif mark and mark[1].startswith(fence) and not mark[2].strip():
                    fence = None
                heading = title[1].strip() if title else heading
                if line.strip() and not re.fullmatch(
                    r"\(.+\)=", line.strip()
                ):  # a label is not read
                    yield heading, len(line.split()), None
            fence = None


def measure(notebook):
    """Execute a chapter; a row for each of its code cells. ValueError, one sentence, where a cell fails."""
    headings = {cell: heading for heading, _, cell in pieces(notebook)}
    machine = {"cores": os.cpu_count(), "processor": records.processor()}
    with tempfile.TemporaryDirectory() as runs, tempfile.TemporaryDirectory() as folder:
        with mock.patch.dict(os.environ, SSF_RUNS=runs):  # the kernel inherits it
            out = Path(folder) / notebook.name
            try:
                done = papermill.execute_notebook(
                    notebook, out, cwd=ROOT, progress_bar=False, log_output=False
                )
            except papermill.exceptions.PapermillExecutionError as error:
                where = f"{notebook.name} failed in cell {error.exec_count}"
                raise ValueError(f"{where}: {error.ename}: {error.evalue}") from None
    return [
        {
            "notebook": notebook.stem,
            "cell": c.id,
            "heading": headings[c.id],
            "seconds": round(seconds, 2),
            **machine,
        }
        for c in done.cells
        if c.cell_type == "code" and (seconds := c.metadata.papermill["duration"]) is not None
    ]


def keep(rows):
    """Put a chapter's rows in the place of its former ones; those of chapters that are gone go."""
    rows = pd.DataFrame(rows, columns=COLUMNS)
    former = measured()
    there = {notebook.stem for notebook in chapters()} - set(rows.notebook)
    table = pd.concat([former[former.notebook.isin(there)], rows]).sort_values(
        "notebook", kind="stable"
    )
    records.write(FILE, lambda path: table.to_csv(path, index=False))


def by_heading(notebook):
    """A frame of a chapter's headings in order: words, and seconds; those are missing where a cell was not measured."""
    rows = measured()
    seconds = dict(rows.loc[rows.notebook == notebook.stem, ["cell", "seconds"]].to_numpy())
    parts = [
        (h, words, seconds.get(cell, float("nan")) if cell else 0.0)
        for h, words, cell in pieces(notebook)
    ]
    table = pd.DataFrame(parts, columns=["heading", "words", "seconds"])
    return table.groupby("heading", sort=False).agg(
        {"words": "sum", "seconds": lambda s: s.sum(skipna=False)}
    )


def minutes_of(words):
    number = round(words / WORDS_A_MINUTE)
    return f"{number} minute{'s' * (number > 1)}" if number else "less than a minute"


def time_of(seconds):
    return (
        f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
        if seconds >= 0.5
        else "< 1 s"
    )


def of(notebook):
    """What a chapter takes, in a phrase: 12 minutes to read, 40 s to run on two cores."""
    total = by_heading(notebook).sum(skipna=False)
    reading = f"{minutes_of(total.words)} to read"
    if pd.isna(total.seconds):
        return f"{reading}; to run: not measured yet: `{COMMAND}`"
    rows = measured()
    cores = rows.cores[rows.notebook == notebook.stem].iloc[0]
    machine = {1: "one core", 2: "two cores"}.get(cores, f"{cores} cores")
    return f"{reading}, {time_of(total.seconds)} to run on {machine}"


def table(book):
    """Write _minutes.md: for each chapter what it takes, and for each of its headings, where it was measured."""
    lines = []
    for notebook in chapters():
        headings = by_heading(notebook)
        lines += [
            f"### [{next(iter(headings.index))}]({notebook.name})",
            "",
            f"{of(notebook).capitalize()}.",
            "",
        ]
        if headings.seconds.notna().all():
            lines += ["| under the heading | to read | to run |", "|---|---|---|"]
            for heading, row in headings.iterrows():
                cell = heading.replace("|", r"\|")
                lines.append(f"| {cell} | {minutes_of(row.words)} | {time_of(row.seconds)} |")
            lines.append("")
    lines.append(
        f"Reading: {WORDS_A_MINUTE} words a minute; neither code nor folded solutions are counted."
    )
    if machines := sorted(set(measured().processor)):
        lines.append(f"Running: {', '.join(machines)}, with nothing trained before.")
    (book / "_minutes.md").write_text("\n".join(lines) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="01_baseline_spikformer, … (without: all)")
    wanted = parser.parse_args(argv).chapter
    there = {notebook.stem: notebook for notebook in chapters()}
    for name in wanted:
        if name not in there:
            raise ValueError(f"a chapter is {name!r}; allowed: {', '.join(there)}.")
    for name in wanted or there:
        print(f"{name} …", flush=True)
        keep(
            measure(there[name])
        )  # after each: an interrupted measurement keeps the chapters it has
        print(of(there[name]), flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/minutes.py: {error}")
