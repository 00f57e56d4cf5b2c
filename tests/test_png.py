"""Our PNGs, read back by every other reader at hand."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import noise
from mixup_cli import png
from mixup_cli.codec import holds
from mixup_cli.png import COMPRESSIONS, encode_pngs

KINDS = [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)]
SHAPES = st.one_of(
    st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.just(1), st.just(1), st.integers(1, 3000)),
    st.tuples(st.just(1), st.integers(1, 3000), st.just(1)),
)


def read_by_opencv(data):
    """(H, W, C) as the file has it; OpenCV's own order of colours is BGR."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=2) if pixels.shape[2] > 1 else pixels


@settings(max_examples=150, deadline=None)
@given(
    shape=SHAPES, kind=st.sampled_from(KINDS), compression=st.sampled_from(COMPRESSIONS),
    levels=st.sampled_from([2, 3, 256]), seed=st.integers(0, 999),
)
def test_opencv_and_pillow_read_what_was_written(shape, kind, compression, levels, seed):
    channels, dtype = kind
    top = np.iinfo(dtype).max
    steps = np.random.default_rng(seed).integers(0, levels, (*shape, channels))
    block = (steps * (top // (levels - 1))).astype(dtype)
    for image, data in zip(block, encode_pngs(block, compression), strict=True):
        np.testing.assert_array_equal(read_by_opencv(data), image)
        assert holds(data, image)
        if kind != (3, np.uint16):  # which Pillow reads at 8 bits
            with Image.open(io.BytesIO(data)) as read:
                assert not read.info
                np.testing.assert_array_equal(np.asarray(read).reshape(image.shape), image)


@pytest.mark.parametrize("kind", KINDS)
def test_without_isal_the_pixels_are_the_same(monkeypatch, kind):
    monkeypatch.setattr(png, "isal_zlib", None)
    pixels = noise(7, 5, kind[0], dtype=kind[1]).reshape(1, 7, 5, kind[0])
    np.testing.assert_array_equal(read_by_opencv(encode_pngs(pixels)[0]), pixels[0])


def test_a_block_is_encoded_as_its_images_are_alone():
    block = noise(40, 50, 3).reshape(1, 40, 50, 3).repeat(5, axis=0) + np.arange(5, dtype=np.uint8)[:, None, None, None]
    assert encode_pngs(block) == [encode_pngs(image[None])[0] for image in block]


def test_a_view_is_encoded_as_its_copy():
    pixels = noise(40, 50, 3)[None, ::-1, ::2]
    assert encode_pngs(pixels) == encode_pngs(pixels.copy())


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.parent.glob("sample_data/*/*"))[:3], ids=lambda p: p.name)
def test_small_is_smaller_than_fast_and_fast_than_raw(path):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))[None]
    fast, small = (len(encode_pngs(pixels, name)[0]) for name in ("fast", "small"))
    assert small < fast < pixels.nbytes


def test_no_other_compression():
    with pytest.raises(ValueError, match="compression must be one of fast, small, not tiny"):
        encode_pngs(noise(3, 3, 3)[None], "tiny")


@pytest.mark.skipif(not shutil.which("pngcheck"), reason="pngcheck is not installed")
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (33, 1), (33, 17)])
def test_pngcheck_finds_no_fault(tmp_path, size, compression):
    for channels, dtype in KINDS:
        pixels = noise(*size, channels, dtype=dtype).reshape(1, *size, channels)
        path = tmp_path / f"{channels}{np.dtype(dtype).name}.png"
        path.write_bytes(encode_pngs(pixels, compression)[0])
        subprocess.run(["pngcheck", "-q", path], check=True, capture_output=True)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGE = """<!doctype html><body><script>
Promise.all(%s.map(async (url) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, image.width, image.height).data);
})).then((pixels) => { document.body.textContent = "pixels" + JSON.stringify(pixels) + "end"; });
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_a_browser_shows_the_pixels_that_were_written(tmp_path):
    """On a canvas: 8-bit grey and RGB exactly, RGBA where it is opaque, 16 bits by their upper 8."""
    kinds = [(channels, dtype, name) for channels, dtype in KINDS for name in COMPRESSIONS]
    images = [noise(9, 13, channels, dtype=dtype).reshape(9, 13, channels) for channels, dtype, _ in kinds]
    urls = [
        "data:image/png;base64," + base64.b64encode(encode_pngs(image[None], name)[0]).decode()
        for image, (_, _, name) in zip(images, kinds, strict=True)
    ]
    (tmp_path / "page.html").write_text(PAGE % json.dumps(urls), encoding="utf-8")
    shown = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--force-color-profile=srgb", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=20000", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=300, env={**os.environ, "HOME": str(tmp_path)},
    ).stdout
    found = json.loads(re.search("pixels(.*)end", shown)[1])
    assert len(found) == len(images)
    for image, values in zip(images, found, strict=True):
        shown = np.array(values).reshape(9, 13, 4)
        expected = image if image.shape[2] >= 3 else image.repeat(3, axis=2)
        if image.itemsize == 2:
            assert np.abs(shown[..., :3] - expected / 257).max() <= 1
            continue
        opaque = image[..., 3] == 255 if image.shape[2] == 4 else np.ones((9, 13), bool)
        np.testing.assert_array_equal(shown[opaque, :3], expected[opaque][:, :3])
        if image.shape[2] == 4:
            np.testing.assert_array_equal(shown[..., 3], image[..., 3])


@pytest.mark.slow
@pytest.mark.skipif("MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA is not set")
def test_blended_photos_are_no_larger_than_pillows_level_1():
    ours = theirs = 0
    photos = sorted(Path(os.environ["MIXUP_TEST_DATA"], "photos").rglob("*.JPEG"))
    assert len(photos) >= 100
    lam = np.random.default_rng(0).beta(0.2, 0.2, len(photos))
    for a, b, weight in zip(photos, photos[7:] + photos[:7], lam, strict=True):
        images = [Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR) for path in (a, b)]
        blended = Image.blend(*images, 1 - weight)
        file = io.BytesIO()
        blended.save(file, "PNG", compress_level=1)
        theirs += file.tell()
        ours += len(encode_pngs(np.asarray(blended)[None])[0])
    assert ours <= theirs
