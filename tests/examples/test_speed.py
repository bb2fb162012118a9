# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the scripts of `examples/benchmarks/speed` count, at toy size: whole numbers, the same on every machine."""

import sys

import numpy as np
import pytest
import torch
from repository import REPOSITORY


sys.path.insert(0, str(REPOSITORY / "examples" / "benchmarks" / "speed"))
import candidates
import constant_caption
import head
import measuring
import padding
import ridge
import table

from modeling_brainllm import modeling_brain_head
from trainers.statistics.ridge import fit_ridge


class TestWatch:
    def test_bytes_that_live_at_once(self):
        known = torch.zeros(1000)
        with measuring.Watch(known) as watch:
            first = torch.ones(10)
            second = first + 1
            del first
            third = known.view(10, 100)[0, :10] * second
            third.sum().item()
        # Two of the three vectors live at any time, and the sum beside them.
        assert (watch.peak, watch.largest, watch.syncs) == (84, 40, 1)
        assert watch.live == 80

    def test_meta_needs_no_memory(self):
        with measuring.Watch() as watch:
            huge = torch.empty(2**40, device="meta")
        assert watch.peak == huge.numel() * 4


def test_ridge_decomposes_once_a_fold():
    # Thirteen penalties in five folds, the best on all rows, and its five folds anew.
    counts = {"decompositions": 5, "solutions": 1, "solutions of scikit-learn": 13 * 5 + 1 + 5}
    assert ridge.count() == counts


def test_ridge_by_both_ways():
    data = ridge.plant(60, 90, 4)
    alpha, crossed = ridge.by_scikit_learn(*data)
    ours = fit_ridge(*data)
    assert ours.alpha == alpha
    np.testing.assert_allclose(ours.cross_fitted, crossed, atol=1e-9)


class TestHead:
    def test_no_tensor_of_all_logits(self, monkeypatch):
        labels, vocabulary, width, at_once = 96, 1000, 8, 12
        monkeypatch.setattr(modeling_brain_head, "LOGITS_AT_ONCE", at_once * vocabulary)
        counts = head.count(labels, vocabulary, width)
        assert counts["largest tensor before"] == 4 * labels * vocabulary
        assert counts["largest tensor after"] == 4 * at_once * vocabulary

    def test_the_peak_at_the_real_vocabulary(self):
        """64 brains, five captions of twelve tokens: within 256 MiB beside the states' gradients."""
        counts = head.count()
        assert counts["largest tensor before"] == 4 * 3840 * 128256
        assert counts["largest tensor after"] == 4 * 128256 * (2**24 // 128256)
        assert counts["peak bytes after"] - counts["of these activations"] < 256 * 2**20

    def test_both_ways_have_one_gradient(self):
        results = []
        for whole in (True, False):
            torch.manual_seed(0)
            run, _, states = head.step(300, 2**16, 4, "cpu", whole, torch.float32)
            run()
            results.append(states.grad.clone())
        torch.testing.assert_close(*results, atol=1e-7, rtol=1e-5)


def test_groups_are_looked_at_four_times_a_text():
    assert [candidates.count(size) for size in (16, 64, 256)] == [64, 256, 1024]


def test_padding_of_an_epoch():
    counts = padding.count(12000, 16)
    assert counts["padding after"] / (counts["tokens"] + counts["padding after"]) < 0.02
    # Batches of one have none, whatever their order.
    assert padding.count(50, 1) == {"tokens": counts_of_tokens(50)} | dict.fromkeys(
        ("padding random", "padding before", "padding after"), 0
    )


def counts_of_tokens(rows: int) -> int:
    return int(padding.draw_lengths(rows)[1].sum())


def test_no_pair_of_caption_and_reference_is_compared():
    references = [["a cat on a mat", "a cat"], ["a dog", "the dog runs", "dogs"], ["a bird"]]
    counts = constant_caption.count(references, ["a cat", "the dog", "a bird on a mat", "a"])
    assert counts == {"pairs before": 4 * 6, "pairs after": 0}


class TestTable:
    def test_every_row_has_its_script_and_says_what_was_not_run(self):
        folder = REPOSITORY / "examples" / "benchmarks" / "speed"
        assert {row.script for row in table.ROWS} == {
            path.stem for path in folder.glob("*.py") if path.stem not in ("measuring", "table")
        }
        page = (REPOSITORY / "examples" / "benchmarks" / "results" / "speed.md").read_text()
        for row in table.ROWS:
            assert f"| {row.number} |" in page
        assert table.NOT_RUN in page

    def test_a_figure_that_is_not_there(self):
        with pytest.raises(KeyError, match="seconds"):
            table.look_up({"counts": {}}, "seconds.before")
