"""Build the book: execute the chapters with papermill, compile the pages with Jupyter Book.

    python book/build.py -p seed 1 -p width 96

Each chapter takes the parameters that it declares; one that no chapter declares is refused. With --book DIR the pages
are those of another folder (a copy of this one).
"""

import argparse
import base64
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import papermill
import yaml
from papermill.cli import _resolve_type  # so that a value means what it means to papermill

from ssf import ledger, plots, store

ROOT = Path(__file__).resolve().parents[1]


def chapters():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def cells(notebook):
    return json.loads(notebook.read_text())["cells"]


def known_parameters(notebook):
    """{name: papermill's dict of name, default, help} of a notebook's parameters cell."""
    return papermill.inspect_notebook(notebook)


def share_out(given):
    """{notebook: the given parameters that it declares}. ValueError, one sentence, for one that none declares."""
    known = {notebook: known_parameters(notebook) for notebook in chapters()}
    names = {name for parameters in known.values() for name in parameters}
    for name in given:
        if name not in names:
            raise ValueError(f"a parameter is {name!r}; allowed: {', '.join(sorted(names))}.")
    return {n: {k: v for k, v in given.items() if k in parameters} for n, parameters in known.items()}


def execute(notebook, out, parameters):
    """Run a chapter from the repository's root; a failing cell ends the build with the chapter's name."""
    print(f"{notebook.name} …", flush=True)
    try:
        result = papermill.execute_notebook(notebook, out, parameters, cwd=ROOT, progress_bar=False, log_output=False)
    except papermill.exceptions.PapermillExecutionError as error:
        out.unlink(missing_ok=True)
        raise ValueError(f"{notebook.name} failed in cell {error.exec_count}: {error.ename}: {error.evalue}") from None
    print(f"{notebook.name}: {result.metadata.papermill['duration']:.0f} s", flush=True)
    without_papermill_marks(out)


def without_papermill_marks(path):
    """Drop papermill's time stamps: the pages offer this notebook for download."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        cell["metadata"].pop("papermill", None)
    path.write_text(json.dumps(notebook, indent=1))


def findings(book):
    """The sentences that the chapters tagged `finding`, as the landing page's list."""
    lines = []
    for notebook in chapters():
        for cell in cells(book / notebook.name):
            if "finding" in cell["metadata"].get("tags", []):
                sentence = "".join(cell["outputs"][0]["data"]["text/markdown"])
                lines.append(f"- {sentence} [→ chapter]({notebook.name})")
    (book / "_findings.md").write_text("\n".join(lines) + "\n")


def readme_picture(book):
    """The README's picture: the tickets' figure of this build."""
    for cell in cells(book / "02_winning_tickets.ipynb"):
        if cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") == "fig-tickets":
            picture = base64.b64decode(cell["outputs"][0]["data"]["image/png"])
            (book / "_static" / "readme.png").write_bytes(picture)


def parameter_tables(book):
    """A table for each chapter of its parameters, their defaults and their comments."""
    lines = []
    for notebook in chapters():
        title = re.search(r"^# (.+)$", "".join(cells(notebook)[0]["source"]), re.M)[1]
        lines += [f"### [{title}]({notebook.name})", "", "| parameter | default | meaning |", "|---|---|---|"]
        for p in known_parameters(notebook).values():
            lines.append(f"| `{p['name']}` | `{p['default']}` | {p['help']} |")
        lines.append("")
    (book / "_parameters.md").write_text("\n".join(lines))


def datasheets(book):
    """data/README.md without its title, for the page that includes it."""
    (book / "_datasheets.md").write_text((ROOT / "data" / "README.md").read_text().partition("\n")[2])


def manifest(book):
    """The study's manifest as a table of the protocol's page."""
    table = store.committed("study_manifest", "python -m ssf study tickets")
    table["command"] = [f"`{command}`" for command in table.command]
    columns = ["command", "networks", "hours", "device", "threads", "torch", "commit"]
    table["commit"] = [", ".join(commit[:7] for commit in text.split(", ")) for text in table.commit]
    lines = [columns, ["---"] * len(columns), *table[columns].astype(str).to_numpy().tolist()]
    (book / "_manifest.md").write_text("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")


def bundle_mathjax(book):
    """Copy MathJax (Apache-2.0) out of its package, so that equations need no network."""
    target = book / "_static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    source = next(f for f in files("django-static-mathjax") if f.match("es5/tex-svg.js"))
    shutil.copy(source.locate(), target)


def ledger_figure(book):
    """The findings' picture: every claim's difference, from the study's rows."""
    picture = plots.differences(ledger.overview(), ledger.MARGIN)
    picture.savefig(book / "_static" / "findings.svg", metadata={"Date": None})


def configuration(book):
    """_config.yml with the ledger's numbers, which the pages ask for by name: {{ c1_verdict }}."""
    settings = yaml.safe_load((book / "_config.yml").read_text())
    settings["parse"]["myst_substitutions"] = ledger.numbers()
    path = book / "_config_with_numbers.yml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True))
    return path


def compile_pages(book):
    """Jupyter Book, every warning an error."""
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", book, "--config", configuration(book), "--warningiserror", "--keep-going", "--quiet"]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise ValueError(f"jupyter-book could not build {book}; its messages are above.")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--book", type=Path, default=ROOT / "book")
    parser.add_argument("--readme", action="store_true", help="renew the README's picture, too")
    args = parser.parse_args(argv)
    given = {name: _resolve_type(value) for name, value in args.parameter}
    book = args.book.resolve()
    for notebook, parameters in share_out(given).items():
        execute(notebook, book / notebook.name, parameters)
    findings(book)
    if args.readme:
        readme_picture(book)
    parameter_tables(book)
    datasheets(book)
    manifest(book)
    ledger_figure(book)
    bundle_mathjax(book)
    compile_pages(book)
    print(f"the book: {book / '_build' / 'html' / 'index.html'}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/build.py: {error}")
