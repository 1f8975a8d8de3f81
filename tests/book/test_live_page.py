"""The network in the page, in headless Chromium, from the file system: hands, buttons, rounds."""

import page_network
import pytest
import torch
from playwright.sync_api import sync_playwright
from test_browser import CHROMIUM, FLAGS

from ssf.figures import live

pytestmark = pytest.mark.slow
TOKENS, USUAL = 64, 19  # of a picture, and what the selector keeps


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of the committed networks, one file."""
    path = tmp_path_factory.mktemp("page") / "live.html"
    path.write_text(live.page(page_network.committed(), page_network.data_set(), TOKENS))
    return path


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def opened(chromium, path):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    trouble = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda r: r.url.startswith("file:") or trouble.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".ssf-live[data-ready]", timeout=60000)
    yield page
    assert not trouble
    page.close()


def state(page):
    return page.evaluate(
        "(({network, ...rest}) => rest)(document.querySelector('.ssf-live').ssfState)"
    )


def cell(page, n):
    return page.locator(".ssf-board button").nth(n)


def assert_as_torch(page, which):
    """The page's logits and answer, and the tokens that it marks as kept, are torch's."""
    seen, dataset = state(page), page_network.data_set()
    marked = page.locator(".ssf-board button[aria-pressed=true]").evaluate_all(
        "kept => kept.map(cell => [...cell.parentElement.querySelectorAll('button')].indexOf(cell))"
    )
    assert marked == seen["kept"]
    network, *_ = page_network.in_torch(page_network.committed()[which])
    number = live.pictures(dataset, TOKENS)["numbers"][seen["picture"]]
    with torch.no_grad():
        logits = page_network.keeping(network, seen["kept"])(live.pixels(dataset, [number]))[0]
    assert (logits - torch.tensor(seen["logits"], dtype=torch.float64)).abs().max() < 1e-3
    assert seen["answer"] == dataset.classes[int(logits.argmax())]
    bar = page.locator(".ssf-top").text_content()
    assert bar == f"{seen['answer']}{100 * logits.softmax(0).max():.0f}%"
    return seen


def test_tokens_are_erased_by_hand_and_by_keyboard(opened):
    assert len(assert_as_torch(opened, 0)["kept"]) == TOKENS
    before = state(opened)["macs"]
    box = opened.locator(".ssf-board").bounding_box()
    step = box["width"] / 8
    opened.mouse.move(box["x"] + step / 2, box["y"] + step / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 5.5 * step, box["y"] + step / 2, steps=30)
    opened.mouse.up()
    assert assert_as_torch(opened, 0)["kept"] == [*range(6, TOKENS)]
    cell(opened, 0).focus()
    opened.keyboard.press("Space")  # back again
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        opened.keyboard.press(key)
    opened.keyboard.press("Enter")
    seen = assert_as_torch(opened, 0)
    assert seen["kept"] == [0, *range(6, 10), *range(11, TOKENS)] and seen["macs"] < before
    assert "58 of 64 tokens" in opened.get_by_role("status").text_content()
    assert cell(opened, 10).get_attribute("aria-label") == "Row 2, column 3: erased"
    opened.get_by_role("button", name="Keep all").click()
    assert len(assert_as_torch(opened, 0)["kept"]) == TOKENS


@pytest.mark.parametrize("name", ["Learned selector", "What fires most", "Chance", "The truth"])
def test_a_button_keeps_as_many_tokens_of_its_own(opened, name):
    opened.locator("#ssf-picture").select_option("12")
    opened.get_by_role("button", name=name).click()
    seen = assert_as_torch(opened, 0)
    assert seen["picture"] == 12 and len(seen["kept"]) == USUAL
    network, *_ = page_network.in_torch(page_network.committed()[0])
    dataset = page_network.data_set()
    numbers = live.pictures(dataset, TOKENS)["numbers"]
    picture = live.pixels(dataset, [numbers[12]])
    if name == "Learned selector":
        with torch.no_grad():
            _, (kept,) = network.forward_tokens(picture)
        assert seen["kept"] == kept[0].nonzero().flatten().tolist()
    if name == "The truth":
        item = live.foreground(dataset, torch.tensor([numbers[12]]))[0]
        area = item.view(8, 4, 8, 4).sum((1, 3)).flatten()
        gone = [n for n in range(TOKENS) if n not in seen["kept"]]
        assert area[seen["kept"]].min() >= area[gone].max()
    slider = opened.locator(".ssf-picture input[type=range]")
    slider.fill("5")
    assert len(assert_as_torch(opened, 0)["kept"]) == 5
    assert opened.locator(".ssf-picture small").text_content() == f"In the order of “{name}”."
    assert opened.locator(".ssf-about").text_content() == opened.get_by_role(
        "button", name=name
    ).get_attribute("title")


def test_the_page_starts_with_the_surest_picture(opened):
    network, *_ = page_network.in_torch(page_network.committed()[0])
    dataset = page_network.data_set()
    shown = live.pictures(dataset, TOKENS)
    with torch.no_grad():
        logits = torch.stack(
            [
                page_network.keeping(network, [*range(TOKENS)])(live.pixels(dataset, [n]))[0]
                for n in shown["numbers"]
            ]
        )
    sure = logits.softmax(1)[range(len(shown["labels"])), shown["labels"]]
    picture = int(sure.argmax())
    assert state(opened)["picture"] == picture
    assert opened.locator("#ssf-picture").input_value() == str(picture)


def test_only_the_blocks_become_cheaper(opened):
    stem, rest = (opened.locator(".ssf-costs .ssf-rail span").nth(i) for i in (0, 1))
    before = [part.bounding_box()["width"] for part in (stem, rest)]
    opened.get_by_role("button", name="Learned selector").click()
    after = [part.bounding_box()["width"] for part in (stem, rest)]
    assert after[0] == pytest.approx(before[0]) and 0 < after[1] < 0.4 * before[1]
    assert "The stem costs what it did." in opened.locator(".ssf-saved").text_content()


def test_maps_are_large_labelled_and_reach_full_brightness(opened):
    seen = opened.locator(".ssf-maps canvas").evaluate_all("""maps => maps.map(map => {
      const {data} = map.getContext("2d").getImageData(0, 0, map.width, map.height);
      return [map.clientWidth, Math.max(...data.filter((_, i) => i % 4 == 2))];
    })""")
    assert len(seen) == 6 and all(width >= 96 and blue == 233 for width, blue in seen)
    labels = opened.locator(".ssf-maps small").all_text_contents()
    assert [label.partition(":")[0] for label in labels] == ["step 1", "step 2"] * 3


def test_what_it_sees_comes_right_below_the_picture_on_a_phone(opened):
    tops = {
        name: opened.locator(f".ssf-{name}").bounding_box()["y"]
        for name in ("picture", "classes", "choose", "costs", "network", "spikes")
    }
    assert list(tops.values()) == sorted(tops.values())
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_rounds_walk_from_dense_to_the_sparsest(opened):
    opened.get_by_role("button", name="Learned selector").click()
    kept, left = state(opened)["kept"], []
    for number in range(6):
        opened.locator(".ssf-network input").fill(str(number))
        if number == 0:  # a slider that is at 0 already tells nobody
            opened.locator(".ssf-network input").dispatch_event("input")
        seen = assert_as_torch(opened, 1 + number)
        left.append(seen["macs"])
        assert seen["kept"] == kept
    assert left == sorted(left, reverse=True) and left[-1] < 0.2 * left[0]
    assert "round" not in opened.locator(".ssf-row").text_content()
    opened.get_by_role("button", name="Back to the network").click()
    assert_as_torch(opened, 0)


def test_a_search_flips_the_answer(opened):
    opened.locator("#ssf-picture").select_option("4")  # the first to flip
    answer = state(opened)["answer"]
    opened.get_by_role("button", name="What flips").click()
    opened.wait_for_function("!document.querySelector('.ssf-live').ssfState.byHand", timeout=60000)
    seen = assert_as_torch(opened, 0)
    assert seen["answer"] != answer
    lost = TOKENS - len(seen["kept"])
    assert f"Losing {lost} token" in opened.get_by_role("status").text_content()


def test_a_drawing_is_recognised_as_something(opened):
    opened.locator("#ssf-picture").select_option("-1")
    empty = state(opened)["logits"]
    for n in (27, 28, 35, 36):
        cell(opened, n).click()
    assert state(opened)["logits"] != empty
    assert opened.get_by_role("button", name="The truth").is_disabled()


def test_nothing_is_computed_before_it_is_seen_and_an_image_takes_little(opened, chromium, path):
    page = chromium.new_page(viewport={"width": 390, "height": 300})
    page.set_content("<div style='height: 5000px'></div>" + path.read_text())
    assert page.locator(".ssf-live[data-ready]").count() == 0
    page.locator(".ssf-live").scroll_into_view_if_needed()
    page.wait_for_selector(".ssf-live[data-ready]", timeout=60000)
    page.close()
    milliseconds = opened.evaluate(
        """() => {
      const net = ssfNetwork.read(ssfLive.networks[0]);
      const picture = ssfNetwork.bytes(ssfLive.images).subarray(0, 1024);
      const once = () => {
        const began = performance.now();
        ssfNetwork.run(net, ssfNetwork.stem(net, picture));
        return performance.now() - began;
      };
      return Math.min(...Array.from({length: 60}, once));
    }"""
    )
    assert milliseconds < 10
    assert len(path.read_bytes()) < 1e6
