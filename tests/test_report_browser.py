"""The report in a real browser: headless Chromium, driven by selenium."""

import json
import shutil

import pytest
from PIL import Image

from helpers import write_dataset
from mixup_cli.run import augment
from mixup_cli.canvas import Canvas
from mixup_cli.plan import PlanOptions
from mixup_cli.provenance import Options
from mixup_cli.report import write_report
from mixup_cli.store import read_record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)
HOSTILE = (
    "<script>document.title='owned'<", '"><img src=x onerror=alert(1)>', "שלום", "猫", "evil\u202etxt",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or CHROMEDRIVER is None,
        reason="needs Chromium and its driver (Debian: chromium, chromium-driver)",
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=[3, 10, 1000])
def out(request, tmp_path_factory):
    """A run of that many classes, two of whose sources are damaged."""
    names = [*HOSTILE, *(f"class {k}" for k in range(5, request.param))][: request.param]
    source = write_dataset(tmp_path_factory.mktemp("page") / "in", names, 3, size=(8, 6))
    for name in names[:2]:
        (source / name / "bad.png").write_bytes(b"no image")
    out = tmp_path_factory.mktemp("page") / "out"
    augment(source, out, Options(PlanOptions(alpha=0.4, copies=2), Canvas((32, 24))), jobs=0)
    write_report(out)
    return out


def show(browser, page, width=1200, scheme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
    })
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}],
    })
    browser.get(page.absolute().as_uri())


def requests(browser):
    """The addresses that the browser asked for since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        message["params"]["request"]["url"] for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def test_it_loads_from_disk_and_asks_nobody(browser, out):
    requests(browser), browser.get_log("browser")
    show(browser, out / "report.html")
    asked = requests(browser)
    page = (out / "report.html").absolute().as_uri()
    assert asked[0] == page and all(url == page or url.startswith("data:") for url in asked)
    assert len(asked) > 1  # the log works: the samples are there, as data
    assert browser.get_log("browser") == []
    assert browser.title.startswith("mixup report")
    loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(loaded)
    assert browser.execute_script("return document.scripts.length") == 0


def test_the_totals_are_those_of_the_record(browser, out):
    show(browser, out / "report.html")
    counts = read_record(out)["counts"]
    for name in ("outputs", "originals", "planned", "sources", "classes", "rejected", "shards"):
        shown = browser.execute_script(f"return document.getElementById('{name}').innerText")
        assert shown == f"{counts[name]:,}"
    rows = "return document.querySelectorAll('#mass tbody tr').length"
    assert browser.execute_script(rows) == counts["classes"]
    assert counts["rejected"] == 2


def test_the_log_sees_a_console_error_and_a_request(browser, tmp_path):
    """What the tests above rely on."""
    page = tmp_path / "bad.html"
    page.write_text("<img src='file:///no/such/image.png'><script>throw new Error('x')</script>")
    requests(browser), browser.get_log("browser")
    show(browser, page)
    assert "file:///no/such/image.png" in requests(browser)
    assert any("Error: x" in entry["message"] for entry in browser.get_log("browser"))


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_on_a_phone_and_on_a_desk(browser, out, width, scheme):
    show(browser, out / "report.html", width, scheme)
    sizes = browser.execute_script(
        "document.querySelectorAll('details').forEach(d => { d.open = true });"
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert sizes[0] <= sizes[1] == width  # nothing pushes the page wider than the screen
    colours = browser.execute_script(
        "const of = (q, name) => getComputedStyle(document.querySelector(q))[name];"
        "return [of('body', 'backgroundColor'), of('body', 'color'), of('svg text', 'fill')]"
    )
    paper, ink, chart = (sum(map(int, c.strip("rgb()").split(",")[:3])) / 3 for c in colours)
    assert (paper > 200 and ink < 60) if scheme == "light" else (paper < 60 and ink > 200)
    assert chart == ink
    smallest = browser.execute_script(  # pixels of the smallest text in the charts but the heat map
        "const scale = s => s.getBoundingClientRect().width / s.viewBox.baseVal.width;"
        "return Math.min(...[...document.querySelectorAll('.chart:not(.large) svg')].flatMap(s =>"
        " [...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize) * scale(s))))"
    )
    assert smallest >= 9
    path = out.parent / f"{width}-{scheme}.png"
    browser.save_screenshot(str(path))
    with Image.open(path) as image:
        assert image.size == (width, 900) and len(image.convert("RGB").getcolors(1 << 20)) > 100


def test_no_heading_breaks_inside_a_word_on_a_phone(browser, tmp_path):
    source = write_dataset(tmp_path / "in", ("a", "b"), 2)
    (source / "a/x.png").write_bytes(b"no image")
    augment(source, tmp_path / "out", jobs=0)
    write_report(tmp_path / "out")
    show(browser, tmp_path / "out/report.html", 390)
    headings = browser.execute_script(
        "return [...document.querySelectorAll('#rejects th, #options th')].map(th => {"
        " const range = document.createRange(); range.selectNodeContents(th);"
        " return [th.innerText, new Set([...range.getClientRects()].map(box => box.top)).size] })"
    )
    assert headings == [["source", 1], ["reason", 1], ["option", 1], ["value", 1]]


def test_the_charts_can_be_read_out(browser, out):
    show(browser, out / "report.html")
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    images = [node for node in tree if node.get("role", {}).get("value") in ("image", "img")]
    names = [node.get("name", {}).get("value", "") for node in images]
    assert any(name.startswith("Histogram of λ") for name in names)
    assert any(name.startswith("Which class was mixed") for name in names)
    assert all(names) and len(names) >= 3 + 1
