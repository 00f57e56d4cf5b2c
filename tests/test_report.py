"""The report: every number against the tables it speaks of, hostile names, a million rows."""

import base64
import io
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import fields
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from helpers import AS_ORDINARY_USER, noise, read_csv, run_measured, run_without, tree, write_dataset
from mixup_cli.run import _finish, augment
from mixup_cli.canvas import Canvas
from mixup_cli.dataset import ReadOptions
from mixup_cli.dataset.model import hard_dataset
from mixup_cli.errors import InputError
from mixup_cli.plan import PlanOptions, make_plan
from mixup_cli.png import encode_pngs
from mixup_cli.provenance import Options, command_line, options_record
from mixup_cli.report import charts, report, write_report
from mixup_cli.report.facts import read_facts
from mixup_cli.store import Store, read_record, replace_file
from mixup_cli.verify import verify

HOSTILE = (
    "<script>alert(1)<", "<style><b>&lt;", '"quo\'te" & $x^2$ {{ 1 }} {% x %}', "שלום עולם",
    "مرحبا", "猫と犬", "evil\u202etxt", "esc\x1b[31m", "😀", "Größe", "a" * 120,
)


class Page(HTMLParser):
    """What a browser would make of a page: tags, attributes, the text by the id around it."""

    def __init__(self, data):
        super().__init__()
        self.tags, self.text, self.path, self.attributes = Counter(), "", [], []
        self.of_id, self.values = {}, {}
        self.feed(data.decode())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags[tag] += 1
        self.attributes.append((tag, attributes))
        if tag not in ("meta", "link", "img", "br"):
            self.path.append(attributes.get("id"))
        if tag == "data":
            self.values[attributes["id"]] = attributes["value"]

    def handle_startendtag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        self.path.pop()

    def handle_data(self, text):
        self.text += text
        for name in filter(None, self.path):
            self.of_id[name] = self.of_id.get(name, "") + text


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = write_dataset(tmp_path_factory.mktemp("report") / "in", HOSTILE, 8)
    (root / HOSTILE[0] / "bad <i>.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def out(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "out"
    options = Options(PlanOptions(alpha=0.4, copies=5, include_originals=True), Canvas((20, 20)))
    augment(source, out, options, jobs=0)
    return out


@pytest.fixture(scope="module")
def page(out):
    return Page(report(out))


def test_the_totals_are_those_of_the_record(out, page):
    counts = read_record(out)["counts"]
    for name in ("outputs", "originals", "planned", "sources", "classes", "rejected", "shards",
                 "share_equal_to_source"):
        assert float(page.values[name]) == counts[name]
    assert counts["rejected"] == 1 and counts["originals"] > 0
    share = f"{counts['share_equal_to_source']:.1%}"  # one number and one wording, wherever it stands
    assert page.of_id["share_equal_to_source"] == share
    assert f"{share} of the mixed outputs equal one of their sources in 8 bits" in page.text
    assert "on the same kind of processor the same bytes" in page.text
    sizes = [len(data) for data in tree(out).values()]
    assert int(page.values["bytes"]) == sum(sizes)
    assert f"{len(sizes):,} files" in page.text
    record = read_record(out)
    for version in record["versions"].values():
        assert str(version) in page.of_id["versions"]
    for name, value in record["options"].items():
        assert f"{name}{value if isinstance(value, str) else json.dumps(value)}" in page.of_id["options"]


def test_the_facts_are_those_of_the_tables(out):
    facts = read_facts(out)
    rows = [row for row in read_csv(out / "metadata.csv") if row["source_a"] != row["source_b"]]
    lam = np.array([float(row["lam"]) for row in rows])
    assert np.array_equal(facts.lam, np.histogram(lam, np.linspace(0, 1, 51))[0])
    pairs = Counter((row["label_a"], row["label_b"]) for row in rows)
    classes = (out / "classes.txt").read_text("utf-8").splitlines()
    assert facts.groups == facts.classes == classes
    assert facts.pairs.tolist() == [[pairs[a, b] for b in classes] for a in classes]
    share = np.diff(stats.beta(0.4, 0.4).cdf(np.linspace(0, 1, 51)))
    assert np.allclose(facts.expected, share * len(rows))


@pytest.mark.slow
def test_the_density_knows_min_mix_and_pairs(source, tmp_path):
    options = Options(PlanOptions(alpha=(0.2, 1.0), min_mix=0.1, copies=2), Canvas((4, 4)))
    augment(source, tmp_path / "out", options, jobs=0)
    facts = read_facts(tmp_path / "out")
    edges = np.linspace(0, 1, 51).clip(0.1, 0.9)
    share = np.diff(stats.beta(0.2, 1).cdf(edges))
    assert np.allclose(facts.expected, facts.lam.sum() * share / share.sum())
    assert facts.lam[:5].sum() == facts.expected[:5].sum() == 0


def test_samples_are_outputs_of_the_run(out, page):
    rows = {row["file_name"]: row for row in read_csv(out / "metadata.csv")}
    images = [a for tag, a in page.attributes if tag == "img"]
    samples = read_facts(out).samples
    assert len(images) == len(samples) == 10
    assert [int(sample.lam * 10) for sample in samples] == list(range(10))
    for image, sample in zip(images, samples, strict=True):
        assert image["src"].startswith("data:image/png;base64,") and image["alt"]
        data = base64.b64decode(image["src"].partition(",")[2])
        shown, output = (np.asarray(Image.open(f)) for f in (io.BytesIO(data), out / sample.file))
        assert np.array_equal(shown[::8, ::8], output if output.ndim == 3 else output[..., None])
        assert float(rows[sample.file]["lam"]) == sample.lam


PATH = re.compile("M ([-0-9.]+) ([-0-9.]+)|L ([-0-9.]+) ([-0-9.]+)")


def figures(html):
    """(alternative text, caption) of every sample, as text."""
    for figure in re.findall("<figure>.*?</figure>", html, re.S):
        alt = re.search(r'alt="([^"]*)"', figure)[1]
        caption = re.sub("<[^>]*>", "", re.search("<figcaption>(.*?)</figcaption>", figure)[1].replace("<br>", "\n"))
        yield unescape(alt), unescape(caption)


def shapes(html, chart, colour, paint="fill"):
    """The points of each shape of a chart that is painted in one of the page's colours, and its style."""
    svg = ElementTree.fromstring(next(s for s in re.findall("<svg.*?</svg>", html, re.S) if f'id="{chart}-title' in s))
    for path in svg.iter("{http://www.w3.org/2000/svg}path"):
        style = path.get("style") or ""
        if path.get("clip-path") and f"{paint}: var(--{colour})" in style:
            found = [[float(n) for n in point if n] for point in PATH.findall(path.get("d"))]
            yield np.array(found), style


def cells(html, table):
    """The rows of a table's body, as text."""
    body = re.search(f"<table {table}.*?<tbody>(.*?)</tbody>", html, re.S)[1]
    for row in re.findall("<tr>(.*?)</tr>", body, re.S):
        yield [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row)]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A run that is symmetric in nothing: class sizes, alpha, bounds of lam, labels of their own."""
    source = tmp_path_factory.mktemp("uneven") / "in"
    for name, count in (("ape", 9), ("bee", 4), ("cat", 2)):
        write_dataset(source, (name,), count)
    Image.fromarray(noise(100, 400, 3)).save(source / "cat/0.png")
    out = source.parent / "out"
    plan = PlanOptions(alpha=(0.3, 1.2), min_mix=0.05, max_mix=0.4, copies=40, label_policy="remix",
                       kappa=2, tau=0.7)
    augment(source, out, Options(plan, Canvas((5, 4))), jobs=0)
    return out


@pytest.fixture(scope="module")
def uneven_page(uneven):
    return report(uneven).decode()


@pytest.mark.parametrize("name", ["out", "uneven"])
def test_captions_and_alternative_texts_give_the_weights_of_the_label(request, name):
    out = request.getfixturevalue(name)
    rows = {row["file_name"].removeprefix("images/"): row for row in read_csv(out / "metadata.csv")}
    html = report(out).decode()
    found = list(figures(html))
    assert len(found) >= 8
    parted = 0
    for alt, caption in found:
        row = rows[caption.rpartition("\n")[2]]
        lam, weight = float(row["lam"]), float(row.get("label_lam", row["lam"]))
        a, b = (row[side].replace("\u202e", "\\u202e").replace("\x1b", "\\x1b") for side in ("label_a", "label_b"))
        label = f"{text_of(weight)} {a} + {text_of(1 - weight)} {b}"
        assert caption.splitlines()[:2] == [f"λ = {text_of(lam)}", label]
        assert alt == f"{text_of(lam)} of a and {text_of(1 - lam)} of b, label {label}"
        parted += weight != lam
    assert (parted > 0) == ("pixels and labels alike" not in html) == (name == "uneven")


def text_of(weight):
    return repr(round(weight, 6)) if 1e-4 <= weight or not weight else f"{weight:.6f}".rstrip("0")


def test_the_bars_of_the_histogram_are_as_high_as_the_counts(uneven, uneven_page):
    """Read back from the picture; the line is scipy's density, in the scale of the bars."""
    lam = np.array([float(row["lam"]) for row in read_csv(uneven / "metadata.csv")
                    if row["source_a"] != row["source_b"]])
    share = np.histogram(lam, np.linspace(0, 1, 51))[0] / len(lam)
    bars = sorted((points for points, _ in shapes(uneven_page, "lam", "after")), key=lambda p: p[:, 0].min())
    heights = np.array([np.ptp(points[:, 1]) for points in bars])
    assert len(bars) == 50 and share[:25].sum() > 0.6
    scale = heights.sum()
    assert np.allclose(heights / scale, share, atol=1e-5)
    (line, _), = shapes(uneven_page, "lam", "density", "stroke")
    base = max(points[:, 1].max() for points in bars)
    left = bars[0][:, 0].min()
    width = (bars[-1][:, 0].min() - left) / 49
    edges = np.linspace(0, 1, 51)
    beta, inside = stats.beta(0.3, 1.2), lambda x: np.clip(x, 0.05, 0.4)
    mass = np.diff(beta.cdf(inside(edges)) + beta.cdf(1 - inside(1 - edges)))
    for k, expected in enumerate(mass / mass.sum()):
        x = left + (k + 0.5) * width
        (y, *_), = {tuple(p[1] for p in step) for step in zip(line, line[1:], strict=False)
                    if step[0][0] < x < step[1][0]}
        assert abs((base - y) / scale - expected) < 1e-4
    text = Page(uneven_page.encode()).text
    assert "until min(λ, 1 − λ) ≥ 0.05, until min(λ, 1 − λ) ≤ 0.4." in text


