"""A drawn figure with its name and texts, and the style that all figures share.

matplotlib is imported when the first figure is begun, and no window is ever opened.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numpy as np

from balpoe.reporting.figures.arrangement import arrange

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Okabe and Ito 2008, distinguishable with every kind of colour blindness. Violet stands for black,
# which is not visible on dark pages; yellow is left out, since it is hardly visible on white
PALETTE: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#962DFF",
)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
"""A series differs from others in its marker too, so that it can be told apart in grey."""
SEQUENTIAL: Final = "cividis"
_VISIBLE_PART: Final = (0.3, 0.85)
"""The part of `SEQUENTIAL` whose colours are visible on white and on dark pages, for lines."""
INK: Final = "#1b1b1f"
"""The colour of text and axes; pages with a dark background replace it in the SVG."""
MUTED: Final = "#8a8a93"
WIDTH_INCHES: Final = 6.4

_STYLE: Final[dict[Any, Any]] = {  # matplotlib's own type lists three hundred names
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # else matplotlib measures the texts of all axes for each title
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text: searchable, and small
    "svg.hashsalt": "balpoe",  # the same figure gives the same file
    "text.color": INK,
    "text.parse_math": False,  # class names and parameters may contain dollar signs
    "xtick.color": INK,
    "ytick.color": INK,
}
_DOTS_PER_INCH: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A finished figure as plain data.

    Attributes:
        name: The stem of its file, in snake case.
        title: A short heading.
        caption: What is shown: axes, symbols, number of images or seeds, and the source.
        alternative: A sentence that states the content for readers who do not see the figure.
        svg: The figure as an SVG document with a transparent background; empty if it was not
            asked for.
        png: The figure as a PNG image on white; None if it was not asked for.
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    png: bytes | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Drawing:
    """A figure of matplotlib, with the texts of a `Picture`."""

    name: str
    title: str
    caption: str
    alternative: str
    figure: Figure

    def __post_init__(self) -> None:
        """Give the axes and labels their places."""
        with _style():
            arrange(self.figure)

    def picture(self, *, svg: bool = True, png: bool = False) -> Picture:
        """Return the finished figure as an SVG document, a PNG image, or both."""
        with _style(), _without_glyph_warnings():
            return Picture(
                name=self.name,
                title=self.title,
                caption=self.caption,
                alternative=self.alternative,
                svg=self._svg() if svg else "",
                png=self._png() if png else None,
            )

    def _svg(self) -> str:
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return buffer.getvalue()

    def _png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, facecolor="white")
        return buffer.getvalue()


def png_images(pictures: Iterable[Picture]) -> dict[str, bytes]:
    """Return the PNG images by the names of the figures, where they were asked for."""
    return {picture.name: picture.png for picture in pictures if picture.png is not None}


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function `draw` with the common style in force, in any thread but one at a time.

    The settings of matplotlib outside of the call stay as they are.
    """

    @functools.wraps(draw)
    def in_style(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with _style():
            return draw(*arguments, **options)

    return in_style


def line_colours() -> Colormap:
    """Return the part of `SEQUENTIAL` for lines and points; images have all of it."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[SEQUENTIAL](np.linspace(*_VISIBLE_PART, 256)))


def logarithmic(axis: Axis) -> None:
    """Write plain numbers at the powers of ten of a logarithmic axis, and few of them.

    matplotlib's own labels are formulas, which are not parsed in this style.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def new_figure(
    rows: int = 1, columns: int = 1, *, height_inches: float = 3.6, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row; the caller is `styled`.

    `options` are those of `Figure.subplots`. No figure is registered with pyplot, which would keep
    it in memory.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches))
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for each in axes.flat:
        each.set_title("")  # at its fixed height, see the style
    return figure, list(axes.flat)


def new_panels(
    count: int, columns: int, *, base_inches: float, row_inches: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure and `count` axes in rows of `columns`; the rest of the last row is empty.

    The figure is as high as `base_inches` and `row_inches` for each row; see `new_figure`.
    """
    rows = -(-count // columns)
    height = base_inches + row_inches * rows
    figure, axes = new_figure(rows, columns, height_inches=height, **options)
    for empty in axes[count:]:
        empty.set_axis_off()
    return figure, axes[:count]


def colour_bar(figure: Figure, mappable: ScalarMappable, label: str) -> Axis:
    """Draw the scale of `mappable` on the right of all axes; return its axis."""
    axes = figure.add_axes((0.9, 0.1, 0.03, 0.8))
    figure.colorbar(mappable, cax=axes, label=label)
    return axes.yaxis


def _style() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Silence the warning about characters that the font lacks; browsers have other fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
