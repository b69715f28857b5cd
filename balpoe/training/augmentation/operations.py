"""The operations that augmentation policies choose from, each image its own.

Every image of a batch undergoes one operation with one magnitude, or none; all are computed
without a look at the values, so that shapes depend on the batch size alone. What is exact: on
uint8, every operation on colours gives the bytes of torchvision's tensor kernel; those that move
pixels take the nearest one and black from outside.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

from enum import IntEnum

from balpoe.config.augmentation import Operations


class Operation(IntEnum):
    """What happens to an image, and what its magnitude means.

    The shears have a factor, the translations a share of the image's width or height, the
    rotation counter-clockwise degrees; brightness, colour, contrast and sharpness what their
    factor exceeds 1 by (0 changes nothing, -1 leaves the degenerate image), `POSTERISE` the
    bits that are kept, `SOLARISE` the least level that is inverted, `SOLARISE_ADD` what is
    added to levels below 128. The others have none.
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


GEOMETRIC: Operations = frozenset(
    {
        Operation.SHEAR_X,
        Operation.SHEAR_Y,
        Operation.TRANSLATE_X,
        Operation.TRANSLATE_Y,
        Operation.ROTATE,
    }
)
BLENDS: Operations = frozenset(
    {Operation.BRIGHTNESS, Operation.COLOUR, Operation.CONTRAST, Operation.SHARPNESS}
)
TABLES: Operations = frozenset(
    {
        Operation.POSTERISE,
        Operation.SOLARISE,
        Operation.SOLARISE_ADD,
        Operation.AUTO_CONTRAST,
        Operation.EQUALISE,
        Operation.INVERT,
    }
)
