"""Pixels in bytes to images as networks take them, and back."""

import torch
from torch import Tensor
from torch.nn import functional as F


def as_images(pixels: Tensor, reduction: int = 1) -> Tensor:
    """Images [B, 3, H, W] in [-1, 1] of pixels uint8 [B, H * reduction, W * reduction, 3]."""
    # NHWC bytes travel; viewed as NCHW they are channels-last already.
    images = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return F.avg_pool2d(images, reduction) if reduction > 1 else images


def to_uint8(images: Tensor) -> Tensor:
    """Images [B, 3, H, W] in [-1, 1] to uint8 [B, H, W, 3], rounded."""
    levels = (images.float() * 127.5 + 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)