def test_the_label_mass_is_drawn_and_listed_as_the_record_has_it(uneven, uneven_page):
    before = Counter(path.parent.name for path in (uneven.parent / "in").rglob("*.png"))
    labels = read_csv(uneven / "labels.csv")
    after = {name: sum(float(row[name]) for row in labels) for name in before}
    rows = list(cells(uneven_page, 'id="mass"'))
    assert [row[0] for row in rows] == ["ape", "bee", "cat"]
    wanted = []
    for name, *numbers in rows:
        shares = 100 * before[name] / 15, 100 * after[name] / sum(after.values())
        assert np.allclose([float(n.replace(",", "")) for n in numbers],
                           (before[name], shares[0], after[name], shares[1]), atol=2e-3)
        wanted.append(shares)
    for when, colour in enumerate(("before", "after")):
        bars = sorted((p for p, _ in shapes(uneven_page, "mass", colour)), key=lambda p: p[:, 1].min())
        widths = [np.ptp(points[:, 0]) for points in bars]
        assert np.allclose(np.array(widths) / sum(widths) * 100, [w[when] for w in wanted], atol=1e-2)
    assert abs(wanted[0][0] - wanted[0][1]) > 1  # the two can be told apart


def test_the_pairs_are_drawn_and_listed_a_by_row(uneven, uneven_page):
    names = ["ape", "bee", "cat"]
    pairs = Counter((row["label_a"], row["label_b"]) for row in read_csv(uneven / "metadata.csv")
                    if row["source_a"] != row["source_b"])
    wanted = np.array([[pairs[a, b] for b in names] for a in names])
    assert (wanted != wanted.T).any()
    rows = list(cells(uneven_page, 'class="pairs"'))
    assert [row[0] for row in rows] == names
    assert [[int(n.replace(",", "")) for n in row[1:]] for row in rows] == wanted.tolist()
    fields_drawn = [(*points.min(axis=0), style) for points, style in shapes(uneven_page, "pairs", "after")]
    columns, lines = (sorted({round(field[axis], 3) for field in fields_drawn}) for axis in (0, 1))
    shown = np.zeros((3, 3))
    for x, y, style in fields_drawn:
        opacity = re.search("opacity: ([0-9.]+)", style)
        shown[lines.index(round(y, 3)), columns.index(round(x, 3))] = float(opacity[1]) if opacity else 1
    assert np.allclose(shown, np.where(wanted, 0.08 + 0.92 * wanted / wanted.max(), 0), atol=1e-4)


