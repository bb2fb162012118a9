# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Alignment: the loss by hand, what is learnt and what is not, errors, resuming, evaluation."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from voxel_corpus import WIDTH, write_voxel_corpus

from modeling_brainllm import BrainContrastiveModel, BrainLlamaFeatureExtractor
from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive.contrastive_collator import ContrastiveCollator
from trainers.contrastive.contrastive_config import BrainContrastiveTrainingConfig
from trainers.contrastive.contrastive_trainer import BrainContrastiveTrainer
from trainers.contrastive.info_nce import image_numbers, info_nce, symmetric_info_nce
from trainers.data.corpora import load_corpus_splits
from trainers.data.target_embeddings import add_image_embeddings
from trainers.loading import load_contrastive_model


ENCODER = {"num_queries": 32, "key_size": 16, "num_frequencies": 16, "num_tokens": 2, "hidden_size": 16}
ENCODER |= {"token_code_size": 8, "num_residual_layers": 1, "input_dropout": 0.0, "dropout": 0.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=60)


@pytest.fixture(scope="module")
def splits(corpus):
    return load_corpus_splits(DataArguments(dataset=str(corpus)))


@pytest.fixture
def make_trainer(corpus, splits, tmp_path):
    def make(rows=None, eval_rows=None, folder="run", dropout=0.0, spaces=None, **options) -> BrainContrastiveTrainer:
        rows = splits["train"] if rows is None else rows
        args = EncoderArguments(encoder_type="voxels", voxel_encoder={**ENCODER, "input_dropout": dropout})
        torch.manual_seed(0)
        model, extractor = load_contrastive_model(args, TargetArguments(), spaces or rows, False, str(corpus))
        options = {
            "per_device_train_batch_size": 30, "max_steps": 4, "learning_rate": 3e-3, "logging_steps": 1,
            "save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "report_to": "none", **options,
        }  # fmt: skip
        return BrainContrastiveTrainer(
            model,
            BrainContrastiveTrainingConfig(output_dir=tmp_path / folder, **options),
            train_dataset=rows,
            eval_dataset=eval_rows,
            processing_class=extractor,
        )

    return make


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


class TestLoss:
    def test_is_that_of_clip_for_distinct_images(self):
        brains, targets = (nn.functional.normalize(torch.randn(5, 4), dim=-1) for _ in range(2))
        logits = 3.0 * brains @ targets.T
        expected = nn.functional.cross_entropy(logits, torch.arange(5))
        expected = (expected + nn.functional.cross_entropy(logits.T, torch.arange(5))) / 2
        torch.testing.assert_close(symmetric_info_nce(brains, targets, torch.arange(5), torch.tensor(3.0)), expected)

    def test_two_brains_of_one_image_by_hand(self):
        similarity = torch.tensor([[1.0, 0.5, -1.0]])
        positive = torch.tensor([[True, True, False]])
        one, two = (-math.log(math.exp(s) / (math.exp(s) + math.exp(-1.0))) for s in (1.0, 0.5))
        assert info_nce(similarity, positive).item() == pytest.approx((one + two) / 2, abs=1e-6)

    def test_rows_of_one_image_do_not_repel_each_other(self):
        """Moving a brain towards another of the same image never costs: its gradient lies along the targets only."""
        brains = nn.functional.normalize(torch.randn(3, 4), dim=-1).requires_grad_()
        target = nn.functional.normalize(torch.randn(1, 4), dim=-1)
        loss = symmetric_info_nce(brains, target.repeat(3, 1), torch.tensor([1, 1, 1]), torch.tensor(10.0))
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(brains.grad, torch.zeros(3, 4))

    def test_a_repeat_changes_no_other_row(self):
        """A second brain of image 0 is no negative of the first, and no further negative within its row."""
        brains, targets = (nn.functional.normalize(torch.randn(4, 4), dim=-1) for _ in range(2))
        images, scale = torch.arange(4), torch.tensor(5.0)
        more = torch.cat([brains, brains[:1]]), torch.cat([targets, targets[:1]]), torch.cat([images, images[:1]])
        rows = info_nce(scale * more[0] @ more[1].T, more[2][:, None] == more[2])
        alone = info_nce(scale * brains @ targets.T, images[:, None] == images)
        torch.testing.assert_close(rows[0], alone[0])
        torch.testing.assert_close(rows[4], alone[0])

    def test_gradient_is_right(self):
        targets, images = torch.randn(5, 3, dtype=torch.double), torch.tensor([0, 1, 1, 2, 0])
        brains, scale = torch.randn(5, 3, dtype=torch.double), torch.tensor(2.0, dtype=torch.double)
        inputs = (brains.requires_grad_(), scale.requires_grad_())
        assert torch.autograd.gradcheck(lambda b, s: symmetric_info_nce(b, targets, images, s), inputs)

    def test_names_of_images_become_numbers(self):
        numbers = image_numbers(["nsd/1", "nsd/2", "nsd/1"])
        assert numbers[0] == numbers[2] != numbers[1]
        assert len(set(image_numbers([f"nsd/{i}" for i in range(1, 73_001)]).tolist())) == 73_000

    def test_trainer_weighs_the_pairs(self, make_trainer, splits):
        images = {group: np.random.default_rng(len(group)).standard_normal(3) for group in splits["train"]["group"]}
        rows = add_image_embeddings(type(splits)(train=splits["train"]), images)["train"]
        trainer = make_trainer(rows=rows, text_weight=3.0)
        batch = trainer.data_collator([rows[i] for i in (0, 5, 70, 130)])
        outputs = trainer.model.eval()(**{k: v for k, v in batch.items() if k.startswith(("brain", "voxel"))})
        pairs, scale = [], torch.tensor(1 / 0.07)
        for name in ("text", "image"):
            targets = nn.functional.normalize(batch[f"{name}_embedding"], dim=-1)
            pairs.append(symmetric_info_nce(outputs.embeddings[name], targets, batch["image_number"], scale))
        expected = (3 * pairs[0] + pairs[1]) / 4
        torch.testing.assert_close(trainer.compute_loss(trainer.model, batch), expected)


