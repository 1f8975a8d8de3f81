"""Build the book: execute the chapters with papermill, compile the pages with Jupyter Book.

    python book/build.py -p seed 1 -p width 96

Each chapter takes the parameters that it declares; one that no chapter declares is refused. A chapter of which nothing
has changed since it was executed, neither itself nor parameters, library or committed data, is taken as it is. With
--book DIR the pages are those of another folder (a copy of this one).
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import minutes
import papermill
import texts
import vl_convert
import yaml
from chapters import ROOT, cells, chapters
from papermill.cli import _resolve_type  # so that a value means what it means to papermill

from ssf import folders
from ssf.engine import records
from ssf.figures import plots
from ssf.study import findings, ledger


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
    return {
        n: {k: v for k, v in given.items() if k in parameters} for n, parameters in known.items()
    }


def made_of(notebook, parameters):
    """Digest of all that an executed chapter follows from."""
    sources = [notebook, ROOT / "requirements.lock", *sorted((ROOT / "ssf").rglob("*.[pc]*"))]
    sources += sorted({*(ROOT / "data").rglob("*"), *folders.results().glob("*.csv")})
    found = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in sources:
        if path.is_file() and "sets" not in path.parts and path != minutes.FILE:
            found.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return found.hexdigest()


def execute(notebook, out, parameters):
    """The chapter as a page: run, unless nothing has changed, and its head says how long it takes."""
    digest = made_of(notebook, parameters)
    if out.exists() and json.loads(out.read_text())["metadata"].get("made_of") == digest:
        print(f"{notebook.name}: as it was", flush=True)
    else:
        print(f"{notebook.name} …", flush=True)
        run(notebook, out, parameters, digest)
    with_its_time(out, notebook)


def run(notebook, out, parameters, digest):
    """Run a chapter from the repository's root; a failing cell ends the build with the chapter's name."""
    try:
        result = papermill.execute_notebook(
            notebook, out, parameters, cwd=ROOT, progress_bar=False, log_output=False
        )
    except papermill.exceptions.PapermillExecutionError as error:
        out.unlink(missing_ok=True)
        raise ValueError(
            f"{notebook.name} failed in cell {error.exec_count}: {error.ename}: {error.evalue}"
        ) from None
    print(f"{notebook.name}: {result.metadata.papermill['duration']:.0f} s", flush=True)
    page = json.loads(
        out.read_text()
    )  # the pages offer it for download: without papermill's time stamps
    for part in (page, *page["cells"]):
        part["metadata"].pop("papermill", None)
    page["metadata"]["made_of"] = digest
    out.write_text(json.dumps(page, indent=1))


def with_its_time(path, notebook):
    """Have an executed chapter's head say what the chapter takes, by the rows and words as they are now."""
    page = json.loads(path.read_text())
    page["cells"][0]["source"] = (
        "".join(cells(notebook)[0]["source"]) + f"\n\n*{minutes.of(notebook).capitalize()}.*"
    )
    path.write_text(json.dumps(page, indent=1))


def sentences(book):
    """The sentences that the chapters tagged `finding`, as the landing page's list."""
    lines = []
    for notebook in chapters():
        for cell in cells(book / notebook.name):
            if "finding" in cell["metadata"].get("tags", []):
                sentence = "".join(cell["outputs"][0]["data"]["text/markdown"])
                lines.append(f"- {sentence} [→ chapter]({notebook.name})")
    (book / "_findings.md").write_text("\n".join(lines) + "\n")


def parameter_tables(book):
    """A table for each chapter of its parameters, their defaults and their comments."""
    lines = []
    for notebook in chapters():
        title = re.search(r"^# (.+)$", "".join(cells(notebook)[0]["source"]), re.M)[1]
        lines += [
            f"### [{title}]({notebook.name})",
            "",
            "| parameter | default | meaning |",
            "|---|---|---|",
        ]
        for p in known_parameters(notebook).values():
            lines.append(f"| `{p['name']}` | `{p['default']}` | {p['help']} |")
        lines.append("")
    (book / "_parameters.md").write_text("\n".join(lines))


def datasheets(book):
    """data/README.md without its title, for the page that includes it."""
    (book / "_datasheets.md").write_text(
        (ROOT / "data" / "README.md").read_text().partition("\n")[2]
    )


