# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Packing: the same losses and gradients as rows apart, fewer tokens, batches without waste, exact resumption."""

import json

import numpy as np
import pytest
import torch
from datasets import concatenate_datasets
from testing_utils import shared_path
from transformers import AutoTokenizer, LlamaConfig

from modeling_brainllm import (
    BrainLlamaConfig,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
    VoxelEncoderConfig,
)
from trainers.data.instructions import InstructionMaker, InstructionRows
from trainers.data.packing import InstructionCollator, LengthGroupedSampler, fold, row_lengths
from trainers.data.prompts import caption_prompt
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


CROSS_ATTENTION = {"interface": "cross_attention", "adapter_layers": [0], "tokens_per_embedding": 2}
DIALOGUE = [
    {"role": "user", "content": "the cat"},
    {"role": "assistant", "content": "is red ."},
    {"role": "user", "content": "and the dog"},
    {"role": "assistant", "content": "very blue ."},
]


@pytest.fixture(params=[{"tokens_per_embedding": 2}, CROSS_ATTENTION], ids=["prefix", "cross_attention"])
def model(request, make_model):
    """In float64, so that what is equal is equal; gates are open, so that brains count."""
    model = make_model(config_kwargs=request.param).double()
    for name, parameter in model.named_parameters():
        if name.endswith(".gate"):
            parameter.data.fill_(1.0)
    return model


@pytest.fixture
def make_trainer(make_model, make_processor, make_images, tmp_path):
    def make(model=None, rows=None, eval_rows=None, folder="run", **options) -> BrainSFTTrainer:
        model = make_model(config_kwargs={"tokens_per_embedding": 2}) if model is None else model
        options = {
            "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "disable_tqdm": True,
            "report_to": "none", "max_steps": 4, "tasks": ["caption"], **options,
        }  # fmt: skip
        return BrainSFTTrainer(
            model,
            BrainSFTConfig(output_dir=tmp_path / folder, **options),
            train_dataset=make_images() if rows is None else rows,
            eval_dataset=eval_rows,
            processing_class=make_processor(model),
        )

    return make


def brain_weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "brain_" in name}


def of_row(batch, row) -> tuple[list[int], list[int]]:
    """Ids and segments of one row, without padding."""
    mask = batch["attention_mask"][row].bool()
    return batch["input_ids"][row][mask].tolist(), batch["segment_ids"][row][mask].tolist()


class TestFold:
    def test_by_hand(self):
        texts = [([7, 8, 9, 1, 2], [-100, -100, -100, 1, 2]), ([7, 8, 9, 1, 3, 4], [-100, -100, -100, 1, 3, 4])]
        ids, labels, segments = fold([(torch.tensor(ids), torch.tensor(labels)) for ids, labels in texts])
        assert ids.tolist() == [7, 8, 9, 1, 2, 9, 1, 3, 4]
        assert labels.tolist() == [-100, -100, -100, 1, 2, -100, 1, 3, 4]
        assert segments.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]

    def test_prompt_and_answer_that_melt_into_one_token(self):
        """Where the last token of the prompt differs from answer to answer, it belongs to the segments."""
        texts = [([7, 8, 5, 1], [-100, -100, 5, 1]), ([7, 8, 9, 1], [-100, -100, -100, 1])]
        ids, _, segments = fold([(torch.tensor(ids), torch.tensor(labels)) for ids, labels in texts])
        assert ids.tolist() == [7, 8, 5, 1, 8, 9, 1]
        assert segments.tolist() == [0, 1, 1, 1, 2, 2, 2]

    def test_one_text_is_left_as_it_is(self):
        ids, labels = torch.tensor([7, 8, 1]), torch.tensor([-100, -100, 1])
        folded = fold([(ids, labels)])
        assert torch.equal(folded[0], ids)
        assert torch.equal(folded[1], labels)
        assert not folded[2].any()


