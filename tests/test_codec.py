import io
import os
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
from mixup_cli import codec
from mixup_cli.codec import decode, encode_pngs
from mixup_cli.errors import SourceError


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    kind=st.sampled_from([(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)]),
    seed=st.integers(0, 999),
)
def test_png_round_trip_in_opencv(shape, kind, seed):
    channels, dtype = kind
    block = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (*shape, channels), dtype)
    for image, png in zip(block, encode_pngs(block), strict=True):
        read = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        read = read.reshape(*read.shape[:2], -1)
        if channels >= 3:  # OpenCV's order is BGR
            read = np.concatenate([read[..., 2::-1], read[..., 3:]], axis=2)
        np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("without_isal", [False, True])
def test_png_reads_back_in_pillow(monkeypatch, without_isal):
    if without_isal:
        monkeypatch.setattr(codec, "isal_zlib", None)
    for channels, dtype in [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16)]:
        pixels = noise(7, 5, channels, dtype=dtype)
        png = encode_pngs(pixels.reshape(1, 7, 5, channels))[0]
        with Image.open(io.BytesIO(png)) as image:
            assert not image.info
            np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.skipif(not shutil.which("pngcheck"), reason="pngcheck is not installed")
def test_png_is_valid_by_pngcheck(tmp_path):
    for channels, dtype in [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)]:
        png = encode_pngs(noise(33, 17, channels, dtype=dtype).reshape(1, 33, 17, channels))[0]
        path = tmp_path / f"{channels}{np.dtype(dtype).name}.png"
        path.write_bytes(png)
        subprocess.run(["pngcheck", "-q", path], check=True, capture_output=True)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("orientation", [None, 1, 6, 8])
def test_jpeg_pixels_and_orientation_are_those_of_pillow(monkeypatch, mode, orientation):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    data = saved(Image.fromarray(noise(31, 45, len(mode))), format="JPEG", quality=90, exif=exif)
    fast = decode(data)
    monkeypatch.setattr(codec, "simplejpeg", None)
    slow = decode(data)
    np.testing.assert_array_equal(fast.pixels, slow.pixels)
    assert fast.orientation == slow.orientation == (orientation or 1)


@pytest.mark.skipif("MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA is not set")
def test_jpeg_pixels_of_real_photos_are_those_of_pillow(monkeypatch):
    photos = sorted(Path(os.environ["MIXUP_TEST_DATA"], "photos").rglob("*.JPEG"))
    assert len(photos) >= 100
    for path in photos:
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB") if image.mode != "L" else image)
        pixels = decode(path.read_bytes()).pixels
        np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)


def test_content_decides_not_the_name():
    assert decode(saved(Image.new("RGB", (3, 2)), format="PNG")).pixels.shape == (2, 3, 3)
    with pytest.raises(SourceError, match="not a JPEG"):
        decode(saved(Image.new("RGB", (3, 2)), format="GIF"))


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused_with_one_line(data):
    with pytest.raises(SourceError) as caught:
        decode(data)
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_refused(format):
    data = saved(Image.fromarray(noise(60, 60, 3)), format=format)
    for tenth in range(10):
        with pytest.raises(SourceError):
            decode(data[: len(data) * tenth // 10])


def test_an_image_over_the_cap_is_refused():
    for format in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM"):
        data = saved(Image.new("L", (60, 60)), format=format)
        with pytest.raises(SourceError, match="over 0.003599 megapixels"):
            decode(data, 3599)
        assert decode(data, 3600).pixels.shape[:2] == (60, 60)
    assert Image.MAX_IMAGE_PIXELS > 1_000_000


def test_floating_point_and_32_bit_pixels_are_refused_with_a_reason():
    with pytest.raises(SourceError, match="floating-point"):
        decode(saved(Image.new("F", (3, 3), 0.5), format="TIFF"))
    with pytest.raises(SourceError, match="32-bit"):
        decode(saved(Image.new("I", (3, 3), 70_000), format="TIFF"))
