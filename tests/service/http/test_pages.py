"""The pages: as files, and in a real Chromium. The server and the engine are real, the sessions are fakes."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from service.http import pages
from service.http.app import create_app
from service.keys.file import KeyEntry, KeyFile, hash_key, new_key
from service.lifecycle import Lifecycle
from tests.service.http.test_app import serving
from tests.support.service_fakes import parts, running, tasks_of_every_kind

FOLDER = Path(pages.__file__).parent
CHROMIUM = "/usr/bin/chromium"
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--no-first-run"]  # fmt: skip
PATIENCE_MS = 120_000
"""Far beyond what anything takes: the machine may be busy."""
FORMS = {
    "Text": {"intent", "topics", "mood", "entities", "word_class"},
    "Two texts": {"duplicate", "similar"},
    "Ranking": {"article", "passage"},
    "Question": {"answer"},
    "Choices": {"next_step"},
    "Tokens": {"entities", "word_class"},
}

expect.set_options(timeout=PATIENCE_MS)
browser_test = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[str]:
    """A server of every kind of task. Its socket listens first, so that nothing has to be waited for."""
    lifecycle = Lifecycle()
    async with running(parts(tasks_of_every_kind()), **settings) as runtime:
        lifecycle.get_ready(runtime)
        server = uvicorn.Server(uvicorn.Config(create_app(lifecycle), log_level="error", lifespan="off"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            task = asyncio.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            await task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with served() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's; .ci/run installs it."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """The playground, opened. Whatever the page complains of fails the test."""
    complaints: list[str] = []
    page = await browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto(url)
    await expect(page.locator("#tasks input")).to_have_count(5)
    yield page
    await page.close()
    assert [each for each in complaints if "422" not in each] == []


async def ask(page: Page) -> None:
    async with page.expect_response("**/v1/predict"):
        await page.get_by_role("button", name="Ask").click()


async def tasks_shown(page: Page) -> set[str]:
    return {str(await each.get_attribute("data-task")) for each in await page.locator("article").all()}


@browser_test
async def test_every_kind_is_asked_in_its_form_and_shown(page: Page) -> None:
    for form, tasks in FORMS.items():
        await page.get_by_role("radiogroup").get_by_text(form, exact=True).click()
        await ask(page)
        await expect(page.locator("article")).to_have_count(len(tasks))
        assert await tasks_shown(page) == tasks
        assert await page.locator("article pre").count() == 0, "no answer is shown as raw JSON"


@browser_test
async def test_only_the_picked_tasks_are_asked(page: Page) -> None:
    await page.get_by_label("intent").uncheck()
    await ask(page)
    await expect(page.locator("article")).to_have_count(4)
    assert "intent" not in await tasks_shown(page)


@browser_test
async def test_words_are_marked_where_they_stand_also_behind_emoji(page: Page, url: str) -> None:
    text = "🎁🇮🇹 the green lamp, été 👍🏽 broke"
    async with httpx.AsyncClient() as client:
        body = {"inputs": [text], "tasks": ["word_class"]}
        answer = (await client.post(f"{url}/v1/predict", json=body)).json()["predictions"][0]["word_class"]
    await page.get_by_label("text", exact=True).fill(text)
    await ask(page)
    marks = page.locator("[data-task=word_class] mark")
    words = [each for each in answer["tokens"] if each["label"] is not None]
    await expect(marks).to_have_count(len(words))
    found = [(await each.inner_text()).split("\n")[0] for each in await marks.all()]
    assert found == [each["text"] + each["label"] for each in words]


@browser_test
async def test_the_same_text_comes_from_the_cache_the_second_time(page: Page) -> None:
    await page.get_by_label("text", exact=True).fill("a text that nobody asked before")
    await ask(page)
    await expect(page.locator("#cost")).to_contain_text("1 of 1 encoded")
    await ask(page)
    await expect(page.locator("#cost")).to_contain_text("all from the cache")


@browser_test
async def test_what_is_typed_is_never_read_as_html(page: Page) -> None:
    await page.get_by_role("radiogroup").get_by_text("Choices", exact=True).click()
    await page.get_by_role("textbox", name="choices").fill("<img src=x>\n<b>bold</b>")
    await ask(page)
    await expect(page.locator("article")).to_contain_text("<img src=x>")
    assert await page.locator("article img, article b").count() == 0


@browser_test
async def test_durations_are_told_without_exponents(page: Page) -> None:
    told = await page.evaluate(
        "import('/pages/dom.js')"
        ".then((dom) => [0, 0.00218, 0.0998, 0.43, 0.9996, 12.34, 1234.5].map(dom.duration))"
    )
    assert told == ["0.0 ms", "2.2 ms", "100 ms", "430 ms", "1.00 s", "12.3 s", "1235 s"]


@browser_test
async def test_a_fault_is_told_with_its_field(page: Page) -> None:
    await page.get_by_label("text", exact=True).fill("  ")
    await ask(page)
    await expect(page.get_by_role("alert")).to_contain_text("inputs.0.text")
    await page.get_by_label("text", exact=True).fill("better")
    await ask(page)
    await expect(page.get_by_role("alert")).to_have_count(0)


@browser_test
async def test_the_keyboard_is_enough(page: Page) -> None:
    await page.get_by_label("text", exact=True).press("Control+Enter")
    await expect(page.locator("article")).to_have_count(5)


@browser_test
async def test_the_curl_line_is_what_was_asked(page: Page) -> None:
    await page.get_by_label("text", exact=True).fill("It's late")
    await page.get_by_text("As a curl line").click()
    line = await page.locator("#curl").inner_text()
    process = await asyncio.create_subprocess_exec("bash", "-c", line, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert b'"predictions"' in output


@browser_test
@pytest.mark.parametrize("width", [1280, 360])
async def test_no_page_scrolls_sideways(page: Page, url: str, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await ask(page)
    for address in ("", "/status?every=50"):
        if address:
            await page.goto(url + address)
            await expect(page.locator(".tile")).to_have_count(6)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@browser_test
async def test_the_status_page_counts_what_was_asked(page: Page, url: str) -> None:
    await ask(page)
    await page.goto(f"{url}/status?every=50")
    row = page.locator("#routes tbody tr", has_text="/v1/predict")
    await expect(row).to_be_visible()
    answered = int(await row.locator("td").nth(1).inner_text())
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/v1/predict", json={"inputs": ["one more"]})
    await expect(row.locator("td").nth(1)).to_have_text(str(answered + 1))
    await expect(page.locator("#tasks tbody tr", has_text="intent")).to_be_visible()
    await expect(page.locator("#state")).to_have_text("Ready.")


KEY = new_key()


@pytest_asyncio.fixture(loop_scope="module")
async def locked(browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    """The playground of a service with API keys, which asks for one."""
    file = tmp_path / "keys.json"
    KeyFile(keys=(KeyEntry(name="desk", sha256=hash_key(KEY)),)).write(file)
    async with served(api_keys_file=file, metrics_need_key=True) as url:
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(url)
        await expect(page.get_by_role("dialog", name="API key")).to_be_visible()
        yield page
        await page.close()


@browser_test
async def test_a_key_is_asked_for_kept_for_the_tab_and_never_shown(locked: Page) -> None:
    dialog = locked.get_by_role("dialog", name="API key")
    await expect(locked.get_by_label("Key", exact=True)).to_be_focused()
    await locked.keyboard.type("eo_wrong")
    await locked.keyboard.press("Enter")
    await expect(dialog).to_contain_text("not known")
    await locked.get_by_label("Key", exact=True).fill(KEY)
    await locked.keyboard.press("Enter")
    await expect(locked.locator("#tasks input")).to_have_count(5)
    await ask(locked)
    await expect(locked.locator("article")).to_have_count(5)

    await locked.get_by_text("As a curl line").click()
    line = await locked.locator("#curl").inner_text()
    assert "$ENCODEONCE_API_KEY" in line
    assert KEY not in await locked.content()
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line, stdout=asyncio.subprocess.PIPE, env=os.environ | {"ENCODEONCE_API_KEY": KEY}
    )
    output, _ = await process.communicate()
    assert b'"predictions"' in output

    await locked.goto(locked.url + "status?every=50")
    await expect(locked.locator(".tile")).to_have_count(6)
    await expect(dialog).to_be_hidden()
    await locked.get_by_role("button", name="API key").click()
    await locked.get_by_role("button", name="Forget it").click()
    await expect(dialog).to_contain_text("answers to API keys alone")
    assert await locked.evaluate("sessionStorage.length") == 0


@browser_test
async def test_who_declines_to_give_a_key_is_told_and_may_think_again(locked: Page) -> None:
    await locked.keyboard.press("Escape")
    await expect(locked.get_by_role("alert")).to_contain_text("Expected an API key")
    await locked.goto(locked.url + "status?every=50")
    await locked.get_by_role("button", name="Cancel").click()
    await expect(locked.locator("#state")).to_contain_text("take an API key")
    await expect(locked.get_by_role("dialog")).to_be_hidden()
    await locked.get_by_role("button", name="API key").click()
    await locked.get_by_label("Key", exact=True).fill(KEY)
    await locked.get_by_role("button", name="Use it").click()
    await expect(locked.locator(".tile")).to_have_count(6)


@browser_test
async def test_a_refusal_from_before_the_key_was_given_asks_for_no_other(locked: Page) -> None:
    given = asyncio.Event()

    async def hold_without_key(route: Route) -> None:
        if "authorization" not in route.request.headers:
            await given.wait()
        await route.continue_()

    await locked.keyboard.press("Escape")
    await locked.goto(locked.url + "status?every=50")
    await locked.get_by_role("button", name="Cancel").click()
    await locked.route("**/metrics", hold_without_key)
    async with locked.expect_request("**/metrics"):
        pass
    await locked.get_by_role("button", name="API key").click()
    await locked.get_by_label("Key", exact=True).fill(KEY)
    await locked.get_by_role("button", name="Use it").click()
    given.set()
    await expect(locked.locator(".tile")).to_have_count(6)
    await expect(locked.get_by_role("dialog")).to_be_hidden()


async def test_a_browser_that_has_a_file_is_not_sent_it_again() -> None:
    async with serving() as (client, _):
        first = await client.get("/")
        assert first.headers["content-type"] == "text/html; charset=utf-8"
        again = await client.get("/", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/status", "/pages/style.css", "/pages/playground.js"])
async def test_pages_load_nothing_from_another_host(path: str) -> None:
    async with serving() as (client, _):
        answer = await client.get(path)
    assert not re.search(r"""(src|href|url|import|from)\s*[=(]?\s*["']?(https?:)?//""", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_file_of_the_folder_is_served() -> None:
    there = {each.name for each in FOLDER.iterdir() if each.suffix in (".html", ".css", ".js")}
    assert there == {*pages.PAGES.values(), *pages.ASSETS}


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def palettes() -> list[Any]:
    """The colours by light and dark."""
    roots = re.findall(r":root \{(.*?)\}", (FOLDER / "style.css").read_text(encoding="utf-8"), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", root)) for root in roots]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_text_stands_out_from_its_ground(palette: dict[str, str]) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    pairs = [(ink, ground) for ink in ("ink", "quiet", "accent") for ground in ("ground", "panel")]
    pairs += [("on-accent", "accent"), ("fault", "fault-ground"), ("good", "panel")]
    assert {pair for pair in pairs if contrast(*(palette[name] for name in pair)) < 4.5} == set()
