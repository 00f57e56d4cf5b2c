"""Files that are not what they seem: a right picture, or a row in rejects.csv with the reason.

Never a traceback, a hang, a warning on the console, or memory beyond a stated bound.
"""

import io
import os
import random
import re
import socket
import stat
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers import noise, read_csv, run_measured, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.codec import decode
from mixup_cli.dataset import ReadOptions, read_dataset
from mixup_cli.errors import SourceError
from mixup_cli.render import read_source

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="POSIX files, /proc for the memory")

# What a worker may take with the default --max-pixels, beyond numpy and Pillow themselves.
MEMORY = 300_000_000
LINES = re.compile(  # all that a run may say on stderr
    r"Skipped: .*|Wrote .*|Label mass.*|Advice: .*|[\d.]+% of the outputs .*|.* rejected, named in .*|[\d,]+ of [\d,]+ images, .*"
)


def png(width, height, rows=b"", depth=8, colour=0, extra=b""):
    """A PNG of any header and any data, with right checksums."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text_bomb():
    """A compressed comment of 256 MB."""
    data = b"Comment\0\0" + zlib.compress(bytes(1 << 28), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    return png(2, 1, b"\0\1\2", extra=chunk + struct.pack(">I", zlib.crc32(b"zTXt" + data)))


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def webp_of_size(width, height):
    """A lossless WebP whose header claims another size."""
    data = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", lossless=True))
    at = data.index(b"\x2f")  # the signature of VP8L, then 14 bits each of width - 1, height - 1
    alpha = data[at + 4] & 0xF0
    data[at + 1 : at + 5] = struct.pack("<I", (width - 1) | (height - 1) << 14 | alpha << 24)
    return bytes(data)


def tiff_bomb():
    return saved(Image.new("1", (30_000, 30_000)), "TIFF", compression="group4")


PHOTO = Image.fromarray(noise(40, 50, 3))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run showpage\n%%EOF\n"
# name -> (bytes, the reason it is rejected for)
REJECTED = {
    "empty.png": (b"", "empty file"),
    "svg.png": (SVG, "not a JPEG, PNG"),
    "eps.png": (EPS, "not a JPEG, PNG"),
    "html.jpg": (b"<!doctype html><title>404 Not Found</title>", "not a JPEG, PNG"),
    "gif.png": (saved(PHOTO, "GIF"), "not a JPEG, PNG"),
    "0x0.png": (png(0, 0), "."),
    "0x5.png": (png(0, 5), "."),
    "0x0.ppm": (b"P6 0 0 255\n", "."),
    "short-ihdr.png": (b"\x89PNG\r\n\x1a\n\0\0\0\1IHDR\1" + struct.pack(">I", zlib.crc32(b"IHDR\1")), "."),
    "no-idat.png": (png(3, 3).replace(b"IDAT", b"IDAS"), "."),
    "few-rows.png": (png(30, 30, b"\0" * 31), "."),
    "bomb.png": (png(30_000, 30_000, bytes(30_000 * 3_751), depth=1), "30000x30000 is over 100 mega|over 100"),
    "huge.png": (png(0x7FFFFFFF, 0x7FFFFFFF), "over 100 megapixels"),
    "bomb.webp": (webp_of_size(16383, 16383), "over 100 megapixels"),
    "bomb.tif": (tiff_bomb(), "over 100 megapixels"),
    "bomb.bmp": (saved(PHOTO, "BMP")[:18] + struct.pack("<2i", 30_000, 30_000) + saved(PHOTO, "BMP")[26:], "over 100 mega"),
    "bomb.ppm": (b"P6 30000 30000 255\n", "over 100 megapixels"),
    "bomb.jpg": (saved(PHOTO, "JPEG").replace(b"\x08\0\x28\0\x32", b"\x08\xff\xdc\xff\xdc"), "over 100"),
    "digits.ppm": (b"P6 " + b"9" * 5000 + b" 1 255\n", "."),
    "words.pgm": (b"P5 one two 255\n", "."),
    "float.tif": (saved(Image.new("F", (3, 3), 0.5), "TIFF"), "floating-point"),
    "32-bit.tif": (saved(Image.new("I", (3, 3), 70_000), "TIFF"), "32-bit"),
    "trailing-garbage-only.jpg": (b"\xff\xd8\xff\xe0" + bytes(1000), "."),
}


def pages(format, **options):
    """Three pictures in one file, the first of them PHOTO."""
    others = [Image.fromarray(noise(40, 50, 3, seed=s)) for s in (8, 9)]
    return saved(PHOTO, format, save_all=True, append_images=others, **options)


def ycck():
    """A CMYK JPEG whose Adobe marker says YCCK, as Photoshop writes; its pixels by ITU-R 601."""
    data = saved(Image.fromarray(noise(24, 32, 4)[::8, ::8].repeat(8, 0).repeat(8, 1), "CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        y, cb, cr, k = np.moveaxis(255.0 - np.asarray(image), 2, 0)  # as stored: Adobe inverts
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    stored = np.stack([
        255 - (y + 1.402 * (cr - 128)),
        255 - (y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)),
        255 - (y + 1.772 * (cb - 128)),
        k,
    ], axis=2)
    cmyk = 255 - np.clip(stored, 0, 255)
    rgb = (255 - cmyk[..., :3]) * (255 - cmyk[..., 3:]) / 255
    return data[:at] + b"\2" + data[at + 1 :], rgb


def rgb(image):
    return np.asarray(image.convert("RGB")).astype(float)


WIDE = Image.fromarray(noise(2, 65_500, 3))
# name -> (bytes, the pixels (H, W, 3) it holds); lossy ones may be off by a few levels.
RIGHT = {
    "1x1.png": (saved(PHOTO.crop((0, 0, 1, 1)), "PNG"), rgb(PHOTO)[:1, :1]),
    "really-png.jpg": (saved(PHOTO, "PNG"), rgb(PHOTO)),
    "really-webp.png": (saved(PHOTO, "WEBP", lossless=True), rgb(PHOTO)),
    "wide.png": (saved(WIDE, "PNG"), rgb(WIDE)),
    "tall.png": (saved(WIDE.transpose(Image.Transpose.ROTATE_90), "PNG"), np.rot90(rgb(WIDE))),
    "animated.png": (pages("PNG"), rgb(PHOTO)),
    "animated.webp": (pages("WEBP", lossless=True), rgb(PHOTO)),
    "pages.tif": (pages("TIFF"), rgb(PHOTO)),
    "pages-lzw.tif": (pages("TIFF", compression="tiff_lzw"), rgb(PHOTO)),
    "ycck.jpg": ycck(),
    "trailing-garbage.png": (saved(PHOTO, "PNG") + b"PK\3\4" * 99, rgb(PHOTO)),
    "photo.bmp": (saved(PHOTO, "BMP"), rgb(PHOTO)),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Every hostile file in one class, 30 sound ones in another."""
    root = tmp_path_factory.mktemp("zoo")
    write_dataset(root, classes=("sound",), per_class=30)
    (root / "odd").mkdir()
    for name, (data, _) in {**REJECTED, **RIGHT}.items():
        (root / "odd" / name).write_bytes(data)
    return root


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_with_the_reason(name):
    data, reason = REJECTED[name]
    with pytest.raises(SourceError, match=reason) as caught:
        decode(data)
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RIGHT)
def test_decoded_right(name):
    data, expected = RIGHT[name]
    pixels = decode(data).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= (2 if name == "ycck.jpg" else 0)