def manifest(book):
    """The study's manifest as a table of the protocol's page."""
    table = records.committed("study_manifest", "python -m ssf study tickets")
    table["command"] = [f"`{command}`" for command in table.command]
    columns = ["command", "networks", "hours", "device", "threads", "torch", "commit"]
    table["commit"] = [
        ", ".join(commit[:7] for commit in text.split(", ")) for text in table.commit
    ]
    lines = table[columns].to_dict("records")
    (book / "_manifest.md").write_text(texts.in_markdown(lines))


def bundle(book, html):
    """MathJax, Vega and tippy beside the pages, which then need no network.

    Not before they are compiled: Jupyter Book has every page load every script that it finds in _static.
    """
    static = html / "_static"
    (static / "mathjax").mkdir(exist_ok=True)
    source = next(f for f in files("django-static-mathjax") if f.match("es5/tex-svg.js"))
    shutil.copy(source.locate(), static / "mathjax")
    shutil.copytree(book / "vendor", static / "vendor", dirs_exist_ok=True)
    # in a function of its own: Vega's names collide with Sphinx's
    (static / "vega.js").write_text(f"(() => {{{vl_convert.javascript_bundle()}\n}})();")


def lighten(html):
    """Take out the scripts that a page does not use: icons come from a font, MathJax is for equations."""
    for path in html.glob("*.html"):
        page = path.read_text()
        unused = ["fontawesome", "thebe"]
        unused += [] if 'class="math' in page else ["mathjax"]
        unused += (
            [] if path.name == "search.html" else ["searchtools", "searchindex", "language_data"]
        )
        lighter = re.sub(rf"<script[^<]*({'|'.join(unused)})[^<]*</script>", "", page)
        if lighter != page:
            path.write_text(lighter)


def landing(book):
    """The picture that says it all, for the landing page and the README: every claim's difference, from the rows."""
    picture = plots.differences(findings.overview(), ledger.MARGIN)
    picture.savefig(book / "_static" / "findings.svg", metadata={"Date": None})


def readme(text):
    """The README with its ledger renewed from the rows."""
    start, end = "<!-- ledger -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    return before + start + "\n".join(texts.short_ledger()) + "\n" + end + rest.partition(end)[2]


def ledger_in_short(book):
    (book / "_short_ledger.md").write_text("\n".join(texts.short_ledger()) + "\n")


def configuration(book):
    """_config.yml with the ledger's numbers, which the pages ask for by name, {{ c1_verdict }}, and a course's hub."""
    settings = yaml.safe_load((book / "_config.yml").read_text())
    settings["parse"]["myst_substitutions"] = texts.substitutions()
    if hub := os.environ.get("SSF_HUB"):
        settings["launch_buttons"]["jupyterhub_url"] = hub
    path = book / "_config_with_numbers.yml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True))
    return path


def compile_pages(book):
    """Jupyter Book, every warning an error; all pages, as the hover texts of one come from the others."""
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        book,
        "--config",
        configuration(book),
    ]
    command += ["--all", "--warningiserror", "--keep-going", "--quiet"]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise ValueError(f"jupyter-book could not build {book}; its messages are above.")


def pages(book):
    """Everything but the chapters' execution."""
    for part in (
        sentences,
        parameter_tables,
        minutes.table,
        datasheets,
        manifest,
        texts.tables,
        landing,
        ledger_in_short,
    ):
        part(book)
    if book == ROOT / "book":
        (ROOT / "README.md").write_text(readme((ROOT / "README.md").read_text()))
    compile_pages(book)
    html = book / "_build" / "html"
    bundle(book, html)
    lighten(html)
    print(f"the book: {html / 'index.html'}")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    parser.add_argument("--book", type=Path, default=ROOT / "book")
    args = parser.parse_args(argv)
    given = {name: _resolve_type(value) for name, value in args.parameter}
    book = args.book.resolve()
    os.environ["SSF_BOOK"] = str(book)  # figures with controls are to find Vega beside their page
    for notebook, parameters in share_out(given).items():
        execute(notebook, book / notebook.name, parameters)
    pages(book)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/build.py: {error}")