class TestLearning:
    def test_finds_the_planted_signal_in_a_brain_it_has_never_met(self, make_trainer, splits):
        """Trained on two people, tested on the third: their only bond is where voxels lie."""
        train = splits["train"].filter(lambda subject: subject != "s3", input_columns="subject")
        held_out = splits["test"].filter(lambda subject: subject == "s3", input_columns="subject")
        trainer = make_trainer(rows=train, eval_rows=held_out, max_steps=120)
        before = trainer.evaluate()
        trainer.train()
        after = trainer.evaluate()
        assert (after["eval_text_gallery_size"], after["eval_num_queries"]) == (20, 20)
        assert before["eval_text_median_rank"] > 6
        assert after["eval_text_median_rank"] <= 3
        assert after["eval_text_recall_at_5"] > 0.7
        for arm in ("shuffled", "zero"):
            assert after[f"eval_text_{arm}_median_rank"] > 7
            assert after[f"eval_text_{arm}_recall_at_5"] < 0.5

    def test_loses_it_when_brains_are_shuffled(self, make_trainer, splits):
        """Each person's brains are dealt out anew, so that not even a wrong pairing is common to all."""
        rows, order = splits["train"], []
        for number, subject in enumerate(dict.fromkeys(rows["subject"])):
            own = np.array([i for i, name in enumerate(rows["subject"]) if name == subject])
            order += np.random.default_rng(number).permutation(own).tolist()
        values = [np.asarray(rows[i]["brain_values"]).tolist() for i in order]
        shuffled = rows.remove_columns("brain_values").add_column("brain_values", values)
        trainer = make_trainer(rows=shuffled, eval_rows=splits["test"], max_steps=120)
        trainer.train()
        assert trainer.evaluate()["eval_text_median_rank"] > 6

    def test_temperature_learns_without_decay(self, make_trainer):
        trainer = make_trainer(weight_decay=0.5)
        start = trainer.model.log_scales.item()
        trainer.train()
        assert trainer.model.log_scales.item() != start
        decays = {group["weight_decay"]: group["params"] for group in trainer.optimizer.param_groups}
        assert any(parameter is trainer.model.log_scales for parameter in decays[0.0])


