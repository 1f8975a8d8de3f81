"""The built pages in headless Chromium: what a reader sees, moves, hovers over and downloads."""
# ruff: noqa: E501 (scripts for the browser)

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from chapters import chapters
from playwright.sync_api import TimeoutError, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if not CHROMIUM:
    pytest.skip(
        "no Chromium is installed: the pages are not tried in a browser.", allow_module_level=True
    )
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", NO_NETWORK]

# Fonts, equations and charts are there, and nothing is between two colours.
READY = """async () => {
  const still = document.createElement('style');
  still.textContent = '*, *::before, *::after { transition: none !important; animation: none !important }';
  document.head.append(still);
  await document.fonts.ready;
  await window.MathJax?.startup?.promise;
}"""

# Images that are broken, images and charts that are not described.
IMAGES = """() => [
  ...[...document.querySelectorAll('main img')].filter(i => i.checkVisibility() && !i.naturalWidth),
  ...[...document.querySelectorAll('main img')].filter(i => !i.alt.trim()),
  ...document.querySelectorAll('svg.inlined:not([aria-label])'),
  ...document.querySelectorAll('.vega-embed:not([aria-label])')].map(e => e.cloneNode().outerHTML)"""

# What sticks out of the page, and of nothing that scrolls within it, the widest of all; null where all fits.
TOO_WIDE = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return null;
  const right = e => e.getBoundingClientRect().right, style = getComputedStyle;
  const held = e => e && (style(e).overflowX != 'visible' || style(e).position == 'fixed' || held(e.parentElement));
  const out = [...document.body.querySelectorAll('*')].filter(e =>
    right(e) > room + 1 && style(e).position != 'fixed' && !held(e.parentElement));
  const widest = out.sort((a, b) => right(b) - right(a))[0];
  return `${document.documentElement.scrollWidth} of ${room} px: ${widest?.outerHTML.slice(0, 200)}`;
}"""

# What nobody can see whole, however they scroll: equations, tables, drawings, and text that sticks out of its drawing.
CUT = """() => {
  const cut = new Set(), box = e => e.getBoundingClientRect();
  for (const e of document.querySelectorAll('main :is(mjx-container, table, svg)')) {
    if (!e.checkVisibility() || e.closest('mjx-assistive-mml')) continue;
    let right = box(e.tagName == 'MJX-CONTAINER' ? e.querySelector('svg') ?? e : e).right, scrolls = false;
    for (let a = e.parentElement; a && !scrolls; a = a.parentElement) {
      const over = getComputedStyle(a).overflowX;
      if (['hidden', 'clip'].includes(over) && right > box(a).right + 2) cut.add(`${e.tagName} in ${a.className}: ${e.textContent.slice(0, 60)}`);
      scrolls = ['auto', 'scroll'].includes(over);
    }
    if (!scrolls && right > innerWidth + 1) cut.add(`${e.tagName}: ${e.textContent.slice(0, 60)}`);
  }
  for (const svg of document.querySelectorAll('main :is(svg.inlined, .vega-embed svg)'))
    for (const text of svg.checkVisibility() ? svg.querySelectorAll('text') : [])
      if (text.textContent.trim() && (box(text).right > box(svg).right + 2 || box(text).left < box(svg).left - 2))
        cut.add(`'${text.textContent}' sticks out of ${svg.getAttribute('aria-label') ?? 'a chart'}`);
  return [...cut];
}"""

# Sliders that are too small for a thumb.
SMALL = """() => [...document.querySelectorAll('.vega-bind input[type=range]')].map(e => e.getBoundingClientRect())
  .filter(r => r.width && (r.width < 200 || r.height < 24)).map(r => `${r.width} × ${r.height}`)"""

# WCAG 2's contrast of every text (and equation) with the colours behind it, in figures and charts with the shapes below it.
CONTRAST = """() => {
  const brush = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true}), known = {}, grounds = new Map();
  const rgba = colour => known[colour] ??= (brush.clearRect(0, 0, 1, 1), brush.fillStyle = colour,
    brush.fillRect(0, 0, 1, 1), [...brush.getImageData(0, 0, 1, 1).data].map(v => v / 255));
  const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => a * v + (1 - a) * under[i]);
  const ground = e => {
    if (!e) return [1, 1, 1];
    if (!grounds.has(e)) grounds.set(e, over(rgba(getComputedStyle(e).backgroundColor), ground(e.parentElement)));
    return grounds.get(e);
  };
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
  const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
    && [...e.getClientRects()].some(r => r.width > 1 && r.height > 1);
  const told = e => `${e.parentElement.className} > ${e.tagName.toLowerCase()}.${e.className}`;
  const found = {};
  for (const e of document.body.querySelectorAll('*:not(svg, svg *, script, style, noscript)')) {
    const text = e.tagName == 'MJX-CONTAINER' ? 'an equation'
      : [...e.childNodes].filter(n => n.nodeType == 3).map(n => n.data.trim()).join(' ').trim();
    if (!text || !seen(e)) continue;
    const style = getComputedStyle(e), [r, g, b, a] = rgba(style.color);
    const lights = [light(ground(e)), light(over([r, g, b, a * opacity(e)], ground(e)))].sort((x, y) => y - x);
    const contrast = (lights[0] + 0.05) / (lights[1] + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
      found[told(e)] ??= `${told(e)} '${text.slice(0, 40)}': ${contrast.toFixed(2)}, ${style.color} on ${ground(e)}`;
  }
  for (const svg of document.querySelectorAll('main :is(svg.inlined, .vega-embed svg)')) {
    if (!seen(svg)) continue;
    const below = [];
    for (const e of svg.querySelectorAll('path, rect, circle, image, text')) {
      const style = getComputedStyle(e), filled = style.fill.startsWith('rgb');
      if (e.tagName != 'text') { if (e.tagName == 'image' || filled) below.push(e); continue; }
      if (!e.textContent.trim() || !filled || !opacity(e)) continue;  // Vega hides labels that would overlap
      const box = e.getBoundingClientRect(), at = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2);
      const inside = s => {
        const r = s.getBoundingClientRect(), m = s.getScreenCTM();
        const near = r.left <= at.x && at.x <= r.right && r.top <= at.y && at.y <= r.bottom;
        return near && m && (s.tagName == 'image' || s.isPointInFill(at.matrixTransform(m.inverse())));
      };
      let under = ground(svg), shapes = below.filter(inside);
      if (shapes.some(s => s.tagName == 'image')) continue;
      for (const s of shapes) {
        const [r, g, b, a] = rgba(getComputedStyle(s).fill);
        under = over([r, g, b, a * getComputedStyle(s).fillOpacity * opacity(s)], under);
      }
      const [r, g, b, a] = rgba(style.fill), ink = over([r, g, b, a * style.fillOpacity * opacity(e)], under);
      const lights = [light(under), light(ink)].sort((x, y) => y - x), contrast = (lights[0] + 0.05) / (lights[1] + 0.05);
      if (contrast < 4.5) found[`${svg.ariaLabel} ${style.fill}`] = `'${e.textContent.slice(0, 40)}' in '${(svg.ariaLabel ?? 'a chart').slice(0, 60)}': ${contrast.toFixed(2)}`;
    }
  }
  return Object.values(found);
}"""

# Every control of every chart is moved to another value; told: how many there are, and those that change nothing.
CONTROLS = """() => void (async () => {
  const still = [];
  const controls = document.querySelectorAll(".vega-bind :is(input:not([type=radio]:checked), select)");
  for (const control of controls) {
    const drawn = () => control.closest('.vega-embed').querySelector('svg')?.outerHTML, before = drawn();
    const moved = () => ['input', 'change'].map(kind => control.dispatchEvent(new Event(kind, {bubbles: true})));
    const was = control.value;
    if (control.tagName == 'SELECT') control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
    else if (control.type == 'range') control.value = control.value == control.max ? control.min : control.max;
    else control.click();
    moved();
    for (let wait = 0; drawn() == before && wait < 400; wait++) await new Promise(done => setTimeout(done, 25));
    if (!before || drawn() == before) still.push(control.closest('.vega-bind').textContent.trim() || control.name);
    if (control.type != 'radio') control.value = was, moved();  // so that it does not hide what the next one does
  }
  window.moved = [controls.length, still];
})()"""


@pytest.fixture(scope="module")
def site(html):
    """The address of the built pages, served from this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(site):
    """For this file alone: its event loop would be in the way of others'."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def switch(page, mode):
    """The theme's own button, until the page is in that mode."""
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") == mode:
            return
        page.locator(".theme-switch-button:visible").first.click()
    raise AssertionError(f"the theme's button does not lead to {mode}")


