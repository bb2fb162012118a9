# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Rows that are given to `evaluate` and `predict` are scored like those of the trainer."""

import pytest
import torch


class TestEvaluationOfOtherRows:
    """The same rows have the same scores, on whatever way they come in."""

    def test_given_to_the_call_to_the_trainer_or_by_name(self, make_trainer, make_rows):
        rows = make_rows(8, seed=1)
        named = {"a": rows, "b": make_rows(8, seed=2)}
        expected = make_trainer(eval_rows=rows).evaluate()
        kinds = ("loss", "pairwise_accuracy", "pairwise_gap")
        call = make_trainer().evaluate(rows)
        assert [call[f"eval_{kind}"] for kind in kinds] == [expected[f"eval_{kind}"] for kind in kinds]
        predicted = make_trainer().predict(rows).metrics
        assert [predicted[f"test_{kind}"] for kind in kinds] == [expected[f"eval_{kind}"] for kind in kinds]
        both = [make_trainer(eval_rows=named).evaluate(), make_trainer().evaluate(named)]
        for found in both:
            assert [found[f"eval_a_{kind}"] for kind in kinds] == [expected[f"eval_{kind}"] for kind in kinds]
            assert found["eval_b_loss"] != found["eval_a_loss"]

    def test_several_sets_during_training(self, make_trainer, make_rows):
        named = {"a": make_rows(8, seed=1), "b": make_rows(8, seed=2)}
        options = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
        best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_b_pairwise_gap", "max_steps": 4}
        trainer = make_trainer(eval_rows=named, **options, **best)
        trainer.train()
        gaps = [entry["eval_b_pairwise_gap"] for entry in trainer.state.log_history if "eval_b_pairwise_gap" in entry]
        assert trainer.state.best_metric == max(gaps)

    @pytest.mark.parametrize("reading", ["sentence", "mixed"])
    def test_task_of_the_options(self, make_trainer, make_rows, reading):
        rows = make_rows(8, seed=1)
        expected = make_trainer(eval_rows=rows, reading=reading).evaluate()["eval_loss"]
        assert make_trainer(reading=reading).evaluate(rows)["eval_loss"] == expected
        assert make_trainer().evaluate(rows)["eval_loss"] != pytest.approx(expected, rel=1e-3)

    def test_streams_empty_sets_and_shared_ids_are_refused(self, make_trainer, make_rows):
        rows = make_rows(8, seed=1)
        for given in (rows.to_iterable_dataset(), {"a": rows.to_iterable_dataset()}):
            with pytest.raises(ValueError, match=r"IterableDataset without a length.*from_list"):
                make_trainer().evaluate(given)
        with pytest.raises(ValueError, match="split is empty"):
            make_trainer().evaluate(rows.select([]))
        with pytest.raises(ValueError, match="split is empty"):
            make_trainer(rows=rows.select([]))
        shared = rows.map(lambda row, i: {"subject": f"s{i % 2}"}, with_indices=True)
        for given in ({"rows": shared}, {"eval_rows": shared}):
            with pytest.raises(ValueError, match=r"`brain_id` 'tiny/0' is given to subjects 's0' and 's1'"):
                make_trainer(**given)

    def test_broken_weights_are_named(self, make_trainer, make_rows):
        trainer = make_trainer(eval_rows=make_rows(8, seed=1))
        with torch.no_grad():
            trainer.model.model.brain_interface.projector.output.weight.fill_(torch.nan)
        with pytest.raises(FloatingPointError, match=r"evaluated samples .* is NaN or infinite"):
            trainer.evaluate()
