# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Draws `docs/overview.svg`, the picture of README.md: how a recording becomes text, and what each text is held against.

    python docs/overview.py
"""

import math
from pathlib import Path


FONT = 'font-family="system-ui, sans-serif"'
INK, SOFT, BRAIN, OTHER, NONE = "#1f2937", "#6b7280", "#0f766e", "#b45309", "#6b7280"
# Whose brain, its color, and what stands beside it.
ARMS = (
    ("its own brain", BRAIN, "what was decoded"),
    ("another passage's brain", OTHER, "the control"),
    ("no brain", NONE, "what the model knows by itself"),
)
STEPS = (("encoder", "frames or voxels"), ("interface", "prefix or cross-attention"), ("Llama", "frozen"))


def text(x: float, y: float, words: str, color: str = INK, size: int = 14, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{color}" font-size="{size}" text-anchor="{anchor}" {FONT}>{words}</text>'


def box(x: float, y: float, width: float, title: str, below: str) -> str:
    middle = x + width / 2
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="56" rx="8" fill="#f8fafc" stroke="{SOFT}"/>'
    return frame + text(middle, y + 25, title, anchor="middle") + text(middle, y + 44, below, SOFT, 11, "middle")


def arrow(x: float, y: float, length: float, color: str) -> str:
    head = f'<path d="M{x + length} {y} l-7 -4 v8 z" fill="{color}"/>'
    return f'<path d="M{x} {y} h{length - 6}" stroke="{color}" stroke-width="2"/>' + head


def recording(x: float, y: float, color: str, number: int) -> str:
    """A few seconds of signal; flat where there is no brain."""
    heights = (10 * math.sin(0.16 * t + number) * math.cos(0.05 * t * (number + 1)) for t in range(0, 91, 3))
    flat = color == NONE
    points = " ".join(f"{x + 3 * i},{y if flat else y + height:.1f}" for i, height in enumerate(heights))
    dashes = ' stroke-dasharray="3 4"' if flat else ""
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>'


def draw() -> str:
    parts = ['<rect width="900" height="220" fill="#ffffff"/>']
    for number, (whose, color, meaning) in enumerate(ARMS):
        y = 50 + 60 * number
        parts += [
            text(20, y - 14, whose, color, 13),
            recording(20, y + 10, color, number),
            arrow(122, y + 10, 40, color),
        ]
        parts += [arrow(628, y + 10, 40, color), text(680, y + 7, "a text, its likelihood", color, 14)]
        parts += [text(680, y + 24, meaning, SOFT, 11)]
    for number, (title, below) in enumerate(STEPS):
        parts.append(box(172 + 156 * number, 92, 140, title, below))
        parts += [arrow(312 + 156 * number, 120, 16, SOFT)] if number < len(STEPS) - 1 else []
    parts.append(text(396, 200, "the same model, the same prompt, the same decoding", SOFT, 12, "middle"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 220" role="img" '
        'aria-label="One model decodes each text from its own brain, from another passage\'s brain and from none">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