def run(*arguments, memory=None, **options):
    """The command as a real process, each warning an error, and the peak of its memory checked."""
    command = [sys.executable, "-W", "error", "-m", "mixup_cli", *arguments]
    result, peak = run_measured(*command, **options)
    assert memory is None or peak < memory, f"{peak:,}"
    return result


def assert_quiet(result):
    strange = [line for line in result.stderr.splitlines() if not LINES.fullmatch(line)]
    assert not strange, strange


@pytest.mark.parametrize("jobs", [0, 2])
def test_a_run_over_all_of_them(zoo, tmp_path, jobs):
    result = run("augment", zoo, tmp_path / "out", "--size", "16", "--copies", "2", "--jobs", jobs, memory=MEMORY)
    assert result.returncode == 3
    assert_quiet(result)
    rejects = {row["source"]: row["reason"] for row in read_csv(tmp_path / "out/rejects.csv")}
    assert rejects.keys() == {f"odd/{name}" for name in REJECTED}
    used = {row[k] for row in read_csv(tmp_path / "out/metadata.csv") for k in ("source_a", "source_b")}
    assert used.isdisjoint(rejects) and {f"odd/{name}" for name in RIGHT} <= used


def test_inspect_finds_the_same(zoo):
    result = run("inspect", zoo, memory=MEMORY)
    assert (result.returncode, result.stderr) == (3, "")
    assert f"{len(REJECTED)} cannot be used:" in result.stdout


