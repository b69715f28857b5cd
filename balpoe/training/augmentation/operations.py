"""The operations that augmentation policies choose from.

Each image of a batch has its own operation with a magnitude, or none. On uint8, operations on
colours give the bytes of torchvision's tensor kernels; those that move pixels take the nearest
pixel, and black outside of the image.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

from enum import IntEnum

from balpoe.config.augmentation import Operations


class Operation(IntEnum):
    """An operation on an image, with the meaning of its magnitude.

    The magnitude is a factor for the shears, a share of the width or height of the image for the
    translations, counter-clockwise degrees for the rotation, and the excess of the factor over 1
    for brightness, colour, contrast and sharpness (0 changes nothing, -1 gives the degenerate
    image). `POSTERISE` has the number of bits that are kept, `SOLARISE` the lowest level that is
    inverted, `SOLARISE_ADD` the amount that is added to levels below 128. The others have none.
    """

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    COLOUR = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERISE = 10
    SOLARISE = 11
    SOLARISE_ADD = 12
    AUTO_CONTRAST = 13
    EQUALISE = 14
    INVERT = 15


def _between(first: Operation, last: Operation) -> Operations:
    return frozenset(operation for operation in Operation if first <= operation <= last)


GEOMETRIC = _between(Operation.SHEAR_X, Operation.ROTATE)
BLENDS = _between(Operation.BRIGHTNESS, Operation.SHARPNESS)
TABLES = _between(Operation.POSTERISE, Operation.INVERT)
