"""torchvision's ImageFolder, DataLoader with two workers and v2.MixUp, saved by Pillow: IN OUT SIZE.

Needs torch, and torchvision with or without its C++ operators (pip install --no-deps torchvision).
"""

import csv
import sys
from pathlib import Path

import torch
from PIL import Image

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its operators were built for another torch: MixUp needs none, the import does
    for module in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[module]
    OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms", *(f"{kind}{pool}{way}" for kind in ("", "q") for pool in (
            "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool") for way in ("",)),
            "deform_conv2d", "_roi_align_backward", "_roi_pool_backward", "_ps_roi_align_backward",
            "_ps_roi_pool_backward", "_deform_conv2d_backward"):
        OPERATORS.define(f"{name}(Tensor a) -> Tensor")

from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

BATCH, ALPHA = 64, 0.2


def main(source, out, size):
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    resize = [v2.Resize((size, size), antialias=True)] if size else []
    transform = v2.Compose([v2.PILToTensor(), *resize, v2.ToDtype(torch.float32, scale=True)])
    dataset = ImageFolder(source, transform=transform)
    mix = v2.MixUp(alpha=ALPHA, num_classes=len(dataset.classes))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=2)
    number = 0
    with open(out / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", *dataset.classes])
        for batch in loader:
            x, y = mix(*batch)
            pixels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            for image, label in zip(pixels, y.numpy(), strict=True):
                name = f"{number:06d}.png"
                Image.fromarray(image).save(out / name)
                table.writerow([name, *label])
                number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