def shows(locator):
    """The text of what appears within twenty seconds, or None."""
    try:
        return locator.text_content(timeout=20000).strip()
    except TimeoutError:
        return None


def hover(page):
    """The text shown over the first word of the glossary; "" if there is none, None where the page has no such word."""
    word = page.locator('main a.reference.internal[href*="glossary.html#term-"]:visible').first
    if not word.count():
        return None
    word.hover()
    return shows(page.locator(".tippy-box:visible").last) or ""


def controls_of(page):
    """What CONTROLS finds; asked for, as Chromium may throw a promise away that is waited for."""
    page.evaluate(CONTROLS)
    for _ in range(1200):
        if found := page.evaluate("window.moved"):
            return found
        page.wait_for_timeout(100)
    raise AssertionError("the controls are not all moved after two minutes")


def visit(browser, address):
    """All that the tests ask of a page, from one load of it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.set_default_timeout(60000)
    seen = SimpleNamespace(trouble=[], wide={}, contrast={})
    requests, trouble = [], seen.trouble
    page.on("requestfinished", lambda r: requests.append(r))
    page.on("requestfailed", lambda r: trouble.append(f"failed: {r.url}"))
    page.on("request", lambda r: local(r.url) or trouble.append(f"asks another machine: {r.url}"))
    page.on("response", lambda r: r.status < 400 or trouble.append(f"{r.status}: {r.url}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("console", lambda m: m.type != "error" or trouble.append(f"console: {m.text}"))
    page.goto(address, wait_until="networkidle")
    page.evaluate(READY)
    charts = page.content().count('showChart("')
    if charts and shows(page.locator(".vega-embed svg").nth(charts - 1)) is None:
        trouble.append(f"fewer than {charts} charts are drawn")
    seen.weights = {
        r.url: r.sizes()["responseBodySize"] for r in requests if r.url.startswith("http")
    }
    seen.images = page.evaluate(IMAGES)
    for width, height in ((390, 844), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        seen.wide[width] = page.evaluate(TOO_WIDE)
        if width == 390:
            seen.cut, seen.small = page.evaluate(CUT), page.evaluate(SMALL)
    for mode in ("light", "dark"):
        switch(page, mode)
        seen.tip = hover(page)
        seen.contrast[mode] = page.evaluate(CONTRAST)
    seen.controls, seen.unmoved = controls_of(page)
    page.close()
    return seen


def local(address):
    target = urlsplit(address)
    return target.scheme in ("data", "blob") or target.hostname == "127.0.0.1"


@pytest.fixture(scope="module")
def visits(html, site, browser):
    return {
        path.stem: visit(browser, f"{site}/{path.name}") for path in sorted(html.glob("*.html"))
    }


def those(found):
    """{page: what is wrong with it}, of the pages with which something is."""
    return {name: wrong for name, wrong in found.items() if wrong}


def test_pages_load_without_an_error_and_without_the_network(visits):
    assert {"index", *(chapter.stem for chapter in chapters())} <= visits.keys()
    assert not those({name: seen.trouble for name, seen in visits.items()})


def test_no_image_is_broken_or_without_alternative_text(visits):
    assert not those({name: seen.images for name, seen in visits.items()})


@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_no_page_is_wider_than_the_screen(visits, width):
    assert not those({name: seen.wide[width] for name, seen in visits.items()})


def test_on_a_phone_nothing_is_cut_and_sliders_are_wide_enough_for_a_thumb(visits):
    assert not those({name: seen.cut for name, seen in visits.items()})
    assert not those({name: seen.small for name, seen in visits.items()})


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read_in_figures_and_charts_too(visits, mode):
    assert not those({name: seen.contrast[mode] for name, seen in visits.items()})


def test_controls_move_their_figures(visits):
    assert not those({name: seen.unmoved for name, seen in visits.items()})
    with_controls = {
        "00_what_a_spike_is",
        "02_winning_tickets",
        "03_token_selector",
        "04_gflops_accuracy",
    }
    assert with_controls == {name for name, seen in visits.items() if seen.controls}


def test_a_word_of_the_glossary_is_explained_where_it_stands(visits):
    tips = {name: seen.tip for name, seen in visits.items() if seen.tip is not None}
    assert tips and all(tips.values()), tips


def test_pages_are_light(visits):
    """What is transferred, uncompressed: below 1 MB for the landing page, 5 MB for any other."""
    heavy = {}
    for name, seen in visits.items():
        if sum(seen.weights.values()) >= (1e6 if name == "index" else 5e6):
            heavy[name] = sorted(
                ((size, address) for address, size in seen.weights.items()), reverse=True
            )[:5]
    assert not heavy


def test_tokens_vanish_on_the_landing_page_until_a_reader_takes_over(browser, site):
    page = browser.new_page(reduced_motion="no-preference")
    page.goto(f"{site}/index.html", timeout=60000)
    page.wait_for_selector(".ssf-live[data-ready]", timeout=60000)
    erased = '.ssf-board button[aria-pressed="false"]'
    page.wait_for_function(f"document.querySelectorAll('{erased}').length > 9", timeout=60000)
    page.get_by_role("button", name="Keep all").click()
    page.wait_for_timeout(500)
    assert page.locator(erased).count() == 0
    page.close()
    still = browser.new_page(reduced_motion="reduce")
    still.goto(f"{site}/index.html", timeout=60000)
    still.wait_for_selector(".ssf-live[data-ready]", timeout=60000)
    still.wait_for_timeout(2500)
    assert still.locator(erased).count() == 0
    still.close()


def test_search_finds_the_chapter_on_tickets(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/search.html?q=ticket", timeout=60000)
    page.wait_for_selector('#search-results a[href*="02_winning_tickets.html"]', timeout=60000)
    page.close()


def test_a_typed_answer_is_judged_where_it_is_typed(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/00_what_a_spike_is.html", timeout=60000)
    form = page.locator("div.exercise .ask form").first
    for typed, told in (("", "fill in"), ("1.1", "in time"), ("1,0", "the potential is pulled")):
        form.get_by_label("Your answer").fill(typed)
        form.get_by_role("button", name="Check").click()
        said = form.get_by_role("status").text_content()
        assert said.startswith(("Right: " if typed == "1,0" else "Not yet: ") + told)
    page.close()


def test_only_pages_with_exercises_load_their_script(visits):
    asking = {
        name
        for name, seen in visits.items()
        if any(url.endswith("exercise.js") for url in seen.weights)
    }
    assert asking == {chapter.stem for chapter in chapters()}


def test_every_slide_has_room_and_needs_no_network(browser, site):
    page, trouble = browser.new_page(viewport={"width": 1280, "height": 800}), []
    page.on("request", lambda r: local(r.url) or trouble.append(f"asks another machine: {r.url}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("console", lambda m: m.type != "error" or trouble.append(f"console: {m.text}"))
    page.goto(f"{site}/slides/index.html", wait_until="networkidle", timeout=60000)
    count = page.evaluate("Reveal.getTotalSlides()")
    assert 12 <= count <= 16
    for number in range(count):
        page.evaluate(f"Reveal.slide({number})")
        high = page.evaluate("Reveal.getCurrentSlide().scrollHeight")
        if high > page.evaluate("Reveal.getConfig().height"):
            trouble.append(f"slide {number + 1} is {high} px high")
    assert not trouble, trouble
    page.close()
