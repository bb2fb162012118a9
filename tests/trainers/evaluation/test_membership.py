# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Membership inference: what was learnt by heart is told, what was never seen is not; the interval keeps its level."""

import numpy as np
import pytest
from datasets import DatasetDict
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from trainers.evaluation.membership import measure_membership
from trainers.reports.membership import describe_membership, membership_section
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer
from trainers.statistics.auc import clustered_auc


class TestClusteredAuc:
    def test_is_the_area_under_the_curve(self):
        generator = np.random.default_rng(0)
        ones, others = generator.integers(0, 9, 40) + 1, generator.integers(0, 9, 60)
        groups, other_groups = generator.integers(0, 8, 40), generator.integers(0, 9, 60)
        found = clustered_auc(ones, others, groups, other_groups)
        expected = roc_auc_score([1] * 40 + [0] * 60, np.concatenate([ones, others]))
        assert found["auc"] == pytest.approx(expected, abs=1e-12)
        assert found["auc_low"] < found["auc"] < found["auc_high"]

    def test_perfect_separation_has_no_width(self):
        found = clustered_auc(np.arange(5) + 10, np.arange(6), [0, 0, 1, 1, 2], [0, 1, 2, 3, 4, 5])
        assert (found["auc"], found["auc_low"], found["auc_high"]) == (1.0, 1.0, 1.0)

    @pytest.mark.parametrize("shift", [0.0, 1.0])
    def test_interval_covers_the_truth_as_often_as_it_says(self, shift):
        """Values of a group go together: as if independent, the interval would cover far less often."""
        generator, covered, naive = np.random.default_rng(1), 0, 0
        groups = np.repeat(np.arange(20), 8)
        truth = norm.cdf(shift / np.sqrt(2 * (1 + 0.25)))
        for _ in range(200):
            one, other = (generator.normal(size=20)[groups] + 0.5 * generator.normal(size=160) for _ in range(2))
            found = clustered_auc(one + shift, other, groups, groups, num_resamples=400)
            covered += found["auc_low"] <= truth <= found["auc_high"]
            alone = clustered_auc(one + shift, other, np.arange(160), np.arange(160), num_resamples=400)
            naive += alone["auc_low"] <= truth <= alone["auc_high"]
        assert covered / 200 > 0.9
        assert naive / 200 < 0.75

    def test_one_group_has_no_interval(self):
        with pytest.raises(ValueError, match="of 1 and 3 groups"):
            clustered_auc(np.ones(4), np.ones(3), ["a"] * 4, ["a", "b", "c"])


@pytest.fixture
def splits(make_rows):
    """Brains that say nothing of their texts: who knows which belongs to which, has it by heart."""
    rows = make_rows(48, signal=0.0)
    places = {"train": range(48), "test": range(48, 96)}
    return DatasetDict({name: rows.select(place) for name, place in places.items()})


class TestModels:
    def test_nothing_is_told_from_an_untrained_model(self, make_model, make_processor, splits):
        model = make_model()
        rows = measure_membership(model, make_processor(model), splits, tasks=["continuation", "sentence"])
        assert len(rows) == 8
        for row in rows:
            assert row["auc_low"] <= 0.5 <= row["auc_high"], row
        assert "could not be told" in describe_membership(rows)

    def test_all_is_told_from_one_that_has_learnt_by_heart(self, make_model, make_processor, splits, tmp_path):
        model = make_model(hidden_size=64, num_hidden_layers=2)
        processor = make_processor(model)
        processor.feature_extractor.fit(np.concatenate([row["brain_values"] for row in splits["train"]]), "s1")
        args = BrainSFTConfig(
            output_dir=str(tmp_path), use_cpu=True, report_to=[], max_steps=500, learning_rate=1e-2,
            save_strategy="no", per_device_train_batch_size=24, disable_tqdm=True, reading="sentence",
        )  # fmt: skip
        BrainSFTTrainer(model, args, train_dataset=splits["train"], processing_class=processor).train()
        rows = measure_membership(model, processor, splits, tasks=["sentence"])
        told = {row["attack"]: row for row in rows}
        assert told["loss"]["auc"] > 0.95
        assert told["calibrated loss"]["auc"] > 0.95
        assert told["brain"]["auc"] > 0.9
        assert told["loss"]["auc_low"] > 0.9
        section = membership_section(rows)
        assert "Training data can be told from held-out data: AUC" in section.text
        assert section.name == "membership"

    def test_rows_are_taken_by_whole_groups(self, make_model, make_processor, splits):
        model = make_model()
        rows = measure_membership(model, make_processor(model), splits, tasks=["continuation"], max_rows=20)
        assert {(row["num_samples"], row["num_others"]) for row in rows} == {(20, 20)}
