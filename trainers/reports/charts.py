# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Charts as SVG text: drawn by matplotlib without a window, the same input always the same bytes, nothing from outside.

Letters stay letters, so that a chart can be searched and read aloud; its title is the text a screen reader speaks.
matplotlib comes with the extra `eval`.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: Seven of Okabe and Ito's colours (Wong 2011, Nature Methods 8:441), told apart without colour vision too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = "osD^vPX"
_REFERENCE = "#555555"
# Above so many points intervals are drawn as a band, below it as bars.
_MOST_BARS = 12
_STYLE: Any = {
    "svg.hashsalt": "brainllm",
    "svg.fonttype": "none",
    # A label may hold a dollar sign: it is no formula.
    "text.parse_math": False,
    # Verdana is as wide as DejaVu, which not every reader has.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": _REFERENCE,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Series:
    """
    One line of a chart.

    Args:
        label (`str`):
            Name in the legend; empty for none.
        x (`Sequence[float]` of length points), y (`Sequence[float]` of length points):
            Points.
        low (`Sequence[float]` of length points, *optional*), high (`Sequence[float]` of length points, *optional*):
            Ends of each point's interval.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    chance: float | None = None,
    log_x: bool = False,
) -> str:
    """
    Lines with their intervals: bars at few points, a band along many.

    Args:
        series (`Sequence[Series]`):
            The lines.
        x_label (`str`), y_label (`str`):
            What the axes show, with units.
        title (`str`, *optional*, defaults to `""`):
            What the chart shows.
        chance (`float`, *optional*):
            Height of a dashed line, named "chance".
        log_x (`bool`, *optional*, defaults to `False`):
            Whether the horizontal axis is logarithmic.

    Returns:
        `str`: The SVG.

    Raises:
        ValueError: If there is no line, or a line's values differ in number, or a logarithmic axis gets a value that
            is not above 0.
    """
    if not series:
        raise ValueError("`series` is empty: a chart needs one line or more.")
    for line in series:
        _check_lengths(f"`series` {line.label!r}", x=line.x, y=line.y, low=line.low, high=line.high)
        if log_x and min(line.x) <= 0:
            raise ValueError(f"`series` {line.label!r} has x = {min(line.x)}: a logarithmic axis begins above 0.")

    def draw(axes: "Axes") -> None:
        for i, line in enumerate(series):
            _draw_line(axes, line, COLOURS[i % len(COLOURS)], _MARKERS[i % len(_MARKERS)])
        if chance is not None:
            axes.axhline(chance, color=_REFERENCE, linestyle="--", linewidth=1, label="chance")
        _mark_points(axes, sorted({x for line in series for x in line.x}), log_x)
        axes.set_xlabel(x_label)

    return _render(draw, y_label, title)


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    *,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    y_label: str,
    title: str = "",
    reference: Mapping[str, float] | None = None,
) -> str:
    """
    Bars with their intervals, beside lines to compare them with.

    Args:
        labels (`Sequence[str]` of length bars), values (`Sequence[float]` of length bars):
            Name and height of each bar.
        low (`Sequence[float]` of length bars, *optional*), high (`Sequence[float]` of length bars, *optional*):
            Ends of each bar's interval.
        y_label (`str`):
            What the heights are, with their unit.
        title (`str`, *optional*, defaults to `""`):
            What the chart shows.
        reference (`Mapping[str, float]`, *optional*):
            Name and height of lines across the chart, such as chance or baselines.

    Returns:
        `str`: The SVG.

    Raises:
        ValueError: If there is no bar, or labels, values and ends of intervals differ in number.
    """
    _check_lengths("`labels`", labels=labels, values=values, low=low, high=high)

    def draw(axes: "Axes") -> None:
        places = range(len(labels))
        axes.bar(places, values, width=0.7, color=COLOURS[0])
        if low is not None and high is not None:
            axes.errorbar(places, values, _errors(values, low, high), fmt="none", ecolor="#000000", capsize=3)
        for i, (name, height) in enumerate((reference or {}).items()):
            style = ("--", ":", "-.")[i % 3]
            axes.axhline(height, color=COLOURS[(i + 1) % len(COLOURS)], linestyle=style, linewidth=1.2, label=name)
        axes.axhline(0, color=_REFERENCE, linewidth=0.8)
        # Sixty letters fit side by side when each label has the room of the longest.
        upright = len(labels) * max(map(len, labels)) < 60
        axes.set_xticks(places, labels, rotation=0 if upright else 35, ha="center" if upright else "right")

    return _render(draw, y_label, title)


def png_figure(png_bytes: bytes, alt: str) -> str:
    """
    A picture of pixels, such as nilearn paints, as an SVG that holds it whole.

    Args:
        png_bytes (`bytes`):
            A PNG file.
        alt (`str`):
            What the picture shows, in words, for whoever cannot see it.

    Returns:
        `str`: The SVG.

    Raises:
        ValueError: If the bytes are no PNG file.
    """
    if png_bytes[:8] != b"\x89PNG\r\n\x1a\n" or png_bytes[12:16] != b"IHDR":
        raise ValueError(f"`png_bytes` is no PNG file: it begins with {png_bytes[:8]!r}. Save the picture as PNG.")
    # PNG specification, section 11.2.2: width and height open the header chunk.
    width, height = (int.from_bytes(png_bytes[start : start + 4], "big") for start in (16, 20))
    data = base64.b64encode(png_bytes).decode("ascii")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(alt)}</title>'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{data}"/></svg>\n'
    )


def _check_lengths(name: str, **values: Sequence | None) -> None:
    given = {key: len(value) for key, value in values.items() if value is not None}
    if ("low" in given) != ("high" in given):
        raise ValueError(f"{name} has one end of the intervals only: give both `low` and `high`, or neither.")
    if len(set(given.values())) > 1 or 0 in given.values():
        counts = ", ".join(f"{count} {key}" for key, count in given.items())
        raise ValueError(f"{name} has {counts}: expected equally many of each, and one or more.")


def _errors(y: Sequence[float], low: Sequence[float], high: Sequence[float]) -> list[list[float]]:
    """Distances from each point to the ends of its interval, which a percentile bootstrap may put beside the point."""
    below = [max(value - end, 0.0) for value, end in zip(y, low, strict=True)]
    return [below, [max(end - value, 0.0) for value, end in zip(y, high, strict=True)]]


def _draw_line(axes: "Axes", line: Series, colour: str, marker: str) -> None:
    few = len(line.x) <= _MOST_BARS
    axes.plot(line.x, line.y, color=colour, marker=marker if few else "", markersize=4.5, label=line.label)
    if line.low is None or line.high is None:
        return
    if few:
        axes.errorbar(line.x, line.y, _errors(line.y, line.low, line.high), fmt="none", ecolor=colour, capsize=3)
    else:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)


def _mark_points(axes: "Axes", points: Sequence[float], log_x: bool) -> None:
    """Few points are named on the axis, each by its own value."""
    if log_x:
        axes.set_xscale("log")
    if len(points) <= _MOST_BARS:
        axes.set_xticks(points, [f"{point:g}" for point in points])
        axes.set_xticks([], minor=True)


def _render(draw: Callable[["Axes"], None], y_label: str, title: str) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_ylabel(y_label)
        axes.set_title(title)
        labelled = axes.get_legend_handles_labels()[1]
        if labelled:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
        buffer = StringIO()
        metadata = {"Title": title or y_label, "Date": None, "Creator": None}
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    # From the element itself on: a document type inside a page would be an error.
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


__all__ = ["Series", "bar_chart", "line_chart", "png_figure"]