def test_disk_blocks_are_whole(uneven):
    sizes = [len(data) for data in tree(uneven).values()]
    facts = read_facts(uneven)
    assert (facts.files, facts.num_bytes) == (len(sizes), sum(sizes))
    assert facts.num_blocks == sum(4096 * -(-size // 4096) for size in sizes) > 2 * sum(sizes)


def test_numbers_in_the_heat_map_stand_out():
    """A contrast of 4.5 (WCAG 2.2) in the light and in the dark, whatever the share."""
    css = (Path(charts.__file__).parent / "page.html").read_text("utf-8")
    for root in re.findall(":root {(.*?)}", css, re.S):
        colour = {name: np.array([*bytes.fromhex(value)]) for name, value in re.findall("--([a-z]+): #([0-9a-f]{6})", root)}
        for share in np.linspace(0, 1, 1001):
            opacity = 0.08 + 0.92 * share
            field = opacity * colour["after"] + (1 - opacity) * colour["card"]
            light = sorted((luminance(field), luminance(colour[charts.level(share)])))
            assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, share


def luminance(rgb):
    part = np.asarray(rgb) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("format", ["folder", "webdataset"])
def test_a_missing_image_is_no_matter_of_a_smaller_total(uneven, tmp_path, format):
    out = tmp_path / "out"
    if format == "folder":
        shutil.copytree(uneven, out)
    else:
        augment(uneven.parent / "in", out, Options(PlanOptions(lam=0.5, copies=140), Canvas((2, 2)), format=format), jobs=0)
    assert read_facts(out).files == len(tree(out))
    shown = {f"images/{caption.rpartition(chr(10))[2]}" for _, caption in figures(report(out).decode())}
    if format == "folder":
        lost = next(out / row["file_name"] for row in read_csv(out / "metadata.csv") if row["file_name"] not in shown)
    else:
        lost = next(p for p in sorted(out.glob("images/*.tar")) if not any(p.stem in name.split("/") for name in shown))
    lost.unlink()
    with pytest.raises(InputError, match="are there; mixup verify names all"):
        report(out)


@pytest.mark.skipif(not shutil.which(AS_ORDINARY_USER[0]), reason="root needs setpriv to be refused anything")
@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_that_takes_no_file_is_refused_before_any_work(uneven):
    """As an ordinary user, even where the tests run as root, who may do everything."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        shutil.copytree(uneven, root / "run")
        shutil.copytree(uneven.parent / "in", root / "in")
        (root / "closed").mkdir()
        (root / "closed/f.png").write_bytes(b"mine")
        (root / "closed/f.png").chmod(0o666)
        for path in ("run", "closed"):
            (root / path).chmod(0o555)
        try:
            for command in (["report", "run"], ["augment", "in", "run", "--overwrite", "--report"],
                            ["preview", "in", "-o", "closed/f.png"], ["report", "run", "-o", "closed/p.html"]):
                result = subprocess.run([*AS_ORDINARY_USER, *command], capture_output=True, cwd=root)
                assert result.returncode == 2 and b"no permission to write" in result.stderr, result.stderr
        finally:
            for path in ("run", "closed"):
                (root / path).chmod(0o755)
        assert (root / "closed/f.png").read_bytes() == b"mine"


def test_a_page_is_replaced_whole_and_keeps_its_permissions(tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(b"old")
    page.chmod(0o600)
    with pytest.raises(TypeError):
        replace_file(page, "no bytes: writing fails when the new file is already open")
    assert page.read_bytes() == b"old" and os.listdir(tmp_path) == ["page.html"]
    replace_file(page, b"new")
    assert page.read_bytes() == b"new"
    if os.name != "nt":
        assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_names_are_text_and_never_markup(page):
    assert page.tags["script"] == 0 and page.tags["b"] == 10  # the page's own, one for each sample
    for name in HOSTILE:
        seen = name.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
        assert seen in page.of_id["mass"], name
    assert "bad <i>.png" in page.of_id["rejects"] and "not a JPEG" in page.of_id["rejects"]
    assert "\u202e" not in page.text and "\x1b" not in page.text


def test_a_page_by_itself(out, page):
    """Nothing is loaded from anywhere, ids are unique, every picture has a text."""
    for tag, attributes in page.attributes:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:", "#")), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    ids = [a["id"] for _, a in page.attributes if "id" in a]
    assert len(ids) == len(set(ids))
    charts = [a for tag, a in page.attributes if tag == "svg"]
    assert len(charts) == 3
    for chart in charts:
        title, text = chart["aria-labelledby"].split()
        assert chart["role"] == "img" and page.of_id[title].strip() and page.of_id[text].strip()
    html = report(out).decode()
    assert "http-equiv=\"Content-Security-Policy\"" in html and "default-src 'none'" in html
    assert not re.search(r"url\((?!#)", html)
    assert not re.search("#0[0-9a-f]{5}\\b", html.partition("</style>")[2])  # only the page's colours


def test_the_same_run_gives_the_same_page(out, tmp_path):
    shutil.copytree(out, tmp_path / "elsewhere")
    assert report(out) == report(tmp_path / "elsewhere")


REPEATED = [
    Options(),
    Options(PlanOptions(alpha=(0.2, 1.0), count=30, seed=7, pair="different", balance=True,
                        label_policy="remix", kappa=2.5, tau=0.25, include_originals=True),
            Canvas((10, 12), "contain", "RGB16", (1, 2, 3), 1_234_567, "full"), "sparse",
            ReadOptions(exclude=("Größe", "x--"), include=("Größe", "x--", "a b", "'c'", "$d")), "small"),
    Options(PlanOptions(lam=0.25, copies=2), layout="classes"),
    Options(PlanOptions(alpha=1.0, min_mix=0.2, max_mix=0.4), format="webdataset"),
]


@pytest.mark.slow
@pytest.mark.parametrize("options", REPEATED)
def test_the_command_on_the_page_repeats_the_run(tmp_path, options):
    source = write_dataset(tmp_path / "in", ("Größe", "x--", "a b", "'c'", "$d"), 6)
    (source / "classes").write_text("$d\n'c'\na b\nGröße\nx--\n")
    if options.read.include:
        options = Options(options.plan, options.canvas, options.label_format,
                          ReadOptions(include=options.read.include, exclude=options.read.exclude,
                                      classes=str(source / "classes")), options.compression, options.format)
    augment(source, tmp_path / "out", options, jobs=0)
    check_repeated(tmp_path, {"IN": source, "CLASSES": source / "classes"})


def test_every_option_of_a_record_is_repeated_in_a_test():
    """Whoever adds an option adds it to a run above, or below if it is one of a table's."""
    tabular = {"file_column", "label_column", "label_delimiter", "reader", "class_list", "split",
               "from0", "allow_empty", "follow_symlinks"}
    default = options_record("folder", Options())
    changed = {name for options in REPEATED for name, value in options_record("folder", options).items()
               if value != default[name]}
    assert changed | tabular == set(default)


def test_every_way_to_read_is_in_a_record():
    """By its own name, but for those that a record has by another one: paths are not in it."""
    otherwise = {"labels": "reader", "files_from": "reader", "classes": "class_list",
                 "include": "include_class", "exclude": "exclude_class"}
    names = {field.name for field in fields(ReadOptions)}
    assert {otherwise.get(name, name) for name in names} <= set(options_record("folder", Options()))


def check_repeated(tmp_path, places):
    command = shlex.split(Page(report(tmp_path / "out")).of_id["command"])
    places = {"OUT": tmp_path / "again", **places}
    command = [str(places.get(word, word)) for word in command]
    assert command[0] == "mixup"
    result = run_without([], *command[1:], "--jobs", "0")
    assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "again") == tree(tmp_path / "out")


@pytest.mark.slow
def test_a_run_from_a_table_and_one_from_a_plan_are_repeated(tmp_path):
    source = write_dataset(tmp_path / "in")
    rows = [f"{k}/{i}.png;{k}+bird\n" for k in ("cat", "dog") for i in range(4)]
    (tmp_path / "labels.csv").write_text("where;what\n" + "".join(rows))
    read = ReadOptions(labels=str(tmp_path / "labels.csv"), file_column="where", label_column="what",
                       label_delimiter="+")
    augment(source, tmp_path / "out", Options(read=read), jobs=0)
    check_repeated(tmp_path, {"IN": source, "LABELS": tmp_path / "labels.csv"})
    (tmp_path / "out").rename(tmp_path / "first")
    shutil.rmtree(tmp_path / "again")
    plan = tmp_path / "first/metadata.csv"
    options = Options(str(plan), Canvas((5, 5)), read=read)
    augment(source, tmp_path / "out", options, jobs=0)
    assert "METADATA" in command_line(read_record(tmp_path / "out"))
    plan = tmp_path / "out/metadata.csv"
    check_repeated(tmp_path, {"IN": source, "LABELS": tmp_path / "labels.csv", "METADATA": plan})


@pytest.mark.slow
def test_a_split_an_empty_class_and_links_are_repeated(tmp_path):
    source = write_dataset(tmp_path / "in/train")
    write_dataset(tmp_path / "in/val")
    (tmp_path / "outside.png").write_bytes((source / "cat/0.png").read_bytes())
    (source / "cat/link.png").symlink_to(tmp_path / "outside.png")
    (source / "empty").mkdir()
    read = ReadOptions(split="train", allow_empty=True, follow_symlinks=True)
    augment(tmp_path / "in", tmp_path / "out", Options(read=read), jobs=0)
    check_repeated(tmp_path, {"IN": tmp_path / "in"})


@pytest.mark.slow
@pytest.mark.parametrize("end", ["\n", "\0"])
def test_a_list_of_files_is_repeated(tmp_path, end):
    source = write_dataset(tmp_path / "in")
    (tmp_path / "list").write_text(end.join(("cat/1.png", "dog/2.png", "dog/0.png", "")))
    read = ReadOptions(files_from=str(tmp_path / "list"), from0=end == "\0")
    augment(source, tmp_path / "out", Options(read=read), jobs=0)
    check_repeated(tmp_path, {"IN": source, "LIST": tmp_path / "list"})


def test_many_classes_are_grouped(tmp_path):
    source = write_dataset(tmp_path / "in", [f"class {k:03d}" for k in range(103)], 2, size=(2, 2))
    augment(source, tmp_path / "out", Options(PlanOptions(copies=4)), jobs=0)
    facts = read_facts(tmp_path / "out")
    assert facts.pairs.shape == (40, 40) and facts.groups[0] == "class 000 … class 001"
    rows = read_csv(tmp_path / "out/metadata.csv")
    first = sum(row["label_a"] in ("class 000", "class 001") for row in rows)
    assert facts.pairs.sum() == len(rows) and facts.pairs[0].sum() == first
    page = Page(report(tmp_path / "out"))
    assert page.of_id["mass"].count("class ") == 103 and "40 groups" in page.text


def test_what_has_nothing_to_chart(tmp_path):
    """alpha = 0, a fixed lam, and two sources."""
    source = write_dataset(tmp_path / "in", ("one",), 2)
    for number, plan in enumerate((PlanOptions(alpha=0), PlanOptions(lam=0.5))):
        augment(source, tmp_path / str(number), Options(plan), jobs=0)
        page = Page(report(tmp_path / str(number)))
        assert page.tags["img"] == 1 and page.tags["svg"] == 3


@pytest.mark.slow
def test_augment_writes_it_and_overwrite_replaces_it(tmp_path):
    source, out = write_dataset(tmp_path / "in"), tmp_path / "out"
    assert run_without([], "augment", source, out, "--report", "--quiet").returncode == 0
    assert (out / "report.html").read_bytes() == report(out)
    assert verify(out, source, jobs=0)["problems"] == []
    (out / "report.html").unlink()
    assert run_without([], "augment", source, out, "--report", "--resume").returncode == 0
    assert (out / "report.html").exists()
    assert run_without([], "augment", source, out, "--overwrite", "--copies", "2").returncode == 0
    assert not (out / "report.html").exists()  # it spoke of the run that was replaced
    result = run_without([], "report", out)
    assert result.returncode == 0 and (out / "report.html").read_bytes() == report(out)
    (out / "report.html").write_text("my own")
    assert run_without([], "augment", source, out, "--overwrite").returncode == 0
    assert (out / "report.html").read_text() == "my own"
    for command in (["augment", source, out, "--overwrite", "--report"], ["report", out]):
        result = run_without([], *command)
        assert result.returncode == 2 and b"not a report of mixup" in result.stderr
    assert (out / "report.html").read_text() == "my own"


@pytest.mark.slow
def test_a_run_with_rejects_has_a_report_and_its_exit_code(tmp_path):
    source = write_dataset(tmp_path / "in")
    (source / "cat/bad.png").write_bytes(b"no image")
    assert run_without([], "augment", source, tmp_path / "out", "--report").returncode == 3
    assert "cat/bad.png" in Page((tmp_path / "out/report.html").read_bytes()).of_id["rejects"]


@pytest.mark.slow
def test_render_writes_it_and_a_part_cannot(tmp_path):
    source, out = write_dataset(tmp_path / "in"), tmp_path / "out"
    (tmp_path / "plan.csv").write_text("source_a,source_b,lam\ncat/0.png,dog/1.png,0.25\n")
    result = run_without([], "render", source, tmp_path / "plan.csv", out, "--report")
    assert result.returncode == 0 and "as the plan gave it" in Page(report(out)).text
    result = run_without([], "augment", source, tmp_path / "parts", "--part", "1/2", "--report")
    assert result.returncode == 2 and not (tmp_path / "parts").exists()


@pytest.mark.parametrize("missing", ["matplotlib", pytest.param("jinja2", marks=pytest.mark.slow)])
def test_without_the_extra_it_says_what_to_install(tmp_path, out, missing):
    source = write_dataset(tmp_path / "in")
    for command in (
        ["report", out, "-o", tmp_path / "page.html"],
        ["augment", source, tmp_path / "out", "--report"],
    ):
        result = run_without([missing], *command)
        assert result.returncode == 2 and b"pip install 'mixup-cli[report]'" in result.stderr
        assert missing.encode() in result.stderr
    assert os.listdir(tmp_path) == ["in"]  # refused before any work
    assert run_without([missing], "augment", source, tmp_path / "out").returncode == 0


@pytest.mark.slow
def test_a_page_on_stdout_and_wrong_usage(out, tmp_path):
    result = run_without([], "report", out, "-o", "-")
    assert result.returncode == 0 and result.stdout == report(out)
    for arguments in (["no"], [out, "-o", "page.png"], [out, "-o", "no/page.html"], []):
        result = run_without([], "report", *arguments, cwd=tmp_path)
        assert result.returncode == 2 and b"Error: " in result.stderr


@pytest.mark.parametrize("damage", ["metadata.csv", "labels.csv", "rejects.csv", "mixup.json", "image"])
def test_a_damaged_output_has_no_report(out, tmp_path, damage):
    shutil.copytree(out, tmp_path / "out")
    if damage == "image":
        shutil.rmtree(tmp_path / "out/images/00000")
    else:
        with open(tmp_path / "out" / damage, "a") as file:
            file.write("x\n")
    with pytest.raises(InputError, match="damaged" if damage == "mixup.json" else "mixup verify"):
        write_report(tmp_path / "out")


def write_large_output(out, num_rows, num_classes):
    """An output as a run of that many rows leaves it; the images of a shard are one file, linked."""
    names = [f"n{k:08d} <b>class</b> & {k}" for k in range(num_classes)]
    label = np.arange(num_rows, dtype=np.int32) * num_classes // num_rows
    sources = [f"{names[k]}/{i:08d}.JPEG" for i, k in enumerate(label.tolist())]
    dataset = hard_dataset(out.parent, sources, names, label, reader="folder")
    plan = make_plan(dataset.class_of(), PlanOptions(), dataset.classes)
    store = Store(out)
    with store:
        store.begin({}, iter(()))
        for shard in range(plan.num_shards):
            folder = out / "images" / plan.folder(shard)
            folder.mkdir()
            files = [os.fspath(folder / plan.file(row)) for row in plan.rows(shard)]
            with open(files[0], "wb") as file:
                file.write(encode_pngs(noise(224, 224, 3, seed=shard)[None])[0])
            for name in files[1:]:
                os.link(files[0], name)
        rejects = {f"{name}/bad.JPEG": "empty file (0 bytes)" for name in names}
        _finish(dataset, plan, store, Options(), rejects, np.ones(num_rows, bool))


@pytest.mark.slow
def test_a_million_rows(tmp_path):
    """1,000 classes and 1.28 million rows: a page under 5 MB, within a minute and 1 GB."""
    write_large_output(tmp_path / "out", 1_281_167, 1000)
    start = time.monotonic()
    command = ["mixup_cli", "report", tmp_path / "out", "-o", tmp_path / "page.html"]
    result, peak = run_measured(sys.executable, "-m", *command)
    seconds = time.monotonic() - start
    assert result.returncode == 0, result.stderr
    data = (tmp_path / "page.html").read_bytes()
    print(f"{seconds:.1f} s, {peak / 1e6:.0f} MB, page {len(data) / 1e6:.2f} MB")
    page = Page(data)
    assert len(data) < 5e6 and seconds < 60 and peak < 1e9
    assert page.values["outputs"] == "1281167" and page.values["classes"] == "1000"
    assert page.of_id["mass"].count("<b>class</b>") == 1000 and page.tags["b"] == 10
    assert json.loads((tmp_path / "out/mixup.json").read_bytes())["counts"]["rejected"] == 1000
    assert "rejects.csv has them all" in page.text