def test_a_comment_that_is_a_bomb_takes_no_memory(tmp_path):
    write_dataset(tmp_path / "in")
    (tmp_path / "in/cat/bomb.png").write_bytes(text_bomb())
    result = run("augment", tmp_path / "in", tmp_path / "out", memory=150_000_000)
    assert result.returncode in (0, 3)
    assert_quiet(result)


def test_max_pixels(tmp_path):
    write_dataset(tmp_path / "in", size=(100, 100))
    write_dataset(tmp_path / "in/small", classes=("a",), size=(10, 10))
    result = run("augment", tmp_path / "in", tmp_path / "out", "--max-pixels", "0.005")
    assert result.returncode == 3
    rejects = read_csv(tmp_path / "out/rejects.csv")
    assert len(rejects) == 8
    assert rejects[0]["reason"] == "100x100 is over 0.005 megapixels; allow more by --max-pixels"


@pytest.mark.slow
@pytest.mark.parametrize("size", [[], ["--size", "32"]])
@pytest.mark.parametrize("name, mode", [("a.png", "RGBA"), ("a.jpg", "CMYK"), ("a.webp", "RGB"), ("a.tif", "RGB")])
def test_memory_at_the_cap(tmp_path, name, mode, size):
    """What README states: 130 MB and 30 bytes for each pixel of the largest image allowed."""
    for k in range(4):
        path = tmp_path / f"in/{k % 2}/{k}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (4000, 2500), (k, 90, 200, 100)[: len(mode)]).save(path)
    result = run(
        "augment", tmp_path / "in", tmp_path / "out", "--max-pixels", "10", "--jobs", "0", *size,
        memory=130_000_000 + 30 * 10_000_000,
    )
    assert result.returncode == 0 and len(read_csv(tmp_path / "out/labels.csv")) == 4


