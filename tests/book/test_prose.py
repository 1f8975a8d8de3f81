"""The pages' own words, as ../shared/prose.md asks: short sentences, plain verbs, one meaning a
symbol. What is code, equation or table is not looked at."""

import json
import re

import pytest
from chapters import ROOT, chapters

LONGEST = 40  # words of a sentence
BANNED = {
    r"\bstands?\b": "is, shows, means …",
    r"\bless (?:that|those|the|its|a|an|one) ": "minus",
    r"\b(?:has|have) (?:the|all|its|their|more) (?:details?|reasons?|tables?|list|verdicts?|rest"
    r"|story|numbers?|why)\b": "shows, explains, lists",
    r"\\theta|θ": r"V_{\mathrm{th}} is the threshold, w a weight",
    r"\$X_t\$|\$X\[t\]\$|[Cc]urrent \$X\$": "I_t is a current",
}
# Those that are not rewritten yet. This may only get smaller.
PAGES_TO_REWRITE = set()

CODE = re.compile(
    r"^(`{3,}|~{3,}|:{3,})\{?(?:code|code-cell|python|sh|text|math|eval-rst|include|bibliography"
    r"|toctree|raw)?\}?[^\n]*\n.*?^\1\s*$",
    re.S | re.M,
)
PROSE_BLOCKS = ("{figure", "{note", "{admonition", "{tip", "{warning", "{exercise", "{solution",
                "{glossary", "{important", "{dropdown", "{list-table")  # fmt: skip


def without_code(text):
    """Fences of code, equations and includes are gone; those of prose lose their marks only."""

    def put(match):
        first = match[0].split("\n", 1)[0]
        return "\n\n" + match[0].split("\n", 1)[1] if any(b in first for b in PROSE_BLOCKS) else ""

    text = re.sub(r"^---\n.*?\n---\n", "", text, flags=re.S)
    text = CODE.sub(put, text)
    text = re.sub(r"\$\$.*?\$\$(?: *\([\w-]+\))?", "\n\n", text, flags=re.S)
    return re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "\n\n", text, flags=re.S)


def paragraphs(text):
    """Paragraphs, headings and items of lists, each a line."""
    lines = []
    for line in without_code(text).splitlines():
        bare = line.strip()
        if re.match(r"\||:[\w-]+:|`{3,}|:{3,}|\([\w-]+\)=$|<|!\[", bare):
            bare = ""
        if not bare or re.match(r"#|[-*+] |\d+\. |: |> ", bare):
            lines.append("")
        lines.append(re.sub(r"^(?:#+|[-*+]|\d+\.|:|>) +", "", bare))
        if bare.startswith("#"):
            lines.append("")
    blocks = re.split(r"\n\n+", "\n".join(lines))
    return [" ".join(block.split()) for block in blocks if block.strip()]


def plain(paragraph):
    """As it is read: names of code, symbols and links are words."""
    paragraph = re.sub(r"\{\{.*?\}\}", "5", paragraph)
    paragraph = re.sub(r"\{[\w:-]+\}`([^`<]*)[^`]*`", r"\1", paragraph)
    paragraph = re.sub(r"`[^`]*`", "code", paragraph)
    paragraph = re.sub(r"\$[^$]*\$", "x", paragraph)
    paragraph = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1 ", paragraph)
    return re.sub(r"[*_]{1,2}", "", paragraph)


def sentences(paragraph):
    text = re.sub(r"\b(e\.g|i\.e|et al|vs|cf|Fig|Eq|Sec|No)\.", r"\1", plain(paragraph))
    return re.split(r"(?<=[.!?…])[\"”’)]*\s+", text)


def faults(text):
    """What is wrong with a text, a line each."""
    wrong = []
    for paragraph in paragraphs(text):
        for sentence in sentences(paragraph):
            words = [w for w in sentence.split() if re.search(r"\w", w)]
            if len(words) > LONGEST:
                wrong.append(f"{len(words)} words: {sentence}")
            if sentence.count(";") > 1:
                wrong.append(f"a chain of semicolons: {sentence}")
        for pattern, better in BANNED.items():
            for match in re.finditer(pattern, re.sub(r"`[^`]*`", "code", paragraph)):
                at = paragraph[max(0, match.start() - 30) : match.end() + 30]
                wrong.append(f"'{match[0].strip()}' → {better}: … {at} …")
    return wrong


def pages():
    """{page: its own words}: pages in Markdown; chapters with their captions."""
    found = {path.stem: path.read_text() for path in sorted((ROOT / "book").glob("[a-z]*.md"))}
    for chapter in chapters():
        texts = []
        for cell in json.loads(chapter.read_text())["cells"]:
            if cell["cell_type"] == "markdown":
                texts.append("".join(cell["source"]))
            texts.append(cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", ""))
        found[chapter.stem] = "\n\n".join(texts)
    return found


@pytest.mark.parametrize("name", pages())
def test_a_page_is_written_in_short_sentences_and_plain_words(name):
    wrong = faults(pages()[name])
    if name in PAGES_TO_REWRITE:
        assert wrong, f"{name} is rewritten: take it out of PAGES_TO_REWRITE"
    else:
        assert not wrong, "\n".join(wrong)


def test_the_pages_to_rewrite_are_pages():
    assert set(PAGES_TO_REWRITE) <= pages().keys()


@pytest.mark.parametrize(
    "text, fault",
    [
        ("word " * 41 + ".", "41 words"),
        ("- one\n- " + "word " * 41, "41 words"),
        ("```{note}\n" + "word " * 41 + "\n```", "41 words"),
        ("It stands there.", "stands"),
        ("The ticket less the dense network.", "less the"),
        ("The chapter has the details.", "has the details"),
        (r"The threshold $\theta$.", "theta"),
        ("One; two; three.", "semicolons"),
    ],
)
def test_a_fault_is_found(text, fault):
    assert any(fault in found for found in faults(text))


@pytest.mark.parametrize(
    "text",
    [
        "word " * 30 + ". " + "Word " * 30 + ".",
        "```python\nstands " + "word " * 41 + "\n```",
        "| stands | less the |",
        "$$\n\\theta " + "word " * 41 + "\n$$",
        "Fewer tokens cost less than all. It has a head. `stands`.",
        "# A heading\n" + "word " * 39,
    ],
)
def test_what_is_no_fault_is_not(text):
    assert not [f for f in faults(text) if "theta" not in f]
