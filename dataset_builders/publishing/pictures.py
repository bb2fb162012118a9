# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A small picture of each subject of a prepared corpus: the mean of its brain values, where they lie."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file


_VIEWS = {"from the right": (1, 2), "from the front": (0, 2), "from above": (0, 1)}
# Colours end where one value in a hundred lies beyond.
_SPREAD = (1, 99)
_CELL = 1.3


def subject_picture(path: Path) -> bytes:
    """
    The mean recorded value of voxels that lie behind one another, from three sides; or of each component in its order,
    with the deviation around it, where features have no place.

    Args:
        path (`Path`):
            File of the subject in `subjects/`. Values are those before they were standardised.

    Returns:
        `bytes`: a PNG file; equal input gives equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    state = load_file(path)
    mean, deviation = state["summary"].astype(np.float64)
    figure = Figure(figsize=(6, 2.2), dpi=80, layout="constrained")
    if "geometry/coordinates" in state:
        _draw_places(figure, state["geometry/coordinates"], mean)
    else:
        _draw_components(figure, mean, deviation)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _draw_places(figure: Any, places: np.ndarray, mean: np.ndarray) -> None:
    low, high = np.percentile(mean, _SPREAD)
    centre, sides = (places.max(0) + places.min(0)) / 2, np.ptp(places, axis=0)
    # A little wider than voxels are apart where they fill the box, so that a grid leaves no cell empty by chance.
    cell = _CELL * (np.maximum(sides, 1).prod() / len(places)) ** (1 / 3)
    reach = sides.max() / 2 + cell
    edges = [np.arange(middle - reach, middle + reach + cell, cell) for middle in centre]
    panels = figure.subplots(1, len(_VIEWS))
    for axes, (view, (across, up)) in zip(panels, _VIEWS.items(), strict=True):
        where, cells = (places[:, across], places[:, up]), (edges[across], edges[up])
        number, total = np.histogram2d(*where, cells)[0], np.histogram2d(*where, cells, weights=mean)[0]
        shown = np.divide(total, number, out=np.full(number.shape, np.nan), where=number > 0)
        marks = axes.pcolormesh(*cells, shown.T, vmin=low, vmax=high)
        axes.set_title(view, fontsize=8)
        axes.set_aspect("equal")
        axes.set_axis_off()
    figure.colorbar(marks, ax=panels, shrink=0.8).ax.tick_params(labelsize=7)


def _draw_components(figure: Any, mean: np.ndarray, deviation: np.ndarray) -> None:
    axes, numbers = figure.subplots(), np.arange(len(mean))
    axes.fill_between(numbers, mean - deviation, mean + deviation, alpha=0.3, linewidth=0)
    axes.plot(numbers, mean, linewidth=0.8)
    axes.set_xlabel("feature", fontsize=8)
    axes.set_ylabel("mean ± deviation", fontsize=8)
    axes.tick_params(labelsize=7)


__all__ = ["subject_picture"]
