"""The two networks of efficacy.py: a small one for a CPU, and the paper's for a GPU."""

import torch
from torch import nn
from torch.nn import functional


def small(channels: int, classes: int) -> nn.Module:
    """Three convolutions with batch normalisation; 53,000 parameters for grey images, 10 classes."""
    widths = (channels, 24, 48, 96)
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, normalised before, and a shortcut (He et al. 2016, arXiv:1603.05027)."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Conv2d(before, after, 1, stride, bias=False) if stride > 1 or before != after else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = functional.relu(self.norm1(x))
        skipped = x if self.shortcut is None else self.shortcut(active)
        return self.conv2(functional.relu(self.norm2(self.conv1(active)))) + skipped


def preact18(channels: int, classes: int) -> nn.Module:
    """PreAct ResNet-18 for 32x32 images, as the mixup paper's code has it; 11.2 million parameters."""
    layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, padding=1, bias=False)]
    before = 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [PreActBlock(before, after, stride), PreActBlock(after, after, 1)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


NETWORKS = {"small": small, "preact18": preact18}