class TestEvaluation:
    def test_best_by_retrieval_is_kept(self, make_trainer, splits):
        trainer = make_trainer(
            eval_rows=splits["validation"], max_steps=24, eval_strategy="steps", eval_steps=4, save_strategy="steps",
            save_steps=4, load_best_model_at_end=True, save_total_limit=1, learning_rate=0.1,
        )  # fmt: skip
        trainer.train()
        found = [
            entry["eval_mean_reciprocal_rank"]
            for entry in trainer.state.log_history
            if "eval_mean_reciprocal_rank" in entry
        ]
        assert trainer.state.best_metric == max(found)
        assert trainer.evaluate()["eval_mean_reciprocal_rank"] == pytest.approx(max(found))

    def test_stops_when_nothing_improves(self, make_trainer, splits):
        trainer = make_trainer(
            eval_rows=splits["validation"], eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1,
            load_best_model_at_end=True, save_total_limit=1, early_stopping_patience=2, learning_rate=0.0, max_steps=9,
        )  # fmt: skip
        trainer.train()
        assert trainer.state.global_step == 3

    def test_several_splits_by_name(self, make_trainer, splits):
        trainer = make_trainer(eval_rows={"seen": splits["validation"], "unseen": splits["test"]})
        metrics = trainer.evaluate()
        assert {"eval_seen_text_recall_at_1", "eval_unseen_text_zero_median_rank"} <= set(metrics)

    def test_without_rows(self, make_trainer):
        with pytest.raises(ValueError, match="`evaluate` needs rows"):
            make_trainer().evaluate()


class TestCheckpoints:
    def test_resume_equals_undisturbed_bit_for_bit(self, make_trainer, splits, tmp_path):
        """With dropout, mixed subjects, and an evaluation on the way; step 8 lies in the second epoch."""
        evaluated = {"eval_rows": splits["validation"], "eval_strategy": "steps", "eval_steps": 2}
        options = {"max_steps": 9, "dropout": 0.3, **evaluated}
        whole = make_trainer(**options, folder="whole")
        whole.train()
        make_trainer(**options, folder="halted", save_strategy="steps", save_steps=5).train()
        resumed = make_trainer(**options, folder="resumed")
        resumed.train(resume_from_checkpoint=str(tmp_path / "halted" / "checkpoint-5"))
        for name, value in weights(whole).items():
            assert torch.equal(weights(resumed)[name], value), name
        losses = [[e["loss"] for e in t.state.log_history if "loss" in e][-4:] for t in (whole, resumed)]
        assert losses[0] == losses[1]

    def test_checkpoint_is_whole(self, make_trainer, splits, tmp_path):
        trainer = make_trainer(eval_rows=splits["test"])
        trainer.train()
        expected = trainer.evaluate()
        trainer.save_model(tmp_path / "saved")
        from trainers.contrastive.encoder_diagnostics import diagnose_encoder

        model = BrainContrastiveModel.from_pretrained(tmp_path / "saved")
        extractor = BrainLlamaFeatureExtractor.from_pretrained(tmp_path / "saved")
        found = diagnose_encoder(model, extractor, splits["test"], 8, trainer.args.seed)
        assert found["text_recall_at_5"] == expected["eval_text_recall_at_5"]
        assert found["cos_real_zero"] == pytest.approx(expected["eval_cos_real_zero"], abs=1e-6)

    def test_nan_stops_the_step_names_the_sample_and_leaves_the_checkpoint(self, make_trainer, splits, tmp_path):
        trainer = make_trainer(max_steps=8, save_strategy="steps", save_steps=2, per_device_train_batch_size=15)
        collate, steps = trainer.data_collator, []

        def break_one(rows):
            steps.append(len(rows))
            batch = collate(rows)
            if len(steps) == 4:
                batch["brain_values"][0][0, 0] = float("inf")
            return batch

        trainer.data_collator = break_one
        message = r"loss of step 4 is nan, in the batch of samples tiny/s\d/[^,]*\. "
        with pytest.raises(FloatingPointError, match=message):
            trainer.train()
        assert sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-2"]
        model = BrainContrastiveModel.from_pretrained(tmp_path / "run" / "checkpoint-2")
        assert all(torch.isfinite(value).all() for value in model.state_dict().values())