class TestCollator:
    def test_by_hand(self, make_model, make_processor, make_images):
        processor = make_processor(make_model(config_kwargs={"tokens_per_embedding": 2}))
        images = make_images(1)
        row = {**InstructionMaker(processor, ["caption"])(images)[0], "prompt": "<|brain|>the cat"}
        row["segments"] = [[" is red</s>"], [" was</s>"]]
        batch = InstructionCollator(processor)([row])
        tokens = processor.tokenizer.convert_ids_to_tokens
        ids, segments = of_row(batch, 0)
        shared_prefix = ["<s>", "<|brain_start|>", "<|brain|>", "<|brain|>", "<|brain_end|>", "the"]
        assert tokens(ids) == [*shared_prefix, "cat", "is", "red", "</s>", "cat", "was", "</s>"]
        assert segments == [0] * 6 + [1] * 4 + [2] * 3
        labelled = batch["labels"][0].ne(-100)
        assert tokens(batch["labels"][0][labelled].tolist()) == ["is", "red", "</s>", "was", "</s>"]

    def test_dialogue_labels_the_answers_alone(self, make_model, make_processor, make_images):
        processor = make_processor(make_model())
        images = make_images(1).add_column("dialogue", [DIALOGUE])
        rows = InstructionMaker(processor, ["dialogue"])(images)
        batch = InstructionCollator(processor)([rows[0]])
        labels = batch["labels"][0]
        said = processor.tokenizer.convert_ids_to_tokens(labels[labels != -100].tolist())
        assert said == ["is", "red", ".", "</s>", "very", "blue", ".", "</s>"]
        assert "segment_ids" not in batch

    def test_brains_of_several_subjects(self, make_images):
        """
        Brains come subject by subject, as a voxel encoder returns them; each row finds its own and its control brains.
        """
        rows = concatenate_datasets([make_images(4, subject="a", num_features=5), make_images(4, "b", 3, seed=1)])
        config = BrainLlamaConfig(encoder_config=VoxelEncoderConfig(region_sizes=[2], num_tokens=1))
        extractor = BrainLlamaFeatureExtractor.from_config(config)
        for subject, voxels in (("a", 5), ("b", 3)):
            extractor.add_subject(subject, np.zeros((voxels, 3)), np.zeros((voxels, 1), int))
        tokenizer = AutoTokenizer.from_pretrained(shared_path("models/english-llama-28m"))
        processor = BrainLlamaProcessor.from_config(config, tokenizer, extractor)
        instructions = InstructionMaker(processor, ["caption"])(rows)
        order = [5, 0, 6, 1]
        chosen = [{**instructions[i], "control_brains": [instructions[(i + 1) % 8]]} for i in order]
        batch = InstructionCollator(processor)(chosen)
        brains = [brain for values in batch["brain_values"] for brain in values]
        for row, index, control_brains in zip(chosen, batch["brain_index"], batch["control_index"], strict=True):
            assert brains[index].tolist() == pytest.approx(row["brain_values"][0])
            assert brains[control_brains[0]].tolist() == pytest.approx(row["control_brains"][0]["brain_values"][0])
        assert batch["brain_subjects"] == ["b", "a"]
        assert batch["segment_ids"].shape == batch["input_ids"].shape
        with pytest.raises(ValueError, match=r"subject 'a' must have 5 features in each frame; found 3"):
            InstructionCollator(processor)([{**instructions[0], "brain_values": [[0.0] * 3]}])

    def test_without_brain(self, make_model, make_processor, make_images):
        processor = make_processor(make_model())
        rows = InstructionMaker(processor, ["caption"])(make_images(2))
        batch = InstructionCollator(processor, with_brain=False)([rows[0], rows[1]])
        assert not [name for name in batch if name.startswith("brain")]
        assert batch["input_ids"].max() < processor.brain_token_id


