"""Build the slides of a lesson of ninety minutes: book/_build/html/slides/index.html.

    python book/slides.py

Their text is slides/index.md. Figures are the chapters' own, as these drew them when they were last
executed; numbers are the pages'. Reveal.js shows them, with notes for the speaker: no network.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

import texts
from chapters import ROOT, cells, chapters
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

PLUGIN = "revealjs/plugin/notes/notes.js"
SETTINGS = {
    "project": "SparseSpikformer, re-examined",
    "copyright": "2026, the ssf authors",
    "extensions": ["myst_parser", "sphinx_revealjs"],
    "myst_enable_extensions": ["colon_fence", "substitution"],
    "html_title": "Can we throw away most of a spiking transformer?",
    "html_show_sourcelink": False,
    "html_favicon": "favicon.svg",
    "revealjs_static_path": ["_static"],
    "revealjs_style_theme": "white",
    "revealjs_css_files": ["slides.css"],
    "revealjs_script_conf": {"hash": True, "slideNumber": True, "transition": "none"},
    "revealjs_script_plugins": [{"name": "RevealNotes", "src": PLUGIN}],
}


def figures(book):
    """{name: (SVG, alternative text)} of the figures that the executed chapters drew."""
    found = {}
    for notebook in chapters():
        for cell in cells(book / notebook.name):
            shown = cell["metadata"].get("mystnb", {})
            for output in cell.get("outputs", []) if "figure" in shown else []:
                if svg := output.get("data", {}).get("image/svg+xml"):
                    found[shown["figure"]["name"]] = "".join(svg), shown["image"]["alt"]
    return found


def source(book, folder):
    """The slides' text and what it shows, in a folder that Sphinx can read."""
    drawn, text = figures(book), (book / "slides" / "index.md").read_text()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(book / "slides", folder)
    shutil.copy(book / "_static" / "favicon.svg", folder)
    for name in re.findall(r"!\[\]\((fig-[\w-]+)\.svg\)", text):
        if name not in drawn:
            raise ValueError(f"the slides show {name}; drawn: {', '.join(sorted(drawn))}.")
        svg, alt = drawn[name]
        (folder / f"{name}.svg").write_text(svg)
        text = text.replace(f"![]({name}.svg)", f"![{alt}]({name}.svg)")
    (folder / "index.md").write_text(text)


def build(book, html):
    """The slides, in the folder slides/ of the pages; every warning is an error."""
    folder = book / "_build" / "slides"
    source(book, folder)
    settings = SETTINGS | {"myst_substitutions": texts.substitutions()}
    with docutils_namespace():
        out, trees = html / "slides", book / "_build" / "slides.doctrees"
        shutil.rmtree(out, ignore_errors=True)
        app = Sphinx(
            folder, None, out, trees, "revealjs", settings, status=None, freshenv=True,
            warningiserror=True,
        )  # fmt: skip
        app.build()
    if app.statuscode:
        raise ValueError("Sphinx could not build the slides; its messages are above.")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--book", type=Path, default=ROOT / "book")
    book = parser.parse_args(argv).book.resolve()
    if not all((book / notebook.name).exists() for notebook in chapters()):
        import build as whole

        os.environ["SSF_BOOK"] = str(book)
        whole.execute_all(book, whole.share_out({}))
    build(book, book / "_build" / "html")
    print(f"the slides: {book / '_build' / 'html' / 'slides' / 'index.html'}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"book/slides.py: {error}")
