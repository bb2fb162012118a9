# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Prompt tuning: the contrast by hand, invariances of the loss, what is learnt, what is saved."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.sft.objectives import draw_candidates, draw_segments, likelihood_contrast, summarize_pairs
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer, WithControlBrains


def loss_curve(trainer: BrainSFTTrainer) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def brain_weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "brain_" in name}


class TestLikelihoodContrast:
    def test_by_hand(self):
        losses = torch.tensor([[1.0, 2.0, 4.0], [3.0, 3.0, math.inf]])
        first = -math.log(math.exp(-0.5) / (math.exp(-0.5) + math.exp(-1.0) + math.exp(-2.0)))
        second = math.log(2.0)
        assert likelihood_contrast(losses, temperature=2.0).item() == pytest.approx((first + second) / 2, abs=1e-6)

    def test_what_all_brains_gain_cancels(self):
        losses = torch.rand(4, 3)
        torch.testing.assert_close(likelihood_contrast(losses + 5.0), likelihood_contrast(losses))

    def test_absent_candidates_have_no_gradient(self):
        losses = torch.tensor([[1.0, 2.0]], requires_grad=True)
        padded = torch.cat([losses, torch.full((1, 1), torch.inf)], dim=1)
        likelihood_contrast(padded).backward()
        assert torch.isfinite(losses.grad).all()

    def test_alone_is_zero(self):
        assert likelihood_contrast(torch.rand(3, 1)).item() == 0.0


class TestConditionDropout:
    def test_all_hidden_is_the_null_condition(self, make_model, make_trainer):
        """Whatever brain is hidden, the loss is that of an encoder output of zero; a visible one matters."""
        model = make_model(gate_init=0.9)
        trainer = make_trainer(model, condition_dropout=0.999_999)
        inputs = trainer.data_collator(list(trainer.train_dataset.select(range(4))))
        model.train()
        hidden = trainer.compute_loss(model, dict(inputs))
        swapped = {**inputs, "brain_values": inputs["brain_values"].flip(0)}
        assert trainer.compute_loss(model, swapped) == hidden
        trainer.args.condition_dropout = 0.0
        assert trainer.compute_loss(model, swapped) != trainer.compute_loss(model, dict(inputs))
        zeros = torch.zeros(len(inputs["brain_values"]), 1, model.config.encoder_config.hidden_size)
        null = {**{k: v for k, v in inputs.items() if k != "brain_values"}, "encoder_outputs": zeros}
        torch.testing.assert_close(trainer.compute_loss(model, null), hidden)

    def test_nothing_is_hidden_in_evaluation(self, make_model, make_trainer, make_rows):
        rows = make_rows(8)
        losses = [
            make_trainer(make_model(gate_init=0.9), eval_rows=rows, condition_dropout=share).evaluate()["eval_loss"]
            for share in (0.0, 0.9)
        ]
        assert losses[0] == losses[1]

    def test_not_beside_a_contrast(self, make_trainer):
        with pytest.raises(ValueError, match="`condition_dropout` must be in"):
            make_trainer(condition_dropout=0.5, contrastive_weight=1.0)


class TestSegments:
    def test_lie_within_their_text(self):
        num_tokens = torch.tensor([1, 3, 5, 20])
        segments = draw_segments(num_tokens, 200)
        assert segments.shape == (200, 4, 20)
        lengths = segments.sum(-1)
        assert set(lengths[:, 0].tolist()) == {1}
        assert set(lengths[:, 1].tolist()) == {3}
        assert set(lengths[:, 3].tolist()) == {3, 4, 5, 6, 7}
        assert not segments[:, 2, 5:].any()
        assert segments[:, 3].any(0).all()
        # In one piece: as many rises as segments.
        padded = torch.nn.functional.pad(segments.int(), (1, 0))
        assert (padded.diff(dim=-1) == 1).sum(-1).eq(1).all()

    def test_one_segment_of_all_short_texts_doubles_the_contrast(self, make_trainer, make_rows):
        rows = [row for row in make_rows(6) if row["sample_id"].endswith("/1")]
        losses = []
        for segments in (0, 1):
            trainer = make_trainer(contrastive_weight=1.0, num_negatives=7, contrastive_segments=segments)
            trainer.current_gradient_accumulation_steps = 1
            batch = trainer.data_collator(rows)
            trainer.compute_loss(trainer.model.eval(), batch)
            losses.append(trainer._logged_terms["contrast"][0].item())
        assert losses[1] == pytest.approx(2 * losses[0])


