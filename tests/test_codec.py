import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import noise
from mixup_cli import codec
from mixup_cli.codec import decode
from mixup_cli.errors import SourceError


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


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


def scaled_to(scale):
    return lambda width, height: scale


@pytest.mark.parametrize("part", [2, 4, 8])
@pytest.mark.parametrize("size", [(64, 64), (67, 93), (8, 8), (8, 500), (121, 9)])
@pytest.mark.parametrize("mode, subsampling", [("L", -1), ("RGB", 0), ("RGB", 1), ("RGB", 2)])
def test_scaled_jpeg_pixels_are_those_of_pillow(monkeypatch, mode, subsampling, size, part):
    image = Image.fromarray(noise(size[1], size[0], len(mode)))
    data = saved(image, format="JPEG", quality=90, subsampling=subsampling)
    fast = decode(data, least_scale=scaled_to(1 / part))
    monkeypatch.setattr(codec, "simplejpeg", None)
    slow = decode(data, least_scale=scaled_to(1 / part))
    np.testing.assert_array_equal(fast.pixels, slow.pixels)
    assert fast.pixels.shape[:2] == (-(-size[1] // part), -(-size[0] // part))
    assert fast.extent == slow.extent == (size[0] / part, size[1] / part)


@pytest.mark.parametrize("scale, part", [(0.51, 1), (0.5, 2), (0.26, 2), (0.25, 4), (0.126, 4), (0.1, 8), (1, 1), (7, 1)])
def test_a_jpeg_is_never_decoded_smaller_than_asked_for(scale, part):
    asked = []
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(noise(80, 160, 3)), format="JPEG", exif=exif)
    picture = decode(data, least_scale=lambda *size: asked.append(size) or scale)
    assert picture.pixels.shape == (80 // part, 160 // part, 3)
    assert asked == [(80, 160)], "width and height of the upright picture"


def test_other_formats_and_tiny_jpegs_are_decoded_whole():
    for format, size in (("PNG", 64), ("WEBP", 64), ("TIFF", 64), ("JPEG", 7)):
        picture = decode(saved(Image.fromarray(noise(size, size, 3)), format=format), least_scale=scaled_to(0.01))
        assert picture.pixels.shape == (size, size, 3) and picture.extent == (size, size)


@pytest.mark.skipif("MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA is not set")
def test_jpeg_pixels_of_real_photos_are_those_of_pillow(monkeypatch):
    photos = sorted(Path(os.environ["MIXUP_TEST_DATA"], "photos").rglob("*.JPEG"))
    assert len(photos) >= 100
    for path in photos:
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB") if image.mode != "L" else image)
        pixels = decode(path.read_bytes()).pixels
        np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)
        with Image.open(path) as image:
            image.draft(None, (image.width // 4, image.height // 4))
            expected = np.asarray(image.convert("RGB") if image.mode != "L" else image)
        pixels = decode(path.read_bytes(), least_scale=scaled_to(0.25)).pixels
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