class TestBadInput:
    def test_rows_without_the_column_of_a_space(self, make_trainer, splits):
        bare = splits["train"].remove_columns("text_embedding")
        with pytest.raises(ValueError, match="rows have no column text_embedding"):
            make_trainer(rows=bare, spaces=splits["train"])

    def test_no_targets_at_all(self, make_trainer, splits):
        with pytest.raises(ValueError, match="no column text_embedding or image_embedding"):
            make_trainer(rows=splits["train"].remove_columns("text_embedding"))

    def test_widths_of_another_model(self, make_trainer, splits):
        narrow = splits["train"].map(lambda row: {"text_embedding": row["text_embedding"][:3]})
        with pytest.raises(ValueError, match=rf"widths {{'text': 3}}, the model expects {{'text': {WIDTH}}}"):
            make_trainer(rows=narrow, spaces=splits["train"])

    def test_fewer_rows_than_a_batch(self, make_trainer):
        with pytest.raises(ValueError, match="180 training rows are less than one batch of 512"):
            make_trainer(per_device_train_batch_size=512)

    def test_target_without_a_direction(self, make_trainer, splits):
        trainer = make_trainer()
        row = {**splits["train"][0], "text_embedding": [0.0] * WIDTH}
        with pytest.raises(ValueError, match="`text_embedding` of row 'tiny/s1/train/0/0' .* has the length 0.0"):
            trainer.data_collator([row])

    @pytest.mark.parametrize("place", [0, 70])
    def test_image_without_an_embedding(self, make_trainer, splits, place):
        rows = splits["train"].with_format(None)
        vectors = [None if row == place else vector for row, vector in enumerate(rows["text_embedding"])]
        rows = rows.remove_columns("text_embedding").add_column("text_embedding", vectors)
        name = re.escape(rows[place]["sample_id"])
        message = rf"`text_embedding` of row '{name}' \(image 'train/\d+'\) is null"
        for spaces in (None, splits["train"]):  # a new model, and one that knows the space
            with pytest.raises(ValueError, match=message):
                make_trainer(rows=rows, spaces=spaces)
        trainer = make_trainer()
        with pytest.raises(ValueError, match=message):
            trainer.data_collator([rows[10], rows[place]])

    def test_brain_of_another_size(self, make_trainer, splits):
        """In a later row of its subject, which no check of the corpus's first rows has seen."""
        rows = [splits["train"][0], {**splits["train"][5], "brain_values": np.zeros((1, 7))}]
        message = "Brain sample 'tiny/s1/train/5/0' of subject 's1' must have 40 features in each frame; found 7"
        with pytest.raises(ValueError, match=message):
            make_trainer().data_collator(rows)

    @pytest.mark.parametrize("option", [{"text_weight": 0.0}, {"image_weight": -1.0}])
    def test_weights(self, tmp_path, option):
        with pytest.raises(ValueError, match="must be positive"):
            BrainContrastiveTrainingConfig(output_dir=tmp_path, **option)

    @pytest.mark.parametrize("option", [{"remove_unused_columns": True}, {"dataloader_drop_last": False}])
    def test_fixed_options(self, tmp_path, option):
        with pytest.raises(ValueError, match="the collator reads the columns"):
            BrainContrastiveTrainingConfig(output_dir=tmp_path, **option)


def test_collator_keeps_subjects_apart(make_trainer, splits):
    """Rows of three subjects, shuffled: each brain keeps its voxels, and the index leads back to the rows."""
    trainer = make_trainer()
    assert isinstance(trainer.data_collator, ContrastiveCollator)
    rows = [splits["train"][i] for i in (130, 3, 70, 61, 2)]
    batch = trainer.data_collator(rows)
    assert batch["brain_subjects"] == ["s3", "s1", "s2"]
    assert [tuple(values.shape) for values in batch["brain_values"]] == [(1, 37), (2, 40), (2, 34)]
    flat = [values for part in batch["brain_values"] for values in part]
    for row, place in zip(rows, batch["brain_index"].tolist(), strict=True):
        np.testing.assert_allclose(flat[place], np.asarray(row["brain_values"])[0], rtol=1e-6)
    assert batch["text_embedding"].shape == (5, WIDTH)
