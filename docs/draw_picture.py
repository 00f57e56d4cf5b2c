"""Draw docs/mixup.png, the README's picture: rows of a real run as source a, source b, output.

    mixup augment sample_data/ out/ --alpha 1 --size 160
    python docs/draw_picture.py sample_data/ out/ docs/mixup.png
"""

import csv
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, GAP, CAPTION, ROWS = 160, 8, 24, 2


def strong_rows(out, count):
    """The first rows of two classes whose lam lies between 0.35 and 0.65."""
    with open(out / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [
            row for row in csv.DictReader(file)
            if 0.35 < float(row["lam"]) < 0.65 and row["label_a"] != row["label_b"]
        ]
    return rows[:count]


def upright(path):
    """A source as it looks, over white."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return ImageOps.fit(image.convert("RGB"), (SIDE, SIDE))


def draw(source, out):
    """Two columns of a + b = output, captioned with the weights that labels.csv holds."""
    half = 3 * SIDE + 4 * GAP
    rows = strong_rows(out, 2 * ROWS)
    sheet = Image.new("RGB", (2 * half + 2 * GAP, ROWS * (SIDE + CAPTION + GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for i, row in enumerate(rows):
        left, top = (i % 2) * (half + 2 * GAP), (i // 2) * (SIDE + CAPTION + GAP)
        lam = float(row["lam"])
        captions = (row["label_a"], row["label_b"],
                    f"{lam:.2f} {row['label_a']} + {1 - lam:.2f} {row['label_b']}")
        pictures = (upright(source / row["source_a"]), upright(source / row["source_b"]),
                    Image.open(out / row["file_name"]).convert("RGB"))
        for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            x = left + k * (SIDE + GAP) + (GAP if k == 2 else 0)
            sheet.paste(picture, (x, top))
            pen.text((x + SIDE / 2, top + SIDE + 3), caption, "black", font, anchor="mt")
    return sheet


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2])).save(sys.argv[3], optimize=True)
