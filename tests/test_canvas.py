import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers import noise
from mixup_cli.canvas import Canvas, convert, fit, flatten, orient, prepare
from mixup_cli.codec import decode
from mixup_cli.errors import InputError


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(tmp_path, orientation):
    pixels = noise(5, 7, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(orient(pixels, orientation), expected)


def test_16_bits_scale_and_never_clamp():
    levels = np.array([0, 128, 129, 257, 32768, 65407, 65535], np.uint16).reshape(1, 7, 1)
    assert convert(levels, 1, 1).ravel().tolist() == [0, 0, 1, 1, 128, 255, 255]
    assert convert(np.array([[[0], [1], [255]]], np.uint8), 1, 2).ravel().tolist() == [0, 257, 65535]


def test_transparency_is_laid_over_the_background():
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 128]]], np.uint8)
    out = flatten(pixels, (10, 20, 30))
    assert out[0, :2].tolist() == [[200, 100, 0], [10, 20, 30]]
    assert out[0, 2].tolist() == [round((128 * c + 127 * b) / 255) for c, b in zip((200, 100, 0), (10, 20, 30))]


@pytest.mark.parametrize("how", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("source", [(1, 1), (1, 9), (40, 3), (30, 20)])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (13, 5), (64, 48)])
@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)])
def test_every_fit_reaches_the_size(how, source, size, channels, dtype):
    pixels = noise(source[1], source[0], channels, dtype=dtype).reshape(source[1], source[0], channels)
    out = fit(pixels, size, how, (255, 255, 255))
    assert out.shape == (size[1], size[0], channels) and out.dtype == dtype


def test_contain_keeps_everything_and_cover_fills():
    pixels = np.zeros((10, 20, 3), np.uint8)
    assert fit(pixels, (20, 20), "contain", (9, 9, 9))[0, 0].tolist() == [9, 9, 9]
    assert fit(pixels, (20, 20), "cover", (9, 9, 9)).max() == 0


def smooth_jpeg(width, height, orientation):
    """A picture of waves as a JPEG: a shift by a tenth of a pixel shows, decoding at a part does not."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 23 + k) + np.cos(y / 31 - k * k) for k in range(3)]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray((127.5 + 60 * np.stack(waves, axis=2)).astype(np.uint8)).save(
        file, "JPEG", quality=98, subsampling=0, exif=exif
    )
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("how", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("size, part", [((60, 60), 2), ((20, 30), 4), ((12, 10), 8)])
def test_a_scaled_jpeg_lies_where_a_whole_one_does(how, orientation, size, part):
    data = smooth_jpeg(251, 333, orientation)
    canvas = Canvas(size, how)
    scaled = decode(data, least_scale=canvas.least_scale)
    whole = decode(data)
    if how != "contain":
        assert scaled.pixels.shape[0] == -(-333 // part), "this size is meant to be decoded at a part"
    error = np.abs(prepare(scaled, canvas).astype(int) - prepare(whole, canvas))
    assert scaled.pixels.size < whole.pixels.size and error.max() <= 5 and error.mean() < 0.7


def test_a_jpeg_is_decoded_whole_where_asked_for_or_needed():
    data = smooth_jpeg(320, 240, 1)
    for canvas in (Canvas((20, 20), decode="full"), Canvas(None), Canvas((200, 100))):
        assert decode(data, least_scale=canvas.least_scale).pixels.shape == (240, 320, 3)


@pytest.mark.skipif("MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA is not set")
@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64, 90])
def test_scaled_photos_are_as_good_as_whole_ones(size):
    """By PSNR: close to what decoding in full gives, and as near to a Lanczos resize, within 1 dB."""
    canvas, against_full, lost = Canvas((size, size), mode="RGB"), [], []
    for path in sorted(Path(os.environ["MIXUP_TEST_DATA"], "photos").rglob("*.JPEG")):
        data = path.read_bytes()
        scaled, whole = decode(data, least_scale=canvas.least_scale), decode(data)
        if scaled.pixels.shape == whole.pixels.shape:
            continue
        scaled, whole = (prepare(picture, canvas) for picture in (scaled, whole))
        with Image.open(path) as image:
            best = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
        against_full.append(psnr(scaled, whole))
        lost.append(psnr(whole, best) - psnr(scaled, best))
    assert len(against_full) > 100
    assert min(against_full) > 36 and np.median(against_full) > 46
    assert np.median(lost) < 0.9


def psnr(a, b):
    error = np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)
    return 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("arguments", [{"decode": "half"}, {"fit": "crop"}, {"mode": "CMYK"}, {"size": (0, 3)}])
def test_refuses(arguments):
    with pytest.raises(InputError):
        Canvas(**arguments)
