"""The sample data: what the README promises of it, and that the script still draws it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw_sample_data import draw_all

SAMPLE_DATA = Path(__file__).parent.parent / "sample_data"


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_variety():
    images = [Image.open(SAMPLE_DATA / name) for name in files(SAMPLE_DATA)]
    assert 24 <= len(images) <= 60
    assert sum((SAMPLE_DATA / name).stat().st_size for name in files(SAMPLE_DATA)) < 1_000_000
    assert {image.format for image in images} == {"JPEG", "PNG", "WEBP"}
    assert {"L", "P", "RGB", "RGBA"} <= {image.mode for image in images}
    assert len({image.size for image in images}) >= 4
    assert any(image.getexif().get(0x0112) in (6, 8) for image in images)
    for image in images:
        image.close()


@pytest.mark.slow
def test_the_script_draws_them(tmp_path):
    draw_all(tmp_path)
    assert files(tmp_path) == files(SAMPLE_DATA)
    for name in files(tmp_path):
        with Image.open(tmp_path / name) as drawn, Image.open(SAMPLE_DATA / name) as kept:
            drawn, kept = (np.asarray(image.convert("RGBA")).astype(int) for image in (drawn, kept))
        assert np.abs(drawn - kept).mean() < 2, name  # another libjpeg may round otherwise