class TestEquality:
    """One row of three answers is three rows of one."""

    def test_losses_and_gradients(self, model, make_processor, make_images):
        images = make_images(5).add_column("dialogue", [DIALOGUE] * 5)
        packed = InstructionMaker(make_processor(model), ["caption", "previous_image", "dialogue"])(images)
        assert len(packed.unpacked()) == 5 * 3 + 4 * 3 + 5
        found = []
        for rows in (packed, packed.unpacked()):
            model.zero_grad()
            batch = InstructionCollator(make_processor(model))([rows[i] for i in range(len(rows))])
            for name in ("sample_id", "group", "subject"):
                batch.pop(name)
            batch["brain_values"] = batch["brain_values"].double()
            loss = model.token_losses(**batch)[0].mean()
            loss.backward()
            gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
            found.append((loss, gradients, int(batch["attention_mask"].sum())))
        torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=0)
        assert any(gradient.abs().max() > 1e-4 for gradient in found[0][1].values())
        for name, gradient in found[0][1].items():
            scale = gradient.abs().max().item()
            torch.testing.assert_close(gradient, found[1][1][name], rtol=1e-5, atol=1e-5 * scale + 1e-12)
        assert found[0][2] < 0.65 * found[1][2]

    def test_loss_of_the_trainer(self, make_trainer, make_images):
        """The token-weighted mean over the batch, whether accumulated or at once, packed or not."""
        losses = []
        for options in ({}, {"packing": False, "per_device_train_batch_size": 36}):
            trainer = make_trainer(**{"per_device_train_batch_size": 12, "max_steps": 3, **options}, folder="a")
            trainer.train()
            losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        trainer = make_trainer(per_device_train_batch_size=3, gradient_accumulation_steps=4, max_steps=3)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert losses[0] == pytest.approx(losses[2], rel=1e-5)


class TestLengths:
    def test_are_those_of_the_packed_rows(self, make_model, make_processor, make_images):
        processor = make_processor(make_model(config_kwargs=CROSS_ATTENTION))
        images = make_images(6).add_column("dialogue", [DIALOGUE] * 6)
        rows = InstructionMaker(processor, ["caption", "dialogue"])(images)
        batch = InstructionCollator(processor)([rows[i] for i in range(len(rows))])
        # The batch counts the BOS token too.
        assert row_lengths(rows, processor).tolist() == (batch["attention_mask"].sum(1) - 1).tolist()

    def test_sampler_draws_each_row_once(self):
        lengths = np.random.default_rng(0).integers(5, 60, size=1003)
        sampler = LengthGroupedSampler(lengths, batch_size=8, seed=3)
        first, again = list(sampler), list(sampler)
        assert sorted(first) == list(range(1003))
        assert first == again
        sampler.set_epoch(1)
        assert list(sampler) != first

    def test_sampler_groups_and_still_shuffles(self):
        lengths = np.random.default_rng(0).integers(5, 60, size=4000)
        batches = np.reshape(list(LengthGroupedSampler(lengths, batch_size=8, seed=0)), (-1, 8))
        spread = np.ptp(lengths[batches], axis=1)
        assert spread.mean() < 2
        means = lengths[batches].mean(1)
        assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15