class TestCandidates:
    def test_never_of_the_own_group_or_another_block(self):
        brains, groups, blocks = [0, 0, 1, 2, 3, 4], ["a", "a", "a", "b", "c", "c"], [1, 1, 1, 1, 1, 2]
        for _ in range(20):
            drawn = draw_candidates(brains, groups, blocks, 2)
            assert drawn[:, 0].tolist() == brains
            assert set(drawn[0, 1:].tolist()) == {2, 3}
            assert drawn[5].tolist() == [4, -1, -1]

    def test_every_allowed_brain_is_equally_likely(self):
        rng = np.random.default_rng(0)
        brains, groups, blocks = (rng.integers(most, size=14).tolist() for most in (9, 4, 2))
        groups = list(map(str, groups))
        draws = torch.stack([draw_candidates(brains, groups, blocks, 3) for _ in range(3000)])
        for row, group in enumerate(groups):
            others = zip(brains, groups, blocks, strict=True)
            allowed = {brain for brain, other, block in others if other != group and block == blocks[row]}
            drawn = draws[:, row, 1:]
            assert set(drawn.flatten().tolist()) - {-1} == allowed
            assert (drawn >= 0).sum(1).unique().tolist() == [min(3, len(allowed))]
            for brain in allowed:  # as often as any other, and never twice for one text
                share = (drawn == brain).sum(1)
                assert share.max() == 1
                assert share.float().mean() == pytest.approx(min(1.0, 3 / len(allowed)), abs=0.05)

    def test_rows_without_frames_have_control_brains(self):
        """Embeddings and voxels have no mask of frames; their texts are one block of their subject all the same."""
        inputs = {"brain_index": torch.arange(6), "group": list("aabbcc"), "subject": ["one"] * 6}
        drawn = BrainSFTTrainer._draw_candidates(None, inputs, 3)
        assert drawn.shape == (6, 4)
        assert (drawn >= 0).all()

    def test_the_cost_is_that_of_the_batch(self):
        """Groups are looked at so many times a text, however large the batch."""

        class Watched(str):
            looks = 0

            def __eq__(self, other):
                Watched.looks += 1
                return str.__eq__(self, other)

            def __ne__(self, other):
                Watched.looks += 1
                return str.__ne__(self, other)

            def __hash__(self):
                Watched.looks += 1
                return str.__hash__(self)

        looks = []
        for size in (16, 32, 64, 128):
            Watched.looks = 0
            draw_candidates(range(size), [Watched(i) for i in range(size)], ["one"] * size, 3)
            looks.append(Watched.looks / size)
        assert len(set(looks)) == 1

    def test_pairs_by_hand(self):
        losses, tokens = np.array([[2.0, 4.0, 2.0], [3.0, 1.5, 6.0]]), np.array([2, 3])
        summary = summarize_pairs(losses, tokens)
        assert summary["loss"] == pytest.approx(1.0)
        assert summary["pairwise_accuracy"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
        assert summary["pairwise_gap"] == pytest.approx((1 + 0 - 0.5 + 1) / 4)

    def test_donors_come_from_other_groups(self, make_rows):
        rows = make_rows(10)
        with_control_brains = WithControlBrains(rows, num_control_brains=3, seed=0)
        for i in range(len(rows)):
            assert all(
                control_brain["group"] != rows[i]["group"]
                for control_brain in with_control_brains[i]["control_brains"]
            )

    def test_one_group_is_an_error(self, make_rows):
        with pytest.raises(ValueError, match="group"):
            WithControlBrains(make_rows(2), num_control_brains=1, seed=0)


class TestLoss:
    def test_is_the_mean_over_tokens_of_an_independent_forward(self, make_trainer, make_rows):
        trainer = make_trainer()
        batch = trainer.data_collator(list(make_rows(4)))
        model = trainer.model.eval()
        names = ("input_ids", "attention_mask", "brain_values", "brain_index")
        logits = model(**{name: batch[name] for name in names}).logits
        shifted = logits[:, :-1].reshape(-1, logits.shape[-1])
        expected = torch.nn.functional.cross_entropy(shifted, batch["labels"][:, 1:].reshape(-1))
        torch.testing.assert_close(trainer.compute_loss(model, batch), expected)

    def test_contrast_scores_each_text_under_each_candidate(self, make_trainer, make_rows):
        trainer = make_trainer(contrastive_weight=2.0, contrastive_temperature=3.0, num_negatives=7)
        rows = list(make_rows(6))
        batch, model = trainer.data_collator(rows), trainer.model.eval()
        trainer.current_gradient_accumulation_steps = 1
        sums = torch.full((12, 6), torch.inf)
        for brain in range(6):
            index = torch.full((12,), brain)
            names = ("input_ids", "attention_mask", "labels", "brain_values")
            losses, text = model.token_losses(**{name: batch[name] for name in names}, brain_index=index)
            sums[:, brain] = torch.zeros(12).index_add(0, text, losses)
        own = batch["brain_index"]
        others = torch.arange(6)[None].floor_divide(2) != own[:, None].floor_divide(2)
        candidates = torch.cat([sums.gather(1, own[:, None]), sums.masked_fill(~others, torch.inf)], dim=1)
        num_tokens = batch["labels"].ne(-100).sum()
        expected = candidates[:, 0].sum() / num_tokens + 2.0 * likelihood_contrast(candidates, 3.0)
        torch.testing.assert_close(trainer.compute_loss(model, batch), expected)

    def test_accumulation_1x8_equals_8x1(self, make_trainer):
        one = loss_curve(make_trainer(per_device_train_batch_size=1, gradient_accumulation_steps=8))
        eight = loss_curve(make_trainer(per_device_train_batch_size=8, gradient_accumulation_steps=1))
        np.testing.assert_allclose(one, eight, atol=1e-5)
        assert len(one) == 8

    def test_nan_names_step_and_samples(self, make_trainer, make_rows):
        trainer = make_trainer()
        with torch.no_grad():
            trainer.model.model.brain_interface.projector.output.weight.fill_(torch.nan)
        with pytest.raises(FloatingPointError, match=r"loss of step 1 is nan, in the batch of samples tiny/"):
            trainer.train()

    def test_evaluation_pairs_equal_permuted_forward(self, make_trainer, make_rows):
        rows = make_rows(8, seed=3)
        trainer = make_trainer(eval_rows=rows, eval_permutations=1)
        metrics = trainer.evaluate()
        control_brains = [pair[0] for pair in trainer.eval_dataset.control_brains]
        own, other = [], []
        for i, control_brain in enumerate(control_brains):
            batch = trainer.data_collator([rows[i]])
            swapped = trainer.data_collator([{**rows[i], "brain_values": rows[control_brain]["brain_values"]}])
            with torch.no_grad():
                for store, inputs in ((own, batch), (other, swapped)):
                    for name in ("sample_id", "group", "subject"):
                        inputs.pop(name)
                    store.append(trainer.model.token_losses(**inputs)[0].mean().item())
        assert metrics["eval_pairwise_accuracy"] == pytest.approx(np.mean(np.array(own) < np.array(other)))
        assert metrics["eval_pairwise_gap"] == pytest.approx(np.mean(np.array(other) - np.array(own)), abs=1e-5)


class TestLearning:
    @pytest.mark.parametrize("contrastive_weight", [0.0, 0.5])
    def test_finds_the_planted_signal(self, make_trainer, make_rows, contrastive_weight):
        trainer = make_trainer(
            eval_rows=make_rows(seed=1),
            max_steps=90,
            contrastive_weight=contrastive_weight,
            per_device_train_batch_size=16,
        )
        before = trainer.evaluate()
        trainer.train()
        after = trainer.evaluate()
        assert after["eval_loss"] < before["eval_loss"] - 0.5
        # Donors of the same colour say the same: they are a quarter of all pairs and come out as chance.
        assert after["eval_pairwise_accuracy"] > 0.8

    def test_loses_it_when_brains_are_shuffled(self, make_trainer, make_rows):
        rows = make_rows()
        shuffled = rows.remove_columns("brain_values").add_column(
            "brain_values", list(rows["brain_values"][20:]) + list(rows["brain_values"][:20])
        )
        trainer = make_trainer(rows=shuffled, eval_rows=make_rows(seed=1), max_steps=90, contrastive_weight=0.5)
        trainer.train()
        assert trainer.evaluate()["eval_pairwise_accuracy"] < 0.65

    def test_only_the_brain_modules_move(self, make_trainer):
        trainer = make_trainer()
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.train()
        moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
        assert moved
        assert all("brain_" in name for name in moved)

    def test_learning_rate_per_part(self, make_trainer):
        trainer = make_trainer(encoder_learning_rate=0.0, interface_learning_rate=5e-3)
        before = brain_weights(trainer.model)
        trainer.train()
        assert sorted(group["lr"] for group in trainer.optimizer.param_groups) == [0.0, 5e-3]
        for name, weight in brain_weights(trainer.model).items():
            assert torch.equal(weight, before[name]) == ("brain_encoder" in name)

    def test_cross_attention_gate_has_its_own_rate(self, make_trainer, make_model):
        model = make_model(config_kwargs={"interface": "cross_attention", "adapter_layers": [0]})
        trainer = make_trainer(model=model, gate_learning_rate_ratio=50.0, max_steps=1)
        trainer.create_optimizer()
        sizes = {group["lr"]: len(group["params"]) for group in trainer.optimizer.param_groups}
        assert sizes[0.5] == 1
        trainer.train()


class TestCheckpoints:
    def test_resume_equals_undisturbed(self, make_trainer, tmp_path):
        options = {
            "max_steps": 8,
            "contrastive_weight": 0.5,
            "per_device_train_batch_size": 5,
            "dataloader_drop_last": True,
        }
        whole = make_trainer(**options, folder="whole")
        whole.train()
        halted = make_trainer(**options, folder="halted", save_strategy="steps", save_steps=3)
        halted.train()
        resumed = make_trainer(**options, folder="resumed")
        resumed.train(resume_from_checkpoint=str(tmp_path / "halted" / "checkpoint-3"))
        for name, weight in brain_weights(whole.model).items():
            torch.testing.assert_close(
                dict(resumed.model.named_parameters())[name].detach(), weight, atol=1e-7, rtol=0
            )

    def test_slim_checkpoint_with_processor_reloads(self, make_trainer, make_rows, tmp_path):
        trainer = make_trainer(eval_rows=make_rows(seed=1))
        trainer.train()
        expected = trainer.evaluate()["eval_loss"]
        trainer.save_model(tmp_path / "saved")
        assert not [name for name in load_file(tmp_path / "saved" / "model.safetensors") if "language_model" in name]
        model = BrainLlamaForCausalLM.from_pretrained(tmp_path / "saved")
        BrainLlamaProcessor.from_pretrained(tmp_path / "saved").check_config(model.config)
        reloaded = make_trainer(model=model, eval_rows=make_rows(seed=1))
        assert reloaded.evaluate()["eval_loss"] == pytest.approx(expected, abs=1e-6)

    def test_best_by_pairwise_gap_is_kept(self, make_trainer, make_rows):
        trainer = make_trainer(
            eval_rows=make_rows(seed=1), max_steps=24, eval_strategy="steps", eval_steps=4, save_strategy="steps",
            save_steps=4, load_best_model_at_end=True, metric_for_best_model="pairwise_gap", greater_is_better=True,
            save_total_limit=1, learning_rate=0.3,
        )  # fmt: skip
        trainer.train()
        gaps = [e["eval_pairwise_gap"] for e in trainer.state.log_history if "eval_pairwise_gap" in e]
        assert trainer.state.best_metric == max(gaps)
        assert trainer.evaluate()["eval_pairwise_gap"] == pytest.approx(max(gaps), abs=1e-6)

    def test_stops_when_nothing_improves(self, make_trainer, make_rows):
        trainer = make_trainer(
            eval_rows=make_rows(seed=1), eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1,
            load_best_model_at_end=True, save_total_limit=1, early_stopping_patience=3, learning_rate=0.0,
        )  # fmt: skip
        trainer.train()
        assert trainer.state.global_step == 4

    def test_resuming_does_not_warn_of_the_language_model(self, make_trainer, tmp_path, caplog):
        make_trainer(folder="halted", save_strategy="steps", save_steps=3).train()
        make_trainer(folder="resumed").train(resume_from_checkpoint=str(tmp_path / "halted" / "checkpoint-3"))
        assert "missing keys" not in caplog.text


class TestOptions:
    def test_removing_columns_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="remove_unused_columns"):
            BrainSFTConfig(output_dir=tmp_path, remove_unused_columns=True)

    def test_contrast_needs_negatives(self, tmp_path):
        with pytest.raises(ValueError, match="num_negatives"):
            BrainSFTConfig(output_dir=tmp_path, contrastive_weight=1.0, num_negatives=0)