@pytest.mark.parametrize("format, options", [
    ("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("BMP", {}),
    ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("PPM", {}),
])
def test_truncated_and_flipped(format, options):
    """Truncated at every tenth: always rejected. 300 files with a few bytes flipped: rejected, or
    pixels; a PNG, which has checksums, never wrong ones."""
    data = saved(PHOTO, format, **options)
    for tenth in range(10):
        with pytest.raises(SourceError):
            decode(data[: len(data) * tenth // 10])
    whole, rng = decode(data).pixels, random.Random(5)
    for _ in range(300):
        flipped = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            pixels = decode(bytes(flipped), 1_000_000).pixels
        except SourceError as e:
            assert str(e) and "\n" not in str(e)
        else:
            assert pixels.ndim == 3 and pixels.dtype in (np.uint8, np.uint16)
            assert format != "PNG" or np.array_equal(pixels, whole)


@pytest.fixture
def odd_files(tmp_path):
    """FIFOs, sockets, links and strange names among sound images; root, expected reasons, names."""
    root = write_dataset(tmp_path / "in", classes=("cat", "dog"), per_class=8)
    cat = root / "cat"
    image = (cat / "0.png").read_bytes()
    outside = write_dataset(tmp_path / "outside", classes=("secret",))
    os.mkfifo(cat / "fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(cat)
        server.bind("socket.png")
        os.chdir(here)
    (cat / "dangling.png").symlink_to("nowhere.png")
    (cat / "loop.png").symlink_to("loop.png")
    (cat / "folder-loop").symlink_to("..")
    (cat / "self").symlink_to(".")
    (cat / "leaves.png").symlink_to(outside / "secret/0.png")
    (cat / "folder-leaves").symlink_to(outside)
    (cat / "stays.png").symlink_to("1.png")
    names = ["-rf.png", "new\nline.png", "x" * 251 + ".png", "größe.png", "a b,c\"d.png", "=1+1.png"]
    for name in names:
        (cat / name).write_bytes(image)
    (cat / "folder.png").mkdir()
    (cat / "folder.png/inside.png").write_bytes(image)
    expected = {
        "cat/fifo.png": "not a regular file",
        "cat/socket.png": "not a regular file",
        "cat/dangling.png": "a dangling symbolic link",
        "cat/loop.png": "cannot be followed: Too many levels of symbolic links",
        "cat/folder-loop": "a symbolic link to a folder above itself",
        "cat/self": "a symbolic link to a folder above itself",
        "cat/leaves.png": "leaves the input folder; allow it by --follow-symlinks",
        "cat/folder-leaves": "leaves the input folder; allow it by --follow-symlinks",
    }
    try:
        with open(os.fsencode(cat) + b"/latin-\xe4.png", "wb") as file:
            file.write(image)
        expected["cat/latin-\\xe4.png"] = "file name is not UTF-8; rename the file"
    except OSError:
        pass  # a file system that takes UTF-8 alone
    try:
        os.mknod(cat / "device.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero never ends
        expected["cat/device.png"] = "not a regular file"
    except OSError:
        pass  # an ordinary user may not
    sound = {f"cat/{name}" for name in [*names, "stays.png", "folder.png/inside.png"]}
    return root, expected, sound


def test_odd_files(odd_files, tmp_path):
    root, expected, sound = odd_files
    result = run("augment", root, tmp_path / "out", memory=MEMORY)
    assert result.returncode == 3
    assert_quiet(result)
    rejects = {row["source"]: row["reason"] for row in read_csv(tmp_path / "out/rejects.csv")}
    assert rejects.keys() == expected.keys()
    for source, reason in expected.items():
        assert reason in rejects[source]
    used = {row["source_a"] for row in read_csv(tmp_path / "out/metadata.csv")}
    assert used == sound | {f"{k}/{i}.png" for k in ("cat", "dog") for i in range(8)}


def test_following_links_that_leave(odd_files, tmp_path):
    root, expected, _ = odd_files
    dataset = read_dataset(root, ReadOptions(follow_symlinks=True))
    assert {"cat/leaves.png", "cat/folder-leaves/secret/0.png"} <= set(dataset.sources)
    left = {source for source in expected if "leaves" not in source}
    assert dataset.unusable.keys() == left


def test_a_class_folder_that_is_a_link(tmp_path):
    write_dataset(tmp_path / "outside", classes=("secret",))
    root = write_dataset(tmp_path / "in")
    (root / "bird").symlink_to(tmp_path / "outside/secret")
    dataset = read_dataset(root)
    assert dataset.classes == ("cat", "dog") and list(dataset.unusable) == ["bird"]
    assert read_dataset(root, ReadOptions(follow_symlinks=True)).classes == ("bird", "cat", "dog")


def test_reading_a_fifo_or_a_huge_file_does_not_wait(tmp_path):
    """Between the listing and the reading a file may become anything."""
    os.mkfifo(tmp_path / "fifo.png")
    with pytest.raises(SourceError, match="not a regular file"):
        read_source(tmp_path / "fifo.png", 1000)
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SourceError, match="1,099,511,627,776 bytes are more than an image may have"):
        read_source(tmp_path / "sparse.png", 1000)


def test_a_file_that_vanishes_between_the_listing_and_the_reading(tmp_path):
    root = write_dataset(tmp_path / "in", per_class=60)
    gone = []

    def remove(done, total):
        if not gone and done:
            used = {row.name for row in (tmp_path / "out/images").iterdir()}
            assert used == {"00000"}
            for path in sorted(root.rglob("*.png")):
                gone.append(path.relative_to(root).as_posix())
                path.unlink()

    record = augment(root, tmp_path / "out", jobs=0, progress=remove)
    rejects = read_csv(tmp_path / "out/rejects.csv")
    assert {row["reason"] for row in rejects} == {"cannot be read: No such file or directory"}
    assert len(rejects) + record["counts"]["outputs"] == 120


@pytest.mark.parametrize("name, reason", [
    ("=cmd|'C calc'!A0", "would run as a formula"), ("@SUM(A1)", "formula"), ("+x", "formula"), ("-x", "formula"),
    ("two\nlines", "line break"), ("return\r", "line break"), ("ends\n", "line break"), ("paragraph\u2029", "line break"),
    ("a\tb", "a tab"), ("\ta", "a tab"), (" ", "empty"), ("file_name", "clash"), (b"latin-\xe4", "not UTF-8"),
])
def test_a_class_name_that_would_fool_a_spreadsheet_is_refused(tmp_path, name, reason):
    root = write_dataset(tmp_path / "in")
    os.rename(root / "cat", os.path.join(os.fsencode(root), os.fsencode(name)))
    result = run("augment", root, tmp_path / "out")
    assert result.returncode == 2 and not (tmp_path / "out").exists()
    assert result.stderr.count("\n") == 1 and reason in result.stderr and "rename it" in result.stderr


@pytest.mark.parametrize("name", ["-1", "+1.5", "007", "NA", "a=b", "größe", "a b", "'"])
def test_sound_class_names_are_taken(tmp_path, name):
    root = write_dataset(tmp_path / "in")
    os.rename(root / "cat", root / name)
    assert name in read_dataset(root).classes


def mutate(data, rng):
    """One of the ways in which files go bad."""
    data = bytearray(data)
    kind = rng.randrange(6)
    at = rng.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        for _ in range(rng.choice([1, 2, 8, 64])):
            data[rng.randrange(len(data))] = rng.randrange(256)
    if kind == 2:  # a block that was never written
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    if kind == 3:  # the lengths and sizes that headers hold
        head = rng.randrange(min(len(data), 128))
        data[head : head + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\1\0\0\0"])
    if kind == 4:
        data[at:at] = rng.randbytes(rng.randint(1, 64))
    if kind == 5:
        end = at + rng.randint(1, 256)
        data[at:at] = data[at:end]
    return data


@pytest.mark.slow
def test_20_000_mutated_files(tmp_path):
    rng = random.Random(20_000)
    colour, grey = Image.fromarray(noise(40, 48, 3)).resize((96, 80)), Image.fromarray(noise(33, 35, 1))
    seeds = {
        "a.png": saved(colour, "PNG"), "p.png": saved(colour.quantize(200), "PNG", transparency=3),
        "g16.png": saved(Image.fromarray(noise(30, 31, 1, dtype=np.uint16)), "PNG"),
        "i.png": saved(colour.convert("RGBA"), "PNG"), "1.png": saved(grey.convert("1"), "PNG"),
        "a.jpg": saved(colour, "JPEG"), "prog.jpg": saved(colour, "JPEG", progressive=True),
        "cmyk.jpg": saved(colour.convert("CMYK"), "JPEG"), "g.jpg": saved(grey, "JPEG"),
        "exif.jpg": saved(colour, "JPEG", exif=turned()), "a.webp": saved(colour, "WEBP"),
        "l.webp": saved(colour, "WEBP", lossless=True), "anim.webp": pages("WEBP"),
        "a.tif": saved(colour, "TIFF"), "lzw.tif": saved(colour, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": saved(colour, "TIFF", compression="jpeg"), "zip.tif": saved(grey, "TIFF", compression="tiff_deflate"),
        "g4.tif": saved(grey.convert("1"), "TIFF", compression="group4"), "pages.tif": pages("TIFF"),
        "a.bmp": saved(colour, "BMP"), "p.bmp": saved(colour.quantize(9), "BMP"),
        "a.ppm": saved(colour, "PPM"), "g.pgm": saved(grey, "PPM"), "apng.png": pages("PNG"),
    }
    names = sorted(seeds)
    for i in range(20_000):
        name = names[i % len(names)]
        path = tmp_path / f"in/{i % 20:02}/{i:05}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mutate(seeds[name], rng))
    result = run(
        "augment", tmp_path / "in", tmp_path / "out", "--size", "32", "--jobs", "2", "--max-pixels", "10",
        memory=MEMORY,
    )
    assert result.returncode == 3, result.stderr
    assert_quiet(result)
    rejects = {row["source"]: row["reason"] for row in read_csv(tmp_path / "out/rejects.csv")}
    rows = read_csv(tmp_path / "out/metadata.csv")
    used = {row[k] for row in rows for k in ("source_a", "source_b")}
    assert used.isdisjoint(rejects)
    print(f"\n{len(rejects):,} of 20,000 mutated files rejected ({len(rejects) / 20_000:.0%})")
    assert 0.2 < len(rejects) / 20_000 < 0.9
    assert all(reason and "\n" not in reason for reason in rejects.values())
    # What was taken from a file with checksums is what was in it before.
    taken = [name for name in used if name.endswith("-a.png")]
    whole = decode(seeds["a.png"]).pixels
    assert taken
    for name in taken:
        assert np.array_equal(decode((tmp_path / "in" / name).read_bytes()).pixels, whole)


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_options_of_one_run(zoo, tmp_path):
    """--on-error skip says which, and exits 0."""
    result = run("augment", zoo, tmp_path / "out", "--size", "8", "--on-error", "skip")
    assert result.returncode == 0 and (tmp_path / "out/rejects.csv").exists()
    assert Options().canvas.max_pixels == 100_000_000