class TestWaste:
    def test_on_real_captions(self, make_images, capsys):
        """Goal: padding is at most 2 % of what is processed (128 brain tokens in each row, as in BIT-LLM)."""
        captions: dict[int, list[str]] = {}
        for entry in json.loads(shared_path("data/coco_captions/captions_val2017.json").read_text())["annotations"]:
            captions.setdefault(entry["image_id"], []).append(entry["caption"])
        tokenizer = AutoTokenizer.from_pretrained(shared_path("models/english-llama-28m"))
        config = BrainLlamaConfig(text_config=LlamaConfig(vocab_size=len(tokenizer)), interface="cross_attention")
        processor = BrainLlamaProcessor.from_config(config, tokenizer)
        images = make_images(1).select_columns(["sample_id", "subject", "session", "completion"])
        images = concatenate_datasets([images] * 1200)
        images = images.add_column("references", list(captions.values())[:1200])
        packed = InstructionMaker(processor, ["caption"])(images)
        waste = {}
        for name, rows in (("packed", packed), ("unpacked", packed.unpacked())):
            lengths = row_lengths(rows, processor) + 1
            orders = {"grouped": LengthGroupedSampler(lengths, 16, 0), "random": np.random.default_rng(0)}
            for order, source in orders.items():
                drawn = source.permutation(len(lengths)) if order == "random" else list(source)
                text = lengths[drawn][: len(lengths) // 16 * 16].reshape(-1, 16)
                for interface, brain in (("cross_attention", 0), ("prefix", 130)):
                    processed = (text.max(1) + brain).sum() * 16
                    waste[name, order, interface] = 1 - (text + brain).sum() / processed
        with capsys.disabled():
            print("\n" + "\n".join(f"{' '.join(key):36} {100 * share:5.2f} %" for key, share in waste.items()))
        assert waste["packed", "grouped", "cross_attention"] < 0.02
        assert waste["packed", "grouped", "prefix"] < 0.01


class TestTraining:
    def test_evaluation_under_own_and_other_brains(self, make_trainer, make_images):
        trainer = make_trainer(eval_rows=make_images(10, seed=1), eval_permutations=2)
        metrics = trainer.evaluate()
        rows, own, other = trainer.eval_dataset, [], []
        for i in range(len(rows)):
            for control_brain, store in (
                (rows[i], own),
                *((control_brain, other) for control_brain in rows[i]["control_brains"]),
            ):
                swapped = {
                    **rows[i],
                    "brain_id": "x",
                    "brain_values": control_brain["brain_values"],
                    "control_brains": [],
                }
                batch = trainer.data_collator([swapped])
                for name in ("sample_id", "group", "subject"):
                    batch.pop(name)
                store.append(trainer.model.token_losses(**batch)[0].mean().item())
        own, other = np.repeat(own, 2), np.array(other)
        assert metrics["eval_pairwise_gap"] == pytest.approx((other - own).mean(), abs=1e-5)
        assert metrics["eval_pairwise_accuracy"] == pytest.approx((own < other).mean())

    def test_learns_to_describe_and_to_stop(self, make_trainer, make_model, make_images):
        # The tiny language model knows no language, so here it learns too.
        model = make_model(config_kwargs={"tokens_per_embedding": 2}).requires_grad_(True)
        trainer = make_trainer(
            model, rows=make_images(96), eval_rows=make_images(12, seed=1), max_steps=60, max_answers=1,
            per_device_train_batch_size=16, train_sampling_strategy="group_by_length",
        )  # fmt: skip
        trainer.train()
        assert trainer.evaluate()["eval_pairwise_accuracy"] > 0.8
        images, processor = make_images(12, seed=1), trainer.processing_class
        inputs = processor(
            text=[caption_prompt(processor)] * 12, brain=images["brain_values"], subject="s1", padding_side="left"
        )
        ids = trainer.model.eval().generate(**inputs)
        said = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert sum(a == b for a, b in zip(said, images["completion"], strict=True)) >= 10
        assert ids.shape[1] - inputs["input_ids"].shape[1] <= 7

    def test_each_epoch_has_its_own_batches(self, make_trainer, make_images):
        trainer = make_trainer(rows=make_images(40), train_sampling_strategy="group_by_length")
        loader, orders = trainer.get_train_dataloader(), []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            orders.append([name for batch in loader for name in batch["sample_id"]])
        assert orders[0] != orders[1]
        assert sorted(orders[0]) == sorted(orders[1]) == sorted(make_images(40)["sample_id"])

    @pytest.mark.parametrize("strategy", ["random", "group_by_length"])
    def test_resume_is_bit_for_bit(self, make_trainer, make_model, make_images, tmp_path, strategy):
        options = {
            "rows": make_images(20), "max_steps": 9, "per_device_train_batch_size": 4, "dataloader_drop_last": True,
            "train_sampling_strategy": strategy, "tasks": ["caption", "previous_image"], "task_shares": [1.0, 0.5],
        }  # fmt: skip
        noisy = {"config_kwargs": {"tokens_per_embedding": 2}, "dropout": 0.3}
        whole = make_trainer(make_model(**noisy), **options, folder="whole")
        whole.train()
        halted = make_trainer(make_model(**noisy), **options, folder="halted", save_strategy="steps", save_steps=4)
        halted.train()
        resumed = make_trainer(make_model(**noisy), **options, folder="resumed")
        # In the middle of the second epoch.
        resumed.train(resume_from_checkpoint=str(tmp_path / "halted" / "checkpoint-8"))
        for name, weight in brain_weights(whole.model).items():
            assert torch.equal(dict(resumed.model.named_parameters())[name], weight), name

    @pytest.mark.parametrize("interface", [{}, CROSS_ATTENTION], ids=["prefix", "cross_attention"])
    def test_what_learns_is_whole_beside_a_half_language_model(self, make_trainer, make_model, interface):
        model = make_model(config_kwargs=interface).to(torch.bfloat16)
        with pytest.raises(ValueError, match="bfloat16 and not trained in mixed precision"):
            make_trainer(model)
        trainer = make_trainer(model, bf16=True, learning_rate=1e-6, max_steps=2, adam_epsilon=1e-12)
        before = brain_weights(model)
        trainer.train()
        assert model.get_input_embeddings().weight.dtype == torch.bfloat16
        moved = [name for name, weight in brain_weights(model).items() if not torch.equal(weight, before[name])]
        # Gates start at 0, so that what lies behind them learns only once they have opened.
        assert any("projector" in name or "gate" in name for name in moved)
        assert {weight.dtype for weight in brain_weights(model).values()} == {torch.float32}

    def test_nan_stops_and_names_the_samples(self, make_trainer, make_model):
        model = make_model()
        trainer = make_trainer(model, per_device_train_batch_size=2, max_steps=1)
        model.model.brain_interface.projector.output.weight.data.fill_(torch.nan)
        with pytest.raises(FloatingPointError, match=r"step 1 is nan, .* samples tiny/s1/session01/\d+, tiny/s1"):
            trainer.train()

    def test_checkpoint_of_another_interface(self, make_trainer, make_model, tmp_path):
        make_trainer(max_steps=1, folder="prefix", save_strategy="steps", save_steps=1).train()
        trainer = make_trainer(make_model(config_kwargs=CROSS_ATTENTION))
        with pytest.raises(ValueError, match=r"it lacks 6 weights .*adapters.* and has 1 .*boundary.* the interface"):
            trainer.train(resume_from_checkpoint=str(tmp_path / "prefix" / "checkpoint-1"))

    def test_processor_of_another_interface(self, make_model, make_processor, make_images, tmp_path):
        processor = make_processor(make_model(config_kwargs=CROSS_ATTENTION))
        with pytest.raises(ValueError, match="interface: 'cross_attention' in the BrainLlamaProcessor, 'prefix'"):
            BrainSFTTrainer(make_model(), BrainSFTConfig(tmp_path, use_cpu=True), processing_class=processor)


class TestOptions:
    @pytest.mark.parametrize("unfit", [{"contrastive_weight": 1.0}, {"reading": "sentence"}, {"max_prompt_tokens": 4}])
    def test_what_cannot_go_with_tasks(self, tmp_path, unfit):
        with pytest.raises(ValueError, match=f"{next(iter(unfit))} cannot go with `tasks`"):
            BrainSFTConfig(tmp_path, use_cpu=True, tasks=["caption"], **unfit)

    def test_what_needs_tasks(self, tmp_path):
        with pytest.raises(ValueError, match="max_answers need instructions"):
            BrainSFTConfig(tmp_path, use_cpu=True, max_answers=2)

    def test_unknown_task(self, make_trainer):
        with pytest.raises(ValueError, match="no task 'poem'"):
            make_trainer(tasks=["poem"])


def test_rows_pass_through_worker_processes(make_trainer, make_images):
    trainer = make_trainer(rows=make_images(6), dataloader_num_workers=1, per_device_train_batch_size=3)
    assert isinstance(trainer.train_dataset, InstructionRows)
    assert isinstance(trainer.model, BrainLlamaForCausalLM)
    batches = list(trainer.get_train_dataloader())
    assert sorted(name for batch in batches for name in batch["sample_id"]) == sorted(make_images(6)["sample_id"])
