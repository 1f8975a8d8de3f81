"""The minutes that a chapter takes: to read, by its words, and to run, as measured.

    python book/minutes.py                      every chapter
    python book/minutes.py 02_winning_tickets   one of them; the rows of the others stay

A chapter is executed at its defaults with an empty folder of runs, so that it trains all it needs.
data/results/minutes.csv gets a row for each code cell; the tables of the book are made of those and
of the chapters as they are.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import pandas as pd
from chapters import ROOT, cells, chapters, executed

from ssf.engine import files, records

FILE = ROOT / "data" / "results" / "minutes.csv"
COLUMNS = ["notebook", "cell", "heading", "seconds", "cores", "processor"]
WORDS_A_MINUTE = 200  # a word is what spaces separate, an equation's signs too


def measured():
    """The committed rows, none where there is no file."""
    return pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=COLUMNS)


def pieces(notebook):
    """(heading, words to read, None or the id of a code cell) of a chapter, in order.

    Each heading starts a piece; a hash within a fence is no heading. Cells tagged `solution` are
    folded on the page: nothing to read.
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
                label = re.fullmatch(r"\(.+\)=", line.strip())
                if line.strip() and not label:  # a label is not read
                    yield heading, len(line.split()), None
            fence = None


def measure(notebook):
    """Execute a chapter; a row for each code cell. Raises ValueError where a cell fails."""
    with tempfile.TemporaryDirectory() as runs, tempfile.TemporaryDirectory() as folder:
        os.environ["SSF_RUNS"] = runs  # the kernel inherits it
        done = executed(notebook, Path(folder) / notebook.name)
    seconds = {c.id: c.metadata.papermill["duration"] for c in done.cells if c.cell_type == "code"}
    headings = {cell: heading for heading, _, cell in pieces(notebook) if cell}
    rows = pd.DataFrame({"cell": headings.keys(), "heading": headings.values()})
    rows = rows.assign(notebook=notebook.stem, seconds=rows.cell.map(seconds).astype(float))
    rows = rows.assign(cores=os.cpu_count(), processor=records.processor())
    return rows.dropna(subset="seconds").round({"seconds": 2})[COLUMNS]


def keep(rows):
    """Put a chapter's rows in the place of its former ones; those of chapters that are gone go."""
    former = measured()
    others = {notebook.stem for notebook in chapters()} - set(rows.notebook)
    table = pd.concat([former[former.notebook.isin(others)], rows])
    table = table.sort_values("notebook", kind="stable")
    files.write(FILE, lambda path: table.to_csv(path, index=False))


def by_heading(notebook):
    """A frame of a chapter's headings in order: words, and seconds, missing where not measured."""
    rows = measured()
    seconds = rows[rows.notebook == notebook.stem].set_index("cell").seconds
    table = pd.DataFrame(pieces(notebook), columns=["heading", "words", "cell"])
    table["seconds"] = table.cell.map(seconds).where(table.cell.notna(), 0.0)
    groups = table.groupby("heading", sort=False)
    return groups.agg({"words": "sum", "seconds": lambda s: s.sum(skipna=False)})


def minutes_of(words):
    number = round(words / WORDS_A_MINUTE)
    return f"{number} minute{'s' * (number > 1)}" if number else "less than a minute"


def time_of(seconds):
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds > 0.5 else "< 1 s"


def on_cores(number):
    return {1: "one core", 2: "two cores"}.get(number, f"{number} cores")


def of(notebook):
    """What a chapter takes, in a phrase: 12 minutes to read, 40 s to run on two cores.

    Without the time to run where a cell was not measured.
    """
    total = by_heading(notebook).sum(skipna=False)
    reading = f"{minutes_of(total.words)} to read"
    if pd.isna(total.seconds):
        return reading
    rows = measured()
    cores = rows.cores[rows.notebook == notebook.stem].iloc[0]
    return f"{reading}, {time_of(total.seconds)} to run on {on_cores(cores)}"


def table(book):
    """Write _minutes.md: what each chapter and, folded, its parts take; "–": not measured."""
    head, whole, parts = ["| {} | to read | to run |", "|---|---|---|"], [], []
    for notebook in chapters():
        headings = by_heading(notebook)
        title, total = headings.index[0], headings.sum(skipna=False)
        named = {f"[{title}]({notebook.name})": total, "its opening": headings.iloc[0]}
        named |= {title.replace("|", r"\|"): row for title, row in headings.iloc[1:].iterrows()}
        for name, row in named.items():
            running = "–" if pd.isna(total.seconds) else time_of(row.seconds)
            parts.append(f"| {name} | {minutes_of(row.words)} | {running} |")
        whole.append(parts[-len(named)])
    lines = [head[0].format("chapter"), head[1], *whole, "", ":::{dropdown} Part by part"]
    lines += [head[0].format("chapter, and its parts"), head[1], *parts, ":::"]
    lines += ["", f"Reading: {WORDS_A_MINUTE} words a minute, without code and folded solutions."]
    machines = measured()[["cores", "processor"]].drop_duplicates().itertuples(index=False)
    if machines := ", ".join(f"{on_cores(cores)} of {processor}" for cores, processor in machines):
        lines.append(f"Running: on {machines}, with nothing trained before.")
    (book / "_minutes.md").write_text("\n".join(lines) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="01_baseline_spikformer, … (without: all)")
    wanted = parser.parse_args(argv).chapter
    known = {notebook.stem: notebook for notebook in chapters()}
    for name in wanted:
        if name not in known:
            raise ValueError(f"a chapter is {name!r}; allowed: {', '.join(known)}.")
    for name in wanted or known:
        print(f"{name} …", flush=True)
        keep(measure(known[name]))  # each: an interrupted measurement keeps what it has
        print(of(known[name]), flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/minutes.py: {error}")
