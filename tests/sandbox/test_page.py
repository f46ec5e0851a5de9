"""The page, as somebody sees it: in a headless Chromium.

``AMPLITUDE_ASYNC_PICTURES=1`` writes the pictures of the documentation anew.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="chromium and chromedriver are not installed here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def upload(box: Sandbox, *events: dict[str, Any]) -> None:
    httpx.post(f"{box.url}/2/httpapi", json={"api_key": "sandbox", "events": list(events)}, trust_env=False)


def until(look: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not appear in time"
    return found


def opened(browser: Any, box: Sandbox) -> None:
    browser.get("about:blank")
    # What the page of the test before had to say about its sandbox that is gone.
    browser.get_log("browser")
    browser.get(f"{box.url}/")
    until(lambda: browser.find_element("id", "state").text == "live", 10)


def texts(browser: Any) -> list[str]:
    return [item.text for item in browser.find_elements("css selector", "#events > li")]


def test_an_event_appears_within_a_second(browser: Any, box: Sandbox) -> None:
    """What a client tracks stands at the top of the open page, with its type and user, within a second."""
    opened(browser, box)
    upload(box, {"event_type": "first", "user_id": "user-00001"})
    until(lambda: texts(browser), 1)
    upload(box, {"event_type": "second", "user_id": "user-00002"})
    top = until(lambda: len(texts(browser)) == 2 and texts(browser)[0], 1)
    assert "second" in top
    assert "user-00002" in top
    assert browser.get_log("browser") == []


def test_a_rejected_event_says_why(browser: Any, box: Sandbox) -> None:
    """It is marked as rejected and has the reason in red under it."""
    opened(browser, box)
    upload(box, {"event_type": "oops", "user_id": "user-00001", "time": "soon"})
    reason = until(lambda: browser.find_elements("css selector", "#events .reason"), 1)[0]
    assert reason.text == "Invalid field values on some events (invalid: time)"
    red, green, blue = (int(part) for part in reason.value_of_css_property("color").strip("rgba()").split(",")[:3])
    assert red > 2 * green
    assert red > 2 * blue


def test_filters_and_details_work_by_keyboard(browser: Any, box: Sandbox) -> None:
    """Typing filters the list; Tab and Enter open an event and show its properties."""
    from selenium.webdriver.common.keys import Keys

    upload(
        box, *({"event_type": name, "user_id": "user-00001", "event_properties": {"plan": "pro"}} for name in ("signup", "purchase"))
    )
    opened(browser, box)
    until(lambda: len(texts(browser)) == 2, 5)
    browser.find_element("id", "by-type").send_keys("purch")
    (only,) = until(lambda: len(texts(browser)) == 1 and texts(browser), 2)
    assert "purchase" in only
    for _ in range(10):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.tag_name == "summary":
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    shown = until(lambda: browser.find_elements("css selector", "#events pre"), 2)[0]
    assert '"plan": "pro"' in shown.text


def test_a_user_and_a_chart_are_shown(browser: Any, box: Sandbox) -> None:
    """The profile behind an id, and a segmentation as bars, from what was sent."""
    now = int(time.time() * 1000)
    days = (
        {"event_type": ("signup", "activate", "purchase")[user % 3], "user_id": f"user-{user:05}", "time": now - day * 86_400_000}
        for day in range(10)
        for user in range(12 - day)
    )
    described = {
        "event_properties": {"plan": "pro", "items": [1, 2]},
        "user_properties": {"tier": "gold"},
        "platform": "Web",
        "country": "Norway",
    }
    upload(box, *({**event, **described} for event in days))
    upload(box, {"event_type": "purchase", "user_id": "user-00001", "time": "soon"})
    opened(browser, box)
    until(lambda: browser.find_elements("css selector", "#event option"), 5)
    browser.find_element("id", "user").send_keys("user-00003")
    browser.find_element("css selector", "#lookup button").click()
    profile = until(lambda: "gold" in browser.find_element("id", "profile").text and browser.find_element("id", "profile").text, 5)
    assert "user-00003" in profile
    assert "Norway" in profile
    browser.find_element("css selector", "#segment button").click()
    until(lambda: len(browser.find_elements("css selector", "#plot rect")) == 14, 5)
    if os.environ.get("AMPLITUDE_ASYNC_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 1150, "deviceScaleFactor": 1, "mobile": False}
        )
        for scheme in ("light", "dark"):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            browser.execute_script("window.scrollTo(0, 0)")
            browser.save_screenshot(str(PICTURES / f"sandbox-{scheme}.png"))
    assert browser.get_log("browser") == []


MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def test_what_was_sent_is_text_to_the_page(browser: Any, box: Sandbox) -> None:
    """Markup in types, ids, names and values of properties, and in reasons, is shown as it is, and nothing of it is done."""
    properties = {MARKUP: MARKUP, "list": [MARKUP]}
    sent = {"event_type": MARKUP, "user_id": MARKUP, "platform": MARKUP, "event_properties": properties, "user_properties": properties}
    upload(box, sent)
    upload(box, {**sent, "time": MARKUP})
    opened(browser, box)
    until(lambda: len(texts(browser)) == 2, 5)
    browser.execute_script("for (const each of document.querySelectorAll('#events details')) each.open = true")
    browser.find_element("css selector", "#events .open").click()
    until(lambda: MARKUP in browser.find_element("id", "profile").text, 5)
    until(lambda: browser.find_elements("css selector", "#event option"), 5)
    browser.find_element("css selector", "#segment button").click()
    until(lambda: MARKUP in browser.find_element("id", "plot").text, 5)
    assert sum(MARKUP.replace('"', '\\"') in shown.text for shown in browser.find_elements("css selector", "#events pre")) == 2
    assert browser.title == "Amplitude sandbox"
    assert browser.find_elements("css selector", "body img, main script") == []
    assert browser.get_log("browser") == []


def test_it_fits_a_narrow_window(browser: Any, box: Sandbox) -> None:
    """400 pixels are enough for everything there is, however long its words: nothing has to be scrolled sideways."""
    long = "x" * 300
    upload(
        box, {"event_type": long, "user_id": long, "event_properties": {long: long}, "user_properties": {long: long, "plan": "pro"}}
    )
    upload(box, {"event_type": "purchase", "user_id": long, "time": "soon"})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        opened(browser, box)
        until(lambda: len(texts(browser)) == 2, 5)
        browser.execute_script("for (const each of document.querySelectorAll('#events details')) each.open = true")
        browser.find_element("css selector", "#events .open").click()
        until(lambda: "pro" in browser.find_element("id", "profile").text, 5)
        until(lambda: browser.find_elements("css selector", "#event option"), 5)
        browser.find_element("css selector", "#segment button").click()
        until(lambda: browser.find_elements("css selector", "#plot rect"), 5)
        wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= shown <= 400
        if os.environ.get("AMPLITUDE_ASYNC_LOOK"):
            browser.save_screenshot(os.environ["AMPLITUDE_ASYNC_LOOK"])
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_keeps_up_with_many_events(browser: Any, box: Sandbox) -> None:
    """Of 5,000 events that stream in, all are counted, and the latest 500 are in the list, the very latest on top."""
    opened(browser, box)
    for first in range(0, 5000, 500):
        upload(box, *({"event_type": f"click {number}", "user_id": f"user-{number % 40:05}"} for number in range(first, first + 500)))
    until(lambda: "5,000 accepted" in browser.find_element("id", "counts").text, 10)
    until(lambda: browser.find_element("css selector", "#events .type").text == "click 4999", 10)
    assert len(browser.find_elements("css selector", "#events > li")) == 500
    assert browser.find_element("css selector", "#events > li:last-child .type").text == "click 4500"
    assert browser.get_log("browser") == []


def test_it_connects_again_when_the_sandbox_was_gone(browser: Any, box: Sandbox) -> None:
    """A page that stays open goes on by itself, and nothing is shown twice."""
    opened(browser, box)
    upload(box, {"event_type": "before", "user_id": "user-00001"})
    until(lambda: texts(browser), 1)
    box.faults.down(0.2)
    until(lambda: browser.find_element("id", "state").text != "live", 5)
    until(lambda: browser.find_element("id", "state").text == "live", 10)
    upload(box, {"event_type": "after", "user_id": "user-00001"})
    until(lambda: len(texts(browser)) == 2, 2)


def test_it_shows_the_sandbox_that_comes_after(browser: Any) -> None:
    """A page that stays open shows what another sandbox takes that is started on the same port."""
    with Sandbox() as before:
        port = int(before.url.rpartition(":")[2])
        opened(browser, before)
        for number in range(3):
            upload(before, {"event_type": f"before {number}", "user_id": "user-00001"})
        until(lambda: len(texts(browser)) == 3, 2)
    with Sandbox(port=port) as after:
        until(lambda: browser.find_element("id", "state").text == "live", 10)
        upload(after, {"event_type": "after", "user_id": "user-00001"})
        until(lambda: texts(browser) and "after" in texts(browser)[0], 2)


def test_a_made_up_world_can_be_looked_through(browser: Any, box: Sandbox) -> None:
    """How much there is is said, several people who fit are offered, and a day that has nothing yet is no fall of the chart."""
    from selenium.webdriver.common.keys import Keys

    count = box.seed(users=60, days=20)
    opened(browser, box)
    until(lambda: f"{count} events stored" in browser.find_element("id", "stored").text.replace(",", ""), 5)
    field = browser.find_element("id", "user")
    field.send_keys("user-0000")
    field.send_keys(Keys.ENTER)
    offered = until(lambda: browser.find_elements("css selector", "#profile button"), 5)
    assert len(offered) == 20
    name = offered[3].text
    offered[3].send_keys(Keys.ENTER)
    until(lambda: "Latest events" in browser.find_element("id", "profile").text, 5)
    assert name in browser.find_element("id", "profile").text
    browser.find_element("css selector", "#segment button").send_keys(Keys.ENTER)
    bars = until(lambda: browser.find_elements("css selector", "#plot rect"), 5)
    assert len(bars) == 14
    assert all(float(bar.get_attribute("height")) > 0 for bar in bars)
    assert "(UTC)" in browser.find_element("id", "plot").text
    if os.environ.get("AMPLITUDE_ASYNC_LOOK"):
        browser.save_screenshot(os.environ["AMPLITUDE_ASYNC_LOOK"])
    assert browser.get_log("browser") == []
