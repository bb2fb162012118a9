# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Pictures of a map: three projections as SVG, which need no template, and glass brains and surfaces by nilearn.

nilearn comes with the extra `maps`. Nothing is downloaded: glass brains are drawn from outlines and surfaces from the
mesh fsaverage5, both of which nilearn brings along.
"""

from io import BytesIO, StringIO
from typing import Any

import numpy as np


# Vertices of one hemisphere of fsaverage5. Finer average surfaces refine it, and begin with its vertices.
_COARSE = 10_242
_REFINED = (10_242, 40_962, 163_842)
_AXES = ("x", "y", "z")
_VIEWS = {"from the right": (1, 2), "from the front": (0, 2), "from above": (0, 1)}
_COLOURS, _SPREAD = "RdBu_r", 99


def projections(coordinates: np.ndarray, scores: np.ndarray, title: str, unit: str) -> str:
    """
    A map seen from three sides, larger scores in front of smaller ones.

    Args:
        coordinates (`np.ndarray` of shape `(voxels, 3)`):
            Places in millimetres.
        scores (`np.ndarray` of shape `(voxels,)`):
            Scores; colours end at the 99th percentile of their sizes.
        title (`str`), unit (`str`):
            What is shown, and in which unit.

    Returns:
        `str`: The SVG; equal input gives equal text.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    limit, order = _limit(scores), np.argsort(np.abs(scores))
    with mpl.rc_context({"svg.hashsalt": "brainllm", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        panels = figure.subplots(1, len(_VIEWS))
        for axes, (view, (across, up)) in zip(panels, _VIEWS.items(), strict=True):
            # As pixels: tens of thousands of marks would make a page of megabytes.
            marks = axes.scatter(
                coordinates[order, across], coordinates[order, up], 9, scores[order], cmap=_COLOURS, vmin=-limit,
                vmax=limit, linewidths=0, rasterized=True,
            )  # fmt: skip
            axes.set(title=view, xlabel=f"{_AXES[across]} / mm", ylabel=f"{_AXES[up]} / mm", aspect="equal")
        figure.colorbar(marks, ax=panels, label=unit, shrink=0.9)
        figure.suptitle(title)
        buffer = StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Title": title, "Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def glass_brain(coordinates: np.ndarray, scores: np.ndarray, title: str) -> bytes:
    """
    A map in a glass brain, by nilearn: every voxel a mark at its own place, so that nothing is resampled.

    Args:
        coordinates (`np.ndarray` of shape `(voxels, 3)`):
            Places in millimetres of MNI152; in another space the outlines would deceive.
        scores (`np.ndarray` of shape `(voxels,)`), title (`str`):
            As in [`projections`].

    Returns:
        `bytes`: A PNG file.

    Raises:
        ImportError: If nilearn is not installed.
    """
    plotting, limit, order = _nilearn(), _limit(scores), np.argsort(np.abs(scores))
    display = plotting.plot_markers(
        scores[order], coordinates[order], node_size=6, node_cmap=_COLOURS, node_vmin=-limit, node_vmax=limit,
        alpha=0.8, title=title,
    )  # fmt: skip
    return _as_png(display.frame_axes.figure)


def surface(values: np.ndarray, title: str) -> bytes:
    """
    A map on the inflated average surface, both hemispheres from outside and inside, by nilearn.

    Args:
        values (`np.ndarray` of shape `(2, vertices)`):
            Left and right hemisphere of fsaverage5, fsaverage6 or fsaverage; of the finer ones the vertices that they
            share with fsaverage5 are drawn. NaN where there is no value.
        title (`str`):
            What is shown.

    Returns:
        `bytes`: A PNG file.

    Raises:
        ImportError: If nilearn is not installed.
        ValueError: If the vertices are those of another surface.
    """
    if values.shape[1] not in _REFINED:
        raise ValueError(
            f"`values` have {values.shape[1]} vertices a hemisphere; a picture needs one of {_REFINED}, those of "
            "fsaverage5, fsaverage6 and fsaverage. Open the GIFTI files in a viewer with this surface."
        )
    plotting = _nilearn()
    from matplotlib.figure import Figure
    from nilearn.datasets import fetch_surf_fsaverage

    mesh, coarse = fetch_surf_fsaverage("fsaverage5"), values[:, :_COARSE]
    limit, figure = _limit(coarse[np.isfinite(coarse)]), Figure(figsize=(9, 7))
    for row, view in enumerate(("lateral", "medial")):
        for column, side in enumerate(("left", "right")):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1, projection="3d")
            plotting.plot_surf_stat_map(
                mesh[f"infl_{side}"], coarse[column], bg_map=mesh[f"sulc_{side}"], hemi=side, view=view, axes=axes,
                cmap=_COLOURS, vmin=-limit, vmax=limit, colorbar=column == 1, engine="matplotlib",
            )  # fmt: skip
            axes.set_box_aspect(None, zoom=1.5)
    figure.suptitle(title)
    return _as_png(figure)


def _limit(scores: np.ndarray) -> float:
    """Where colours end; a map of zeros has colours too."""
    return float(np.percentile(np.abs(scores), _SPREAD)) or 1.0


def _nilearn() -> Any:
    try:
        from nilearn import plotting
    except ImportError as error:
        raise ImportError(
            'This picture is drawn by nilearn, which is not installed: `pip install "brainllm[maps]"`, or draw '
            "`projections`, which do without."
        ) from error
    return plotting


def _as_png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


__all__ = ["glass_brain", "projections", "surface"]
