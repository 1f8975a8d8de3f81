"""Build the book: execute the chapters with papermill, compile the pages with Jupyter Book.

    python book/build.py -p seed 1 -p width 96

Each chapter takes the parameters that it declares; one that no chapter declares is refused. A
chapter of which nothing has changed since it was executed, neither itself nor parameters, library
or committed data, is taken as it is. With --book DIR the pages are those of a copy of this folder.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
from pathlib import Path

import glance
import inline
import larger
import minutes
import networks
import options
import papermill
import recipe
import slides
import tables
import texts
import vl_convert
import yaml
from chapters import ROOT, cells, chapters, executed
from news import landing

from ssf import folders
from ssf.engine import records
from ssf.engine.sweep import value_of


def known_parameters(notebook):
    """{name: papermill's dict of name, default, help} of a notebook's parameters cell."""
    return papermill.inspect_notebook(notebook)


def share_out(parameters):
    """{notebook: the parameters that it declares}. Raises ValueError for one that none declares."""
    known = {notebook: known_parameters(notebook) for notebook in chapters()}
    names = {name for declared in known.values() for name in declared}
    for name in parameters:
        if name not in names:
            raise ValueError(f"a parameter is {name!r}; allowed: {', '.join(sorted(names))}.")
    return {
        notebook: {name: value for name, value in parameters.items() if name in declared}
        for notebook, declared in known.items()
    }


def made_of(notebook, parameters):
    """Digest of all that an executed chapter follows from."""
    sources = [notebook, ROOT / "requirements.lock", *sorted((ROOT / "ssf").rglob("*.[pct]*"))]
    sources += sorted({*(ROOT / "data").rglob("*"), *folders.results().glob("*.csv")})
    total = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in sources:
        if path.is_file() and "sets" not in path.parts and path != minutes.FILE:
            total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return total.hexdigest()


def execute(notebook, out, parameters):
    """The chapter as a page: executed, unless nothing has changed; its head says what it takes."""
    digest = made_of(notebook, parameters)
    if out.exists() and json.loads(out.read_text())["metadata"].get("made_of") == digest:
        print(f"{notebook.name}: as it was", flush=True)
    else:
        print(f"{notebook.name} …", flush=True)
        seconds = executed(notebook, out, parameters).metadata.papermill["duration"]
        print(f"{notebook.name}: {seconds:.0f} s", flush=True)
    page = json.loads(out.read_text())
    for part in (page, *page["cells"]):  # pages are offered for download: no time stamps
        part["metadata"].pop("papermill", None)
    page["metadata"]["made_of"] = digest
    head = "".join(cells(notebook)[0]["source"])
    page["cells"][0]["source"] = f"{head}\n\n*{minutes.of(notebook).capitalize()}.*"
    out.write_text(json.dumps(page, indent=1))


def execute_all(book, shared):
    """Every chapter, as many at a time as cores have room for, the longest first.

    That is one at a time, unless OMP_NUM_THREADS says that each has fewer threads than cores.
    """
    cores = os.cpu_count()
    workers = max(1, cores // int(os.environ.get("OMP_NUM_THREADS", cores)))
    order = list(shared)
    if workers > 1:
        order.sort(key=lambda notebook: -minutes.by_heading(notebook).seconds.sum())
    # papermill changes this process's folder and back; in ROOT, that changes nothing for others
    with contextlib.chdir(ROOT), ThreadPoolExecutor(workers) as pool:
        over = pool.map if workers > 1 else map  # one by one: in the main thread, for Ctrl-C
        list(over(lambda n: execute(n, book / n.name, shared[n]), order))  # raises what failed


def title(notebook):
    return re.search(r"^# (.+)$", "".join(cells(notebook)[0]["source"]), re.M)[1]


def sentences(book):
    """The first sentence of what each chapter tagged `finding`, as the landing page's list."""
    lines = []
    for notebook in chapters():
        for cell in cells(book / notebook.name):
            if "finding" in cell["metadata"].get("tags", []):
                text = "".join(cell["outputs"][0]["data"]["text/markdown"])
                first = re.split(r"(?<=\.)\s", text)[0]
                lines.append(f"- [{title(notebook)}]({notebook.name}): {first}")
    (book / "_findings.md").write_text("\n".join(lines) + "\n")


def parameter_tables(book):
    """A table for each chapter of its parameters, their defaults and their comments."""
    lines = []
    for notebook in chapters():
        link = f"[{notebook.stem}]({notebook.name})"
        lines += [f":::{{dropdown}} {title(notebook)}", link, ""]
        lines += ["| parameter | default | meaning |", "|---|---|---|"]
        for p in known_parameters(notebook).values():
            lines.append(f"| `{p['name']}` | `{p['default']}` | {p['help']} |")
        lines += [":::", ""]
    (book / "_parameters.md").write_text("\n".join(lines))


def datasheets(book):
    """data/README.md without its title, for the page that includes it."""
    text = (ROOT / "data" / "README.md").read_text().partition("\n")[2]
    (book / "_datasheets.md").write_text(text)


def in_short(seeds):
    """0 to 2 for consecutive seeds, else 0, 1, 5."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def manifest(book):
    """The study's manifest as a table of the protocol's page."""
    table = records.committed("study_manifest", "python -m ssf study tickets")
    seeds = table.command.str.extract("--seeds (.*)")[0]
    table["seeds"] = [in_short(list(map(int, text.split(",")))) for text in seeds]
    table["processor"] = table.processor.str.replace(r"\(R\)| Processor", "", regex=True)
    columns = ["experiment", "seeds", "networks", "hours", "threads", "processor"]
    machines = [f"{key}: {', '.join(table[key].unique())}" for key in ("device", "torch")]
    lines = tables.in_markdown(table[columns].to_dict("records"))
    (book / "_manifest.md").write_text(f"{lines}\n{'; '.join(machines).capitalize()}.\n")


def bundle(book, html):
    """MathJax, Vega, tippy and the exercises' script beside the pages, which need no network.

    Not before they are compiled: Jupyter Book has every page load every script in _static.
    """
    static = html / "_static"
    (static / "mathjax").mkdir(exist_ok=True)
    source = next(f for f in files("django-static-mathjax") if f.match("es5/tex-svg.js"))
    shutil.copy(source.locate(), static / "mathjax")
    shutil.copytree(book / "vendor", static / "vendor", dirs_exist_ok=True)
    shutil.copy(book / "exercise.js", static)
    networks.bundle(html)
    # in a function of its own: Vega's names collide with Sphinx's
    (static / "vega.js").write_text(f"(() => {{{vl_convert.javascript_bundle()}\n}})();")


def lighten(html):
    """Take out what a page does not use: icons are a font, MathJax is for equations, styles are
    for the cells of notebooks and for the colours of code."""
    for path in html.glob("*.html"):
        page, unused = path.read_text(), ["fontawesome", "thebe"]
        if 'class="math' not in page:
            unused += ["mathjax"]
        if path.name != "search.html":
            unused += ["searchtools", "searchindex", "language_data"]
        script = rf"<script[^<]*({'|'.join(unused)})[^<]*</script>"
        page = re.sub(script, "", page)
        for sign, style in (('class="cell', "mystnb"), ('class="highlight', "pygments")):
            if sign not in page:
                page = re.sub(rf'<link [^>]*"_static/{style}[^>]*>', "", page)
        path.write_text(page)


def readme(text):
    """The README with its ledger, and what larger networks say, renewed from the rows."""
    start, end = "<!-- ledger -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    lines = [*texts.short_ledger(), "", glance.LEGEND, "", tables.in_markdown(glance.table())]
    state = larger.state().replace("](larger.md)", "](book/larger.md)")
    lines += [glance.compared(), "", f"Are these networks too small? Perhaps. {state}"]
    return before + start + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def ledger_in_short(book):
    (book / "_short_ledger.md").write_text("\n".join(texts.short_ledger()) + "\n")


def configuration(book):
    """_config.yml with the numbers that pages ask for, {{ c1_verdict }}, and a course's hub."""
    settings = yaml.safe_load((book / "_config.yml").read_text())
    numbers = texts.substitutions() | networks.texts() | larger.substitutions()
    numbers |= recipe.substitutions() | glance.substitutions()
    settings["parse"]["myst_substitutions"] = numbers
    if hub := os.environ.get("SSF_HUB"):
        settings["launch_buttons"]["jupyterhub_url"] = hub
    path = book / "_config_with_numbers.yml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True))
    return path


def compile_pages(book):
    """Jupyter Book, every warning an error; all pages, as hover texts come from the others."""
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", book, "--config", configuration(book)]
    command += ["--all", "--warningiserror", "--keep-going", "--quiet"]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise ValueError(f"jupyter-book could not build {book}; its messages are above.")


def pages(book):
    """Everything but the chapters' execution."""
    parts = [sentences, parameter_tables, minutes.table, datasheets, manifest, tables.write]
    parts += [networks.pages, larger.pages, recipe.pages, glance.pages, options.pages]
    for part in (*parts, landing, ledger_in_short):
        part(book)
    if book == ROOT / "book":
        (ROOT / "README.md").write_text(readme((ROOT / "README.md").read_text()))
    compile_pages(book)
    html = book / "_build" / "html"
    bundle(book, html)
    lighten(html)
    inline.into(html)
    slides.build(book, html)
    print(f"the book: {html / 'index.html'}")


def main(argv=None):
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    value = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    parser.add_argument("-p", "--parameter", **value)
    parser.add_argument("--book", type=Path, default=ROOT / "book")
    args = parser.parse_args(argv)
    parameters = {name: value_of(value) for name, value in args.parameter}
    book = args.book.resolve()
    os.environ["SSF_BOOK"] = str(book)  # figures with controls are to find Vega beside their page
    execute_all(book, share_out(parameters))
    pages(book)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/build.py: {error}")
