# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Charts: what is drawn is what was given, to the pixel; the same input gives the same bytes; nothing from outside."""

import re
from io import BytesIO
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from trainers.reports.charts import Series, bar_chart, line_chart, png_figure


SVG = "{http://www.w3.org/2000/svg}"
CURVE = Series("own brain", [0, 1, 2, 3], [0.5, 0.6, 0.8, 0.7], [0.4, 0.5, 0.7, 0.6], [0.6, 0.7, 0.9, 0.8])


def words(svg: str) -> list[str]:
    return [node.text for node in ET.fromstring(svg).iter(f"{SVG}text")]


def points(svg: str, colour: str) -> np.ndarray:
    """Corners of the line of this colour."""
    for node in ET.fromstring(svg).iter(f"{SVG}path"):
        if f"stroke: {colour}" in node.get("style", "") and "stroke-linecap: square" in node.get("style", ""):
            return np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", node.get("d", "")), float)
    raise AssertionError(f"no line of colour {colour}")


def test_line_passes_through_its_points() -> None:
    drawn = points(line_chart([CURVE], x_label="x", y_label="y"), "#0072b2")
    assert len(drawn) == 4
    # Pixels are an affine function of values, and the vertical axis of a picture points down.
    for axis, values, sign in ((0, CURVE.x, 1), (1, CURVE.y, -1)):
        assert sign * np.corrcoef(drawn[:, axis], values)[0, 1] == pytest.approx(1, abs=1e-6)


def test_logarithmic_axis_puts_equal_ratios_at_equal_distances() -> None:
    drawn = points(line_chart([Series("", [1, 10, 100], [1, 2, 3])], x_label="x", y_label="y", log_x=True), "#0072b2")
    assert np.diff(drawn[:, 0]) == pytest.approx([drawn[1, 0] - drawn[0, 0]] * 2, rel=1e-4)


def test_labels_stay_letters_and_are_no_formula_and_no_markup() -> None:
    title = "costs $5 and $6 <script>"
    svg = line_chart([CURVE], x_label="words", y_label="accuracy & more", title=title, chance=0.5)
    assert {"words", "accuracy & more", title, "own brain", "chance"} <= set(words(svg))
    assert "<script" not in svg
    assert ET.fromstring(svg).findtext(f"{SVG}title") == title


def test_few_points_are_named_on_the_axis() -> None:
    svg = line_chart([Series("", [256, 1024, 4096], [1, 2, 3])], x_label="rows", y_label="y", log_x=True)
    assert {"256", "1024", "4096"} <= set(words(svg))


def test_bars_are_as_high_as_their_values_and_references_are_named() -> None:
    svg = bar_chart(
        ["V1", "MT"], [1.0, 3.0], low=[0.5, 2.5], high=[1.5, 3.5], y_label="gain", reference={"baseline": 2}
    )
    assert {"V1", "MT", "baseline"} <= set(words(svg))
    bars = [node.get("d", "") for node in ET.fromstring(svg).iter(f"{SVG}path")]
    filled = [np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", d), float) for d in bars if d.rstrip().endswith("z")]
    heights = [np.ptp(box[:, 1]) for box in filled if 20 < np.ptp(box[:, 0]) < 250 and np.ptp(box[:, 1]) > 20]
    assert heights[-1] / heights[-2] == pytest.approx(3, rel=1e-3)


def test_many_points_get_a_band() -> None:
    x = list(range(30))
    svg = line_chart([Series("", x, x, [v - 1 for v in x], [v + 1 for v in x])], x_label="x", y_label="y")
    assert "opacity: 0.2" in svg


@pytest.mark.parametrize(
    "draw", [lambda: line_chart([CURVE], x_label="x", y_label="y"), lambda: bar_chart(["a"], [1.0], y_label="y")]
)
def test_same_input_same_bytes_and_nothing_from_outside(draw) -> None:
    svg = draw()
    assert svg == draw()
    assert svg.startswith("<svg")
    addresses = set(re.findall(r'(?:href|src)="([^"]*)"', svg))
    assert all(address.startswith("#") for address in addresses)


def test_picture_is_held_whole() -> None:
    buffer = BytesIO()
    Figure(figsize=(2, 1), dpi=50).savefig(buffer, format="png")
    root = ET.fromstring(png_figure(buffer.getvalue(), 'voxels "V1" <b>'))
    assert (root.get("width"), root.get("height")) == ("100", "50")
    assert root.findtext(f"{SVG}title") == 'voxels "V1" <b>'
    image = root.find(f"{SVG}image")
    assert image is not None
    assert image.get("href", "").startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: line_chart([], x_label="x", y_label="y"), "`series` is empty"),
        (lambda: line_chart([Series("a", [1, 2], [1])], x_label="x", y_label="y"), "2 x, 1 y"),
        (lambda: line_chart([Series("a", [1], [1], low=[0])], x_label="x", y_label="y"), "one end"),
        (lambda: line_chart([Series("a", [0, 1], [1, 2])], x_label="x", y_label="y", log_x=True), "above 0"),
        (lambda: bar_chart(["a", "b"], [1.0], y_label="y"), "2 labels, 1 values"),
        (lambda: bar_chart([], [], y_label="y"), "one or more"),
        (lambda: png_figure(b"GIF89a", "x"), "no PNG file"),
    ],
)
def test_errors_name_what_was_found(draw, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