def test_rows_of_a_corpus_come_in_batches_of_like_length(make_model, make_processor, make_rows, tmp_path):
    """They have no column `length`: words are counted, each row comes once, and the order is that of the seed."""
    model, rows = make_model(), make_rows(40)
    rows = rows.map(
        lambda row, place: {"completion": "very " * (place * 7 % 10) + row["completion"]}, with_indices=True
    )
    options = {"use_cpu": True, "report_to": "none", "per_device_train_batch_size": 4}
    args = BrainSFTConfig(output_dir=str(tmp_path), train_sampling_strategy="group_by_length", **options)
    trainer = BrainSFTTrainer(model, args, train_dataset=rows, processing_class=make_processor(model))
    order, again = list(trainer._get_train_sampler()), list(trainer._get_train_sampler())
    assert order == again
    assert sorted(order) == list(range(len(rows)))
    words = np.array([len(f"{row['prompt']} {row['completion']}".split()) for row in rows])
    assert np.mean(np.ptp(words[order].reshape(-1, 4), axis=1)) < np.mean(np.ptp(words.reshape(-1, 4), axis=1))


class TestRowsThatDoNotFit:
    def test_a_text_longer_than_the_language_model_reads(self, make_trainer, make_rows):
        most = make_trainer().model.config.text_config.max_position_embeddings
        long = {"prompt": "the cat " * most}
        rows = make_rows(8).map(lambda row, i: long if i == 3 else {}, with_indices=True)
        with pytest.raises(
            ValueError, match=rf"has \d+ tokens, but the language model has {most} positions.*max_prompt"
        ):
            make_trainer(rows=rows, max_steps=4).train()
        make_trainer(rows=rows, max_steps=4, max_prompt_tokens=20).train()

    @pytest.mark.parametrize("completion", [None, "", "  "])
    def test_no_completion(self, make_trainer, make_rows, completion):
        rows = make_rows(8).map(lambda row: {"completion": completion})
        with pytest.raises(ValueError, match=r"Row 'tiny/.* has an empty completion"):
            make_trainer(rows=rows).train()

    def test_label_smoothing_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"`label_smoothing_factor=0\.1` has no part in the loss"):
            BrainSFTConfig(output_dir=tmp_path, label_smoothing_factor=0.1)
