"""Previews: the very pixels of a run, in a PNG and in a terminal, and nothing else opened."""

import io
import os
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageChops, features

from helpers import noise, read_csv, reference_output, run_without, write_dataset
from mixup_cli import draw, preview
from mixup_cli.cli import cli
from mixup_cli.run import augment
from mixup_cli.canvas import Canvas
from mixup_cli.dataset import ReadOptions
from mixup_cli.draw import FILL, LINE, Sheet, columns_of, fitting, visible
from mixup_cli.errors import InputError
from mixup_cli.plan import PlanOptions, make_plan
from mixup_cli.provenance import Options

LEFT, TOP = preview.GAP, 2 * preview.GAP + preview.TITLE  # of the first picture
GRID_TOP = TOP + preview.TITLE + preview.GAP  # below the names of both
HOSTILE = (
    "<script>", '"quo\'te" & $x^2$', "שלום", "مرحبا", "猫と犬", "evil\u202etxt", "😀", "Größe", "a" * 90,
)


@pytest.fixture
def pair(tmp_path):
    """Two photos' worth of noise, of unlike sizes and colours."""
    Image.fromarray(noise(64, 64, 3, seed=1)).save(tmp_path / "a.png")
    Image.fromarray(noise(80, 64, 1, seed=2)).save(tmp_path / "b.png")
    return tmp_path / "a.png", tmp_path / "b.png"


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_grid_is_blended_right(pair):
    """64 pixels are shown fourfold; each of the nine is the float64 blend, rounded."""
    shown = preview.grid(*pair, preview.TUTORIAL_LAMS, Canvas())
    sheet = picture(preview.png(shown))
    row_height = 256 + 4 + 2 * (preview.TEXT + 4) + preview.GAP
    for k, lam in enumerate(preview.TUTORIAL_LAMS):
        left, top = LEFT + k % 3 * (256 + preview.GAP), GRID_TOP + k // 3 * row_height
        cell = sheet[top : top + 256, left : left + 256]
        expected = reference_output(*pair, lam, size=(64, 64))
        for y, x in ((0, 0), (3, 3), (1, 2)):  # every pixel is four by four
            assert np.abs(cell[y::4, x::4] - expected).max() <= 0.5 + 1e-4
        assert shown.rows[k // 3].cells[k % 3].lines[0] == f"λ = {lam:g}"
        assert shown.rows[k // 3].cells[k % 3].lines[1] == f"{lam:g} a + {1 - lam:.1f} b"


def test_lam_of_ones_own(pair, tmp_path):
    out = tmp_path / "grid.png"
    result = run_without([], "preview", *pair, "--lam", "0,0.25,1", "--size", "32x64", "-o", out)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    sheet = picture(out.read_bytes())
    width = 192 + preview.GAP  # a column has room for its caption
    for k, lam in enumerate((0, 0.25, 1)):
        left = LEFT + k * width + (192 - 128) // 2
        cell = sheet[GRID_TOP : GRID_TOP + 256, left : left + 128]
        assert np.abs(cell[::4, ::4] - reference_output(*pair, lam, size=(32, 64))).max() <= 0.5 + 1e-4


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("sheet") / "in", HOSTILE, 130, size=(12, 9))


OPTIONS = Options(PlanOptions(alpha=1, copies=2, seed=4, include_originals=True), Canvas((16, 10)))


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("sheet") / "out"
    augment(source, out, OPTIONS, jobs=0)
    return out


def test_a_sheet_shows_what_augment_writes(source, run):
    """Row for row: the files, a and b as the run scaled them, the blend, the label."""
    shown = preview.contact_sheet(source, OPTIONS, 40)
    rows, labels = read_csv(run / "metadata.csv"), read_csv(run / "labels.csv")
    chosen = np.unique(np.linspace(0, len(rows) - 1, 40).round().astype(int))
    assert len(shown.rows) == 40 and len({row["file_name"][:12] for row in rows}) > 3  # several shards
    originals = 0
    for row, k in zip(shown.rows, chosen, strict=True):
        wanted, label = rows[k], dict(labels[k])
        assert f"images/{row.cells[-1].lines[-1]}" == label.pop("file_name") == wanted["file_name"]
        output = np.asarray(Image.open(run / wanted["file_name"]))
        assert np.array_equal(row.cells[-1].pixels[::10, ::10], output)
        assert dict(row.bars) == {name: float(w) for name, w in label.items() if float(w)}
        if wanted["source_a"] == wanted["source_b"]:
            originals += 1
            assert row.cells[0].lines[:2] == (wanted["source_a"], f"{wanted['label_a']}, as itself")
            continue
        assert row.cells[-1].lines[0] == f"λ = {wanted['lam']}"
        for cell, side in zip(row.cells[:2], "ab", strict=True):
            path = source / wanted[f"source_{side}"]
            assert cell.lines == (wanted[f"source_{side}"], wanted[f"label_{side}"])
            expected = reference_output(path, path, 1, size=(16, 10))
            assert np.abs(cell.pixels[::10, ::10] - expected).max() <= 0.5
    assert 0 < originals < 40


def test_bars_are_as_long_as_the_weights(source):
    shown = preview.contact_sheet(source, OPTIONS, 12)
    sheet, top = picture(preview.png(shown)), TOP
    left = LEFT + 3 * (160 + preview.GAP)
    for row in shown.rows:
        for k, (_, weight) in enumerate(row.bars):
            line = sheet[top + 2 * k * (preview.TEXT + 4) + preview.TEXT + 8, left:]
            filled, empty = ((line == colour).all(axis=1).sum() for colour in (FILL, LINE))
            assert abs(filled - weight * preview.BARS_WIDTH) <= 1
            assert filled + empty == preview.BARS_WIDTH
        top += preview._height(row) + preview.GAP


def test_only_the_images_of_the_rows_are_opened(tmp_path):
    """Of 3,000 files all but those that the rows need are no images at all."""
    class_of = np.arange(3000) % 3
    for k in range(3):
        (tmp_path / "in" / str(k)).mkdir(parents=True)
    files = sorted(f"{k}/{i:04d}.png" for i, k in enumerate(class_of))
    plan = make_plan(np.array([int(name[0]) for name in files]))
    chosen = np.linspace(0, 2999, 8).round().astype(int)
    needed = {*plan.source_a[chosen].tolist(), *plan.source_b[chosen].tolist()}
    for i, name in enumerate(files):
        if i in needed:
            Image.fromarray(noise(5, 6, 3, seed=i)).save(tmp_path / "in" / name)
        else:
            (tmp_path / "in" / name).write_bytes(b"no image")
    shown = preview.contact_sheet(tmp_path / "in", Options(), 8)
    assert shown.rejects == {} and len(shown.rows) == 8


def test_an_image_that_cannot_be_used_is_named(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=3)
    (source / "cat/1.png").write_bytes(b"no image")
    result = run_without([], "preview", source, "-o", tmp_path / "sheet.png")
    assert result.returncode == 3 and b"cat/1.png: not a JPEG" in result.stderr
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size[0] > 600


def test_a_source_is_shown_though_its_partner_cannot_be_used(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=2)
    (source / "cat/1.png").write_bytes(b"no image")
    (tmp_path / "plan.csv").write_text(
        "source_a,source_b,lam\ncat/0.png,cat/1.png,0.3\ncat/1.png,dog/1.png,0.4\ncat/0.png,dog/0.png,0.5\n"
    )
    shown = preview.contact_sheet(source, Options(str(tmp_path / "plan.csv")), 3)
    there = [[cell.pixels is not None for cell in row.cells] for row in shown.rows]
    assert there == [[True, False, False], [False, True, False], [True, True, True]]
    assert [cell.missing for cell in shown.rows[0].cells[1:]] == ["cannot be used", "not written"]
    for row, column, name in ((0, 0, "cat/0.png"), (1, 1, "dog/1.png")):
        pixels = np.asarray(Image.open(source / name))
        assert np.array_equal(shown.rows[row].cells[column].pixels[::13, ::13], pixels)
    assert "1 of the 3 outputs of this plan, and 2 that would not be written" in shown.titles[0]
    assert list(shown.rejects) == ["cat/1.png"]
    preview.png(shown), list(preview.terminal(shown, 60))


def test_eight_labels_and_a_long_picture_are_shown_right(tmp_path):
    """The rest of the labels is summed up, and what is scaled down keeps its shape."""
    weights = [0.3, 0.2, 0.15, 0.12, 0.1, 0.06, 0.04, 0.03]
    Image.fromarray(noise(100, 400, 3)).save(tmp_path / "a.png")
    Image.fromarray(noise(9, 9, 3)).save(tmp_path / "b.png")
    names = [f"class {k}" for k in range(8)]
    (tmp_path / "labels.csv").write_text("".join(
        ",".join(map(str, row)) + "\n" for row in (["file", *names], ["a.png", *weights], ["b.png", *weights])
    ))
    (tmp_path / "plan.csv").write_text("source_a,source_b,lam\na.png,b.png,0.5\n")
    read = ReadOptions(labels=str(tmp_path / "labels.csv"))
    shown = preview.contact_sheet(tmp_path, Options(str(tmp_path / "plan.csv"), read=read), 1)
    (row,) = shown.rows
    assert [cell.pixels.shape for cell in row.cells] == [(40, 160, 3)] * 3
    assert np.abs(row.cells[0].pixels.mean() - noise(100, 400, 3).mean()) < 1
    assert row.bars == tuple(zip(names, weights, strict=True))
    bars = preview._most(row.bars)
    assert bars[:4] == row.bars[:4] and bars[4][0] == "4 more classes" and round(bars[4][1], 6) == 0.23
    grid = preview.grid(tmp_path / "a.png", tmp_path / "b.png", (0.5,), Canvas())
    assert grid.rows[0].cells[0].pixels.shape == (64, 256, 3)


def test_pngs_of_every_mode_can_be_shown(tmp_path):
    source = write_dataset(tmp_path / "in")
    for mode in ("L", "L16", "RGB", "RGB16", "RGBA"):
        shown = preview.contact_sheet(source, Options(canvas=Canvas(mode=mode)), 2)
        assert all(c.pixels.dtype == np.uint8 and c.pixels.shape[2] == 3 for c in shown.rows[0].cells)


def in_terminal(*arguments, columns=90):
    """Run mixup in a real pseudo-terminal: exit code, and what it printed."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    child, terminal = pty.fork()
    if child == 0:
        # readline, which pytest loads, sets COLUMNS behind Python's back.
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"}
        command = [sys.executable, "-W", "error", "-m", "mixup_cli", *map(str, arguments)]
        os.execve(sys.executable, command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    printed = b""
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not data:
            break
        printed += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed.decode()


COLOURED = re.compile("\033\\[38;2;(\\d+);(\\d+);(\\d+);48;2;(\\d+);(\\d+);(\\d+)m▀")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_half_blocks_in_a_terminal(pair):
    """The pixels, read back from the escape codes, are those of the blend scaled to the columns."""
    code, printed = in_terminal("preview", *pair, "--lam", "0.25", columns=120)
    assert code == 0 and "λ = 0.25" in printed and "0.25 a + 0.75 b" in printed
    lines = [COLOURED.findall(line) for line in printed.splitlines()]
    halves = np.array([line for line in lines if line], int).reshape(20, 40, 2, 3)
    pixels = halves.transpose(0, 2, 1, 3).reshape(40, 40, 3)
    expected = Image.fromarray(np.rint(reference_output(*pair, 0.25, size=(64, 64))).astype(np.uint8))
    expected = expected.resize((256, 256), Image.Resampling.NEAREST)
    difference = ImageChops.difference(
        Image.fromarray(pixels.astype(np.uint8)), expected.resize((40, 40), Image.Resampling.BILINEAR)
    )
    assert np.asarray(difference).max() <= 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_densities_in_a_terminal():
    code, printed = in_terminal("alpha", "1", columns=60)
    lines = [COLOURED.findall(line) for line in printed.splitlines()]
    lines = [line for line in lines if line]
    assert code == 0 and len(lines) == 20 and {len(line) for line in lines} == {60}
    pixels = np.array(lines, int).reshape(20, 60, 2, 3).transpose(0, 2, 1, 3).reshape(40, 60, 3)
    rows = np.flatnonzero((pixels != 255).any(axis=2).all(axis=1))
    assert abs(rows.mean() - 39 * (1 - 1 / 1.08)) < 1  # the flat density, 1, of 1.08 in all
    assert "▬" in printed and "half and half" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.slow
def test_a_sheet_in_a_terminal(source):
    code, printed = in_terminal("preview", source, "--rows", "12", "--size", "16x10", columns=70)
    plain = re.sub("\033\\[[0-9;]*m", "", printed)
    assert code == 0 and "λ = " in plain and "█" in plain
    assert "\033[38;2;" in printed and "\u202e" not in plain
    for line in plain.splitlines():
        assert columns_of(line) <= 70
    code, printed = in_terminal("preview", source, "-o", "-")
    assert code == 2 and "would fill the terminal" in printed


@pytest.mark.parametrize("columns", [1, 4, 18, 30])
def test_a_narrow_terminal_has_fewer_pictures_to_a_line(pair, source, columns):
    """Whatever the width, it ends, every picture is there, and no line is wider."""
    lams = tuple(k / 100 for k in range(100))
    for shown in (preview.grid(*pair, lams, Canvas((8, 8))), preview.contact_sheet(source, OPTIONS, 3)):
        lines = [re.sub("\033\\[[0-9;]*m", "", line) for line in preview.terminal(shown, columns)]
        assert max(map(columns_of, lines)) <= columns
        assert sum("▀" in line for line in lines) >= len([c for row in shown.rows for c in row.cells]) // 4
    assert preview.clipped("猫", 0) == "" and preview.clipped("猫猫", 1) == "…"


def test_without_a_terminal_a_file_is_asked_for(pair):
    result = run_without([], "preview", *pair)
    assert result.returncode == 2 and b"give -o FILE.png" in result.stderr and result.stdout == b""
    result = run_without(["matplotlib", "jinja2", "tqdm"], "preview", *pair, "-o", "-")
    assert result.returncode == 0 and picture(result.stdout).shape[1] == 4 * preview.GAP + 3 * 256


@pytest.mark.parametrize("arguments, words", [
    (["a.png"], "not a folder"),
    (["a.png", "no.png"], "no.png: cannot be read"),
    (["a.png", "b.png", "--alpha", "1"], "--alpha means nothing to two images"),
    (["a.png", "b.png", "--rows", "3"], "--rows means nothing to two images"),
    (["a.png", "b.png", "--lam", "0.5,1.2"], "0 to 1"),
    (["in", "--lam", "0.5,0.6"], "one fixed lam"),
    (["a.png", "b.png", "b.png"], "not 3 arguments"),
    ([], "not 0 arguments"),
])
@pytest.mark.slow
def test_wrong_usage(pair, tmp_path, arguments, words):
    write_dataset(tmp_path / "in")
    result = run_without([], "preview", *arguments, "-o", "new.png", cwd=tmp_path)
    assert result.returncode == 2 and words in result.stderr.decode(), result.stderr
    assert not (tmp_path / "new.png").exists()


@pytest.mark.slow
def test_no_input_is_written_over(pair, tmp_path):
    write_dataset(tmp_path / "in")
    for arguments in ((*pair, "-o", pair[0]), (tmp_path / "in", "-o", tmp_path / "in/cat/0.png")):
        before = arguments[-1].read_bytes()
        result = run_without([], "preview", *arguments)
        assert result.returncode == 2 and b"lies in the input" in result.stderr
        assert arguments[-1].read_bytes() == before


def test_no_source_is_written_over_wherever_it_lies(tmp_path):
    """A list, or a link, names sources outside of the input folder."""
    source = write_dataset(tmp_path / "in")
    listed = sorted(source.rglob("*.png"))
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in listed))
    (tmp_path / "outside.png").write_bytes(listed[0].read_bytes())
    (source / "cat/link.png").symlink_to(tmp_path / "outside.png")
    for arguments, out in (
        (["--files-from", tmp_path / "list"], listed[0]),
        ([source, "--follow-symlinks"], tmp_path / "outside.png"),
    ):
        before = out.read_bytes()
        result = CliRunner().invoke(cli, ["preview", *map(str, arguments), "-o", str(out)])
        assert result.exit_code == 2 and "is the source" in result.stderr, result.output
        assert out.read_bytes() == before


def test_every_character_can_be_seen_or_is_spelled():
    """No box for what no font has, no character that turns its neighbours around."""
    for text in HOSTILE:
        font, shown = fitting(text, 13)
        missing = bytes(font.getmask("\U0010ffff"))
        assert shown and all(c == " " or bytes(font.getmask(c)) != missing for c in shown)
    assert fitting("evil\u202etxt\x1b", 13)[1] == visible("evil\u202etxt\x1b") == "evil\\u202etxt\\x1b"
    assert fitting("Größe", 13)[1] in ("Größe", "Gr\\xf6\\xdfe")


def test_where_no_font_is_installed(monkeypatch):
    """Pillow's own font knows no Greek: what we write is spelled, names are escaped."""
    monkeypatch.setattr(draw, "FONTS", ("no such font.ttf",))
    monkeypatch.setattr(draw, "_matplotlib_font", lambda: ())
    draw._fonts.cache_clear()
    try:
        assert fitting("λ = 0.3", 13)[1] == "lam = 0.3"
        assert fitting("α → 0", 13)[1] == "alpha -> 0"
        assert fitting("שלום", 13)[1].startswith("\\u05e9")
    finally:
        draw._fonts.cache_clear()


def test_long_text_is_shortened_to_its_width():
    for width in (20, 60, 200):
        font, shown = fitting("a/very/long/path/of/a/file-0001.png", 13, width)
        assert font.getlength(shown) <= width and "…" in shown
    assert fitting("short", 13, 200)[1] == "short"


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow sets text from left to right alone (no Raqm)")
def test_a_name_from_right_to_left_does_not_turn_its_line_around():
    """What follows a Hebrew name stands to its right: here underscores."""
    sheet = Sheet(300, 40)
    sheet.text((5, 5), "שלום, ab____", 20)
    baseline = np.flatnonzero((sheet.pixels() < 200).all(axis=2).any(axis=1))[-1]
    under = np.flatnonzero((sheet.pixels()[baseline] < 200).all(axis=1))  # the line of underscores
    ink = np.flatnonzero((sheet.pixels() < 200).all(axis=2).any(axis=0))
    assert under[-1] == ink[-1] and under[0] > ink[0] + 50


def test_rectangles_are_exact():
    sheet = Sheet(10, 6)
    sheet.rectangle(2, 1, 5, 3, (1, 2, 3))
    sheet.rectangle(4, 4, 4, 5, (1, 2, 3))  # empty
    inside = (picture(sheet.png()) == (1, 2, 3)).all(axis=2)
    assert np.argwhere(inside).tolist() == [[y, x] for y in (1, 2) for x in (2, 3, 4)]


def test_a_grid_names_the_file_that_cannot_be_read(pair, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(InputError, match="bad.png: not a JPEG"):
        preview.grid(pair[0], tmp_path / "bad.png", (0.5,), Canvas())


@pytest.mark.skipif(os.name == "nt", reason="no such file names")
def test_a_file_name_with_a_line_break_and_two_long_ones(tmp_path):
    """Each has a line of the title to itself, so that neither hides the other."""
    source = write_dataset(tmp_path / "in", per_class=2)
    os.rename(source / "cat/0.png", source / "cat/x\ny.png")
    sheet = preview.contact_sheet(source, Options(), 4)
    assert any("x\ny.png" in line for row in sheet.rows for cell in row.cells for line in cell.lines)
    assert Image.open(io.BytesIO(preview.png(sheet))).width > 300
    long = [source / f"{'long' * 9}-{side}.png" for side in "ab"]
    for i, path in enumerate(long):
        os.rename(source / f"dog/{i}.png", path)
    grid = preview.grid(*long, (0.5,), Canvas())
    assert grid.titles == (f"a: {long[0].name}", f"b: {long[1].name}")
    head = 3 * preview.GAP + 2 * preview.TITLE
    both, one = (
        Image.open(io.BytesIO(preview.png(preview.grid(long[0], b, (0.5,), Canvas())))).crop((0, 0, 300, head))
        for b in (long[1], long[0])
    )
    top = ImageChops.difference(both, one).convert("L").getbbox()[1]
    assert top > preview.GAP + preview.TITLE  # the second line alone differs
