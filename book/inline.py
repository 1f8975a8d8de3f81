"""Figures as part of their page: an SVG in the page follows the page's colours, light or dark.

Ink becomes the colour of the text around, white grounds become transparent, the book's palette
becomes variables of book.css. Pictures of pixels within a figure stay as they are.
"""

import html
import itertools
import re

from ssf.figures.style import COLOURS, GREY, INK

IMAGE = re.compile(r'<img [^>]*\bsrc="(?P<src>[^"]+\.svg)"[^>]*>')
INKS = (INK, "#262626", "#1a1a1a", "#000000", "#000", "black")  # ours, seaborn's, a browser's
PALETTE = sorted({*COLOURS.values(), GREY} - {INK})
HEAD = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.S)
RULE = re.compile(r"<style[^>]*>\s*\*\{(.*?)\}\s*</style>", re.S)  # matplotlib's, of every element
GROUND = re.compile(r'(<path d="[^"]*"\s+style=")fill: (?:#ffffff|white)"')
PERCENT = re.compile(r"<pre\b.*?</pre>|<[^>]*>|(?<=\d) %", re.S)
WIDE = 600  # px: what a phone shows no smaller than it can be read, and scrolls


def coloured(svg):
    """The drawing with the page's colours: in its attributes and styles, not in its pictures."""

    def colour(match):
        key, value = match.groups()
        if value.lower() in INKS:
            return key + "currentColor"
        if value.lower() in PALETTE:
            return f"{key}var(--c-{value[1:].lower()}, {value})"
        return key + "var(--pst-color-background)" if "stroke" in key else match[0]

    svg = GROUND.sub(r'\1fill: none"', svg)
    svg = re.sub("fill: #ffffff(?=; stroke)", "fill: var(--pst-color-background)", svg)  # hollow
    ours = "|".join([*INKS, *PALETTE])
    kinds = r'\b(?:fill|color|stop-color)(?:: ?|=")'
    svg = re.sub(rf"({kinds})({ours})\b", colour, svg, flags=re.I)
    return re.sub(rf'(\bstroke(?:: ?|="))({ours}|#ffffff|white)\b', colour, svg, flags=re.I)


def named_apart(svg, prefix):
    """Names that the drawing itself refers to, with the prefix; no others are kept."""
    styles = "".join(re.findall(r"<style[^>]*>.*?</style>", svg, re.S))
    styled = set(re.findall(r"#([\w-]+)", styles)) & set(re.findall(r' id="([^"]+)"', svg))
    for name in styled:
        svg = re.sub(rf"#{name}(?![\w-])(?=[^<]*</style>)", f"#{prefix}{name}", svg)
    used = styled | set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)(?=[^)"])', rf"\g<1>{prefix}", svg)


def inlined(svg, alt, prefix):
    """The file's text as an element of a page; alt: what it shows, in words."""
    svg = HEAD.sub("", svg).strip()
    rule = RULE.search(svg)
    svg = named_apart(coloured(RULE.sub("", svg)), prefix)
    start, rest = re.match(r"<svg\b([^>]*)>(.*)", svg, re.S).groups()
    width = re.search(r'\bwidth="([\d.]+)(pt|px)?"', start)
    box = [float(v) for v in re.search(r'viewBox="([^"]+)"', start)[1].split()]
    natural = float(width[1]) * (4 / 3 if width[2] == "pt" else 1) if width else box[2]
    start = re.sub(r'\s(width|height|version|role|style|class|aria-label)="[^"]*"', "", start)
    style = f"width: {natural:.0f}px;{rule[1].strip() if rule else ''}"
    wide = " wide" if natural > WIDE else ""
    label = html.escape(html.unescape(alt), quote=True)
    head = f'<svg class="inlined{wide}" role="img" aria-label="{label}" fill="currentColor"'
    return f'<span class="drawing">{head} style="{style}"{start}>{rest}</span>'


def figures(page, folder):
    """The text of a page whose SVGs, files of the folder, are parts of it."""
    count = itertools.count(1)

    def put(match):
        alt = re.search(r'\balt="([^"]*)"', match[0])
        if not alt or not match["src"].startswith("_images/"):  # a logo
            return match[0]
        return inlined((folder / match["src"]).read_text(), alt[1], f"f{next(count)}-")

    return IMAGE.sub(put, page)


def cells(page):
    """The text of a page whose cells of code have an address each, and a link that says so."""
    count = itertools.count(1)

    def put(match):
        name = f"cell-{next(count)}"
        link = f'<a class="headerlink" href="#{name}" title="Link to this cell">#</a>'
        return f'{match[0][:-1]} id="{name}">{link}'

    return re.sub(r'<div class="cell (?:[\w-]+ )*docutils container">', put, page)


def percents(page):
    """The text of a page in which no line ends between a number and its %, but in code and tags."""
    return PERCENT.sub(lambda match: "\N{NO-BREAK SPACE}%" if match[0] == " %" else match[0], page)


def into(folder):
    """All this, in every built page of the folder."""
    for path in sorted(folder.glob("*.html")):
        before, start, main = path.read_text().partition("<main")
        path.write_text(before + start + percents(cells(figures(main, folder))))
