# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Few-shot adaptation: a checkpoint meets a new person, learns from a few images, and needs no validation split."""

import dataclasses

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from grpo_runs import make_rows as make_brains
from grpo_runs import make_trainer as make_reward_trainer
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from testing_utils import save_tiny_text_model, save_tiny_tokenizer
from voxel_corpus import VOXELS, write_voxel_corpus

from trainers.arguments import DataArguments, EncoderArguments, ModelArguments, TargetArguments
from trainers.contrastive.contrastive_config import BrainContrastiveTrainingConfig
from trainers.contrastive.contrastive_trainer import BrainContrastiveTrainer
from trainers.data.corpora import choose_rows, keep_groups, keep_subjects, load_corpus_splits
from trainers.data.provenance import record_training_brains
from trainers.loading import load_contrastive_model, load_model_and_processor
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer


NEW, NUM_IMAGES = "s3", 20
ENCODER = {"num_queries": 32, "key_size": 16, "num_frequencies": 16, "num_tokens": 2, "hidden_size": 16}
ENCODER |= {"token_code_size": 8, "num_residual_layers": 1, "input_dropout": 0.0, "dropout": 0.0}
QUIET = {"save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "report_to": "none"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """All brains share what a place is tuned to; but that of the new person lies in disorder, a world of its own."""
    folder = write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=60)
    file = folder / "subjects" / f"{NEW}.safetensors"
    state = load_file(file)
    state["geometry/coordinates"] = np.random.default_rng(0).permutation(state["geometry/coordinates"])
    with safe_open(file, "numpy") as handle:
        save_file(state, file, handle.metadata())
    return folder


@pytest.fixture(scope="module")
def splits(corpus):
    """As `official` divides them: the new person has images to train on, by `num_adaptation_groups`, and to test."""
    splits = load_corpus_splits(DataArguments(dataset=str(corpus)))
    others = keep_subjects(splits, [name for name in VOXELS if name != NEW])
    return DatasetDict({**splits, "validation": others["validation"]})


@pytest.fixture(scope="module")
def align(corpus, tmp_path_factory):
    """Runs stage 1, of a new encoder or from a checkpoint."""

    def align(rows: Dataset, checkpoint: str | None = None, **options) -> BrainContrastiveTrainer:
        new = {"encoder_type": "voxels", "voxel_encoder": ENCODER}
        args = EncoderArguments(encoder_name_or_path=checkpoint, **(new if checkpoint is None else {}))
        torch.manual_seed(0)
        model, extractor = load_contrastive_model(args, TargetArguments(), rows, False, str(corpus))
        config = BrainContrastiveTrainingConfig(tmp_path_factory.mktemp("run"), **QUIET, **options)
        trainer = BrainContrastiveTrainer(model, config, rows, rows.select([]), processing_class=extractor)
        trainer.train()
        return trainer

    return align


@pytest.fixture(scope="module")
def aligned(align, splits):
    """Stage 1 without the new person, saved in its folder."""
    rows = keep_subjects(splits, ["s1", "s2"])["train"]
    trainer = align(rows, max_steps=120, learning_rate=3e-3, per_device_train_batch_size=30)
    trainer.save_model()
    return trainer


@pytest.fixture
def few(splits):
    """The images of the new person that there are to adapt by."""
    return keep_groups(keep_subjects(splits, [NEW])["train"], NUM_IMAGES)


class TestRetrieval:
    """A few images of the new person teach an aligned encoder to find others; wrongly paired, they do not."""

    @pytest.fixture
    def median_rank(self, splits):
        tested = keep_subjects(splits, [NEW])["test"]
        return lambda trainer: trainer.evaluate(tested)["eval_text_median_rank"]

    @pytest.fixture
    def adapt(self, align, aligned):
        options = {"max_steps": 40, "learning_rate": 1e-3, "per_device_train_batch_size": NUM_IMAGES}
        return lambda rows: align(rows, aligned.args.output_dir, **options)

    def test_a_few_images_help(self, adapt, aligned, few, median_rank):
        assert median_rank(aligned) > 8  # chance is 10.5 of 20 images
        assert median_rank(adapt(few)) <= 3

    def test_wrongly_paired_they_do_not(self, adapt, few, median_rank):
        values = [np.asarray(values).tolist() for values in few["brain_values"]]
        wrong = few.remove_columns("brain_values").add_column("brain_values", [*values[7:], *values[:7]])
        assert median_rank(adapt(wrong)) > 6


class TestLoading:
    """A checkpoint of stage 2 learns where the voxels of people lie whom it has not met."""

    @pytest.fixture
    def instructed(self, corpus, splits, text_model, tmp_path):
        """Saves a checkpoint whose processor knows all but the new person."""

        def save(standardize: bool) -> str:
            options = ModelArguments(text_model_id=str(text_model), encoder_type="voxels", voxel_encoder=ENCODER)
            rows = keep_subjects(splits, ["s1", "s2"])["train"]
            model, processor = load_model_and_processor(options, rows, standardize, None, str(corpus))
            del processor.feature_extractor.subjects[NEW]
            for part in (model, processor):
                part.save_pretrained(tmp_path / "instructed")
            return str(tmp_path / "instructed")

        return save

    @pytest.mark.parametrize("standardize", [False, True])
    def test_new_people_are_added_and_others_stay(self, instructed, corpus, few, standardize):
        args = ModelArguments(model_name_or_path=instructed(standardize))
        # Not a choice: the checkpoint says whether it standardises.
        model, processor = load_model_and_processor(args, few, not standardize, None, str(corpus))
        extractor = processor.feature_extractor
        assert (set(extractor.subjects), extractor.do_standardize) == (set(VOXELS), standardize)
        values = np.array([np.asarray(row["brain_values"])[0] for row in few])
        read = extractor(list(values), NEW)["brain_values"][0]
        expected = (values - values.mean(0)) / values.std(0) if standardize else values
        np.testing.assert_allclose(read, expected, atol=1e-4)
        before = load_file(f"{args.model_name_or_path}/brain_subjects.safetensors")
        for name, array in before.items():
            subject, _, key = name.rpartition(".")
            np.testing.assert_array_equal(extractor.subjects[subject][key], array)
        inputs = processor(text="<|brain|>the cat", brain=[values[0]], subject=NEW)
        assert torch.isfinite(model(**inputs).logits).all()

    def test_an_adapted_encoder_takes_the_place_of_the_first(self, instructed, align, corpus, few):
        adapted_run = align(few, max_steps=1, per_device_train_batch_size=4)
        record_training_brains(adapted_run.model.config, {NEW: NUM_IMAGES})
        adapted_run.save_model()
        first = {"model_name_or_path": instructed(False)}
        args = ModelArguments(**first, encoder_name_or_path=adapted_run.args.output_dir)
        model, processor = load_model_and_processor(args, few, dataset=str(corpus))
        before, _ = load_model_and_processor(ModelArguments(**first), few, dataset=str(corpus))
        adapted = adapted_run.model.brain_encoder.state_dict()
        for name, weight in model.model.brain_encoder.state_dict().items():
            assert torch.equal(weight, adapted[name]), name
        for name, weight in model.model.brain_interface.state_dict().items():
            assert torch.equal(weight, before.model.brain_interface.state_dict()[name]), name
        assert not torch.equal(before.model.brain_encoder.queries, model.model.brain_encoder.queries)
        assert model.config.training_brains == {NEW: NUM_IMAGES}
        assert set(processor.feature_extractor.subjects) == set(VOXELS)

    def test_a_person_without_geometry_is_named(self, instructed, corpus, splits):
        args = ModelArguments(model_name_or_path=instructed(False))
        row = {**splits["train"][0], "subject": "s4", "brain_values": [[0.0]]}
        with pytest.raises(ValueError, match=r"Subject 's4' of row 'tiny/s1/train/0/0' has no geometry"):
            load_model_and_processor(args, Dataset.from_list([row]), dataset=str(corpus))


class TestRows:
    def test_a_few_images_of_the_chosen_people(self, splits):
        args = DataArguments(dataset="rows", subjects=[NEW], max_train_groups=5)
        few = choose_rows(splits, args)
        assert (set(few["train"]["subject"]), len(set(few["train"]["group"]))) == ({NEW}, 5)
        assert len(few["validation"]) == 0

    def test_a_person_held_out_without_images_to_adapt_by(self, splits):
        others = keep_subjects(splits, ["s1", "s2"])["train"]
        held_out = DatasetDict({**splits, "train": others})
        with pytest.raises(ValueError, match=r"train split of 'rows' has no rows of s3\. .*num_adaptation_groups"):
            choose_rows(held_out, DataArguments(dataset="rows", subjects=[NEW]))


EVALUATED = r"`eval_strategy` is 'epoch', but the validation split has no rows .*--eval_strategy no"


class TestEmptyValidation:
    """None where nothing is evaluated; where an evaluation is asked for, an error that says so before training."""

    def test_alignment(self, align, splits):
        rows = keep_subjects(splits, [NEW])["train"]
        options = {"max_steps": 1, "per_device_train_batch_size": 4}
        assert align(rows, **options).eval_dataset is None
        with pytest.raises(ValueError, match=EVALUATED):
            align(rows, **options, eval_strategy="epoch")

    @pytest.mark.parametrize("tasks", [None, ["caption"]])
    def test_instruction_tuning(self, make_model, make_processor, make_rows, tmp_path, tasks):
        model, rows = make_model(), make_rows(4)
        processor = make_processor(model)
        args = BrainSFTConfig(tmp_path, max_steps=1, tasks=tasks, **QUIET)
        rows = rows.add_column("references", [[text] for text in rows["text"]])
        trainer = BrainSFTTrainer(model, args, rows, rows.select([]), processing_class=processor)
        trainer.train()
        assert trainer.eval_dataset is None
        asked = dataclasses.replace(args, eval_strategy="epoch")
        with pytest.raises(ValueError, match=EVALUATED):
            BrainSFTTrainer(model, asked, rows, rows.select([]), processing_class=processor)

    def test_reward_tuning(self, tmp_path):
        llama = save_tiny_tokenizer(save_tiny_text_model(tmp_path / "llama"))
        none = {"trainer_kwargs": {"eval_dataset": make_brains().select([])}}
        assert make_reward_trainer(tmp_path / "run", llama, **none).eval_dataset is None
        with pytest.raises(ValueError, match=EVALUATED):
            make_reward_trainer(tmp_path / "run", llama, **none, eval_strategy="epoch")
