# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions of a tiny model: each arm is what it says it is, no label is in reach, and what was planted is found."""

from functools import partial

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from remembered_baselines import remembered_baselines  # noqa: F401 - a fixture
from transformers import GenerationConfig, LlamaForCausalLM

from modeling_brainllm import BrainLlamaForCausalLM, VoxelEncoderConfig
from trainers.evaluation.arms import encode_brains
from trainers.evaluation.caption_arms import MANDATORY_ARMS, OPTIONAL_ARMS, assign_control_brains, caption_arms
from trainers.evaluation.captions import GREEDY_CAPTIONS, caption_generation
from trainers.evaluation.evaluate import evaluate as evaluate_model
from trainers.evaluation.tasks import Caption
from trainers.scoring.table import is_baseline, texts_of


COLOURS, ANIMALS = ("red", "blue", "green", "gold"), ("cat", "dog", "bird")
VOXELS = {"s1": 24, "s2": 17, "s3": 20}
PROMPT = "<|brain|>the"
SHORT = {"do_sample": False, "num_beams": 1, "min_new_tokens": 3, "max_new_tokens": 6}
ENCODER = {
    "region_sizes": [2], "region_embedding_size": 4, "num_frequencies": 8, "frequency_scale": 1.0, "key_size": 8,
    "num_queries": 32, "num_residual_layers": 1, "num_tokens": 4, "hidden_size": 16, "token_code_size": None,
    "input_dropout": 0.0, "dropout": 0.0,
}  # fmt: skip
places = {s: np.random.default_rng(i).uniform(-60, 60, (n, 3)) for i, (s, n) in enumerate(VOXELS.items())}
waves = np.random.default_rng(9).standard_normal((3, 12)) / 40


def respond(subject: str, kind: int) -> np.ndarray:
    """Response of every voxel to one of twelve kinds of image: a function of the place, the same in all brains."""
    return 2 * np.cos(places[subject] @ waves[:, kind] + kind)


def make_images(
    num_images: int, subjects=tuple(VOXELS), signal: float = 1.0, seed: int = 0, name: str = "test"
) -> Dataset:
    """All subjects see all images, of which the brain says animal and colour."""
    rng, rows = np.random.default_rng(seed), []
    kinds = rng.permutation(np.resize(np.arange(12), num_images))
    for subject in subjects:
        for image, kind in enumerate(kinds):
            values = signal * respond(subject, kind) + 0.1 * rng.standard_normal(VOXELS[subject])
            animal, colour, place = ANIMALS[kind % 3], COLOURS[kind // 3], f"tiny/{subject}/{name}/{image}"
            captions = [
                f"the {animal} is {colour} .",
                f"the very {colour} {animal} was and is .",
                f"{animal} {colour}",
            ]
            rows.append(
                {
                    "sample_id": place, "subject": subject, "group": f"{name}/{image}", "brain_id": place,
                    "prompt": "", "completion": captions[0], "references": captions, "text": captions[0],
                    "brain_values": [values.astype(np.float32).tolist()],
                }
            )  # fmt: skip
    return Dataset.from_list(rows)


@pytest.fixture
def make_setting(text_model, make_processor):
    """Model with wide random weights, processor that knows the subjects, and six test images of each."""

    def make(interface: str = "prefix", subjects=tuple(VOXELS), known=tuple(VOXELS)):
        options = {"interface": interface, "adapter_layers": [0, 1]}
        model = BrainLlamaForCausalLM.from_text_model(
            text_model, VoxelEncoderConfig(**ENCODER), dtype=torch.float32, config_kwargs=options
        )
        torch.manual_seed(3)
        for name, parameter in model.model.brain_interface.named_parameters():
            torch.nn.init.ones_(parameter) if "gate" in name else torch.nn.init.normal_(parameter)
        processor = make_processor(model)
        for subject in known:
            regions = (places[subject][:, :1] > 0).astype(int)
            processor.feature_extractor.add_subject(subject, places[subject], regions)
        return model, processor, DatasetDict(test=make_images(6, subjects))

    return make


@pytest.fixture
def evaluate():
    defaults = {"prompt": PROMPT, "generation": SHORT, "batch_size": 4, "progress": False}

    def run(setting, **options):
        options = defaults | options
        task = Caption(**{name: options.pop(name) for name in ("prompt", "optional_arms") if name in options})
        return evaluate_model(*setting, tasks=[task], **options)

    return run


def texts(report, arm: str) -> dict[str, str]:
    return {sample["brain_id"]: texts_of(sample, arm)[0] for sample in report.samples if arm in sample["texts"]}


def teach(model, processor, rows: Dataset, steps: int) -> None:
    """Learns the first caption of each image by heart, brain and language model together."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    whole = [PROMPT + row["completion"].removeprefix("the") + "</s>" for row in rows]
    inputs = processor(
        text=whole, brain=[np.array(row["brain_values"]) for row in rows], subject=list(rows["subject"])
    )
    ends = (inputs["input_ids"] == processor.tokenizer.convert_tokens_to_ids("the")).float().argmax(1)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    labels = labels.masked_fill(torch.arange(labels.shape[1]) <= ends[:, None], -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model.token_losses(labels=labels, **inputs)[0].mean().backward()
        optimizer.step()


class TestArms:
    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_real_is_the_model_itself(self, make_setting, evaluate, interface):
        model, processor, data = setting = make_setting(interface)
        found = texts(evaluate(setting), "brain")
        for row in data["test"].select([0, 8, 17]):
            inputs = processor(text=PROMPT, brain=[np.array(row["brain_values"])], subject=row["subject"])
            with torch.no_grad():
                ids = model.generate(**inputs, **SHORT)[0, inputs["input_ids"].shape[1] :]
            assert found[row["brain_id"]] == processor.decode(ids, skip_special_tokens=True).strip()
        assert len(set(found.values())) >= 3

    def test_swapped_brains_say_what_they_say_in_their_own_place(self, make_setting, evaluate):
        report = evaluate(make_setting())
        own = texts(report, "brain")
        by_brain = {sample["brain_id"]: sample for sample in report.samples}
        kinds = {
            "permuted": (True, False),
            "other_subject_same_stimulus": (False, True),
            "other_subject_other_stimulus": (False, False),
        }
        for sample in report.samples:
            for arm, (same_subject, same_image) in kinds.items():
                (name,) = np.atleast_1d(sample["control_brains"][arm])
                control_brain = by_brain[name]
                assert texts_of(sample, arm) == [own[name]]
                assert (control_brain["subject"] == sample["subject"]) is same_subject
                assert (control_brain["group"] == sample["group"]) is same_image

    def test_zero_is_one_brain_for_a_subject(self, make_setting, evaluate):
        model, processor, _ = setting = make_setting()
        report = evaluate(setting)
        for subject in VOXELS:
            (caption,) = {sample["texts"]["zero"] for sample in report.samples if sample["subject"] == subject}
            inputs = processor(text=PROMPT, brain=[np.zeros((1, VOXELS[subject]))], subject=subject)
            with torch.no_grad():
                ids = model.generate(**inputs, **SHORT)[0, inputs["input_ids"].shape[1] :]
            assert caption == processor.decode(ids, skip_special_tokens=True).strip()

    def test_text_only_is_the_mean_brain_of_the_subject(self, make_setting, evaluate):
        model, processor, data = setting = make_setting()
        report = evaluate(setting)
        for subject in VOXELS:
            (caption,) = {sample["texts"]["mean_brain"] for sample in report.samples if sample["subject"] == subject}
            rows = [row for row in data["test"] if row["subject"] == subject]
            embeds = encode_brains(model.eval(), processor, rows, batch_size=8).mean(0, keepdim=True)
            inputs = processor(text=PROMPT, encoder_outputs=embeds.detach())
            with torch.no_grad():
                ids = model.generate(**inputs, **SHORT)[0, inputs["input_ids"].shape[1] :]
            assert caption == processor.decode(ids, skip_special_tokens=True).strip()

    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_no_brain_is_the_plain_language_model(self, make_setting, evaluate, text_model, interface):
        setting = make_setting(interface)
        tokenizer, plain = setting[1].tokenizer, LlamaForCausalLM.from_pretrained(text_model).eval()
        inputs = tokenizer("the", return_tensors="pt", return_token_type_ids=False)
        ids = plain.generate(**inputs, **SHORT, pad_token_id=2)[0, inputs.input_ids.shape[1] :]
        expected = tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert set(texts(evaluate(setting), "no_brain").values()) == {expected}

    def test_batch_size_changes_nothing(self, make_setting, evaluate):
        setting = make_setting(subjects=["s1", "s3"])
        one, all_at_once = evaluate(setting, batch_size=1), evaluate(setting, batch_size=64)
        for sample, other in zip(one.samples, all_at_once.samples, strict=True):
            assert sample["texts"] == other["texts"]

    def test_other_subjects_of_the_split_lend_their_brains(self, make_setting, evaluate):
        setting = make_setting()
        report, whole = evaluate(setting, subjects=["s2"]), evaluate(setting)
        assert {sample["subject"] for sample in report.samples} == {"s2"}
        assert {
            sample["control_brains"]["other_subject_same_stimulus"].split("/")[1] for sample in report.samples
        } <= {
            "s1",
            "s3",
        }
        assert texts(report, "brain").items() <= texts(whole, "brain").items()

    def test_training_rows_are_lent_where_the_split_has_one_subject(self, make_setting, evaluate):
        model, processor, data = make_setting(subjects=["s2"])
        data["train"] = make_images(9, ["s1", "s3"], name="train", seed=4)
        report = evaluate((model, processor, data))
        arms = {row["arm"] for row in report.arms if not is_baseline(row["arm"])}
        assert arms == {*MANDATORY_ARMS, "other_subject_other_stimulus", "no_brain", "noise", "mean_brain"}
        no_ridge = "no tested subject has brains of 5 groups in training to fit a map on"
        assert report.settings["absent_arms"]["caption"] == {
            "other_subject_same_stimulus": "no other subject saw the same images",
            "time_shift": "the rows have no `frame_times`", "retrieval": no_ridge, "ridge": no_ridge,
        }  # fmt: skip
        lent = [sample["control_brains"]["other_subject_other_stimulus"] for sample in report.samples]
        assert {name.split("/")[2] for name in lent} == {"train"}

    def test_unknown_subjects_lend_nothing(self, make_setting, evaluate):
        report = evaluate(make_setting(known=["s1"]), subjects=["s1"])
        arms = {row["arm"] for row in report.arms if not is_baseline(row["arm"])}
        assert arms == {*MANDATORY_ARMS, "no_brain", "noise", "mean_brain"}
        others = {"other_subject_same_stimulus", "other_subject_other_stimulus"}
        assert set(report.settings["absent_arms"]["caption"]) == {*others, "time_shift", "retrieval", "ridge"}

    def test_an_image_that_only_some_have_seen(self):
        groups, subjects = ["a", "b", "c", "a", "b"], ["s1", "s1", "s1", "s2", "s2"]
        control_brains = assign_control_brains(groups, subjects, 3, later=np.array([1, 2, -1]))
        assert control_brains["time_shift"].tolist() == [1, 2, -1]
        assert control_brains["other_subject_same_stimulus"].tolist() == [3, 4, -1]
        assert set(control_brains["other_subject_other_stimulus"]) <= {3, 4}
        assert list(control_brains) == [*MANDATORY_ARMS, *OPTIONAL_ARMS]

    def test_optional_arms_are_left_out_and_missed(self, make_setting, evaluate):
        report = evaluate(make_setting(), optional_arms=["no_brain"])
        arms = {row["arm"] for row in report.arms if not is_baseline(row["arm"])}
        assert arms == {*MANDATORY_ARMS, "no_brain"}
        assert [item.name for item in report.missing] == ["noise", "time_shift", "other_subject", "split"]

    def test_time_shift_lends_a_later_trial_of_the_session(self, make_setting, evaluate):
        model, processor, _ = make_setting()
        rows = make_images(12, ["s1", "s2"])
        sessions = [f"session{number % 2:02d}" for number in range(len(rows))]
        places = [f"tiny/{row['subject']}/{s}/{9 * i}" for i, (row, s) in enumerate(zip(rows, sessions, strict=True))]
        rows = rows.add_column("session", sessions).remove_columns(["sample_id", "brain_id"])
        rows = rows.add_column("sample_id", places).add_column("brain_id", places)
        report = evaluate((model, processor, DatasetDict(test=rows)))
        own = texts(report, "brain")
        assert "time_shift" not in report.settings["absent_arms"]["caption"]
        assert texts(report, "time_shift")
        for sample in report.samples:
            lent = sample["control_brains"]["time_shift"]
            assert lent.rpartition("/")[0] == sample["brain_id"].rpartition("/")[0]
            assert lent != sample["brain_id"]
            assert sample["texts"]["time_shift"] == own[lent]


class TestRidgeBaseline:
    def test_retrieves_training_captions_and_identifies(self, make_setting, evaluate):
        model, processor, data = make_setting(subjects=["s1", "s2"])
        data["train"] = make_images(36, ["s1", "s2"], name="train", seed=4)
        words = sorted({word for row in data["train"] for word in row["completion"].split()})
        report = evaluate(
            (model, processor, data),
            embedder=lambda texts: np.array([[float(word in text.split()) for word in words] for text in texts]),
        )
        arms = {row["arm"]: row for row in report.arms}
        assert arms["retrieval"]["cider"] > 2 * max(arms["brain"]["cider"], 1)
        figure = next(row for row in report.identification if row["arm"] == "ridge")
        assert figure["pairwise_accuracy"] > 0.9
        assert report.find("caption", "retrieval", "cider_gain")["value"] < 0
        assert [item.name for item in report.missing] == ["split"]
        # The corpus could have had them: who leaves out the encoder says so.
        missing = [item.name for item in evaluate((model, processor, data)).missing]
        assert missing == ["retrieval", "ridge", "split"]
        trained = set(data["train"]["completion"])
        assert {sample["texts"]["retrieval"] for sample in report.samples} <= trained

    def test_absent_without_training_rows(self, make_setting, evaluate):
        report = evaluate(make_setting(), embedder=lambda texts: np.ones((len(texts), 2)))
        assert report.settings["ridge_baseline"] is False
        assert report.settings["absent_arms"]["caption"]["ridge"] == "there are no training rows"
        assert [item.name for item in report.missing] == ["split"]
        assert "retrieval" not in [row["arm"] for row in report.arms]


class TestLabels:
    def test_captions_are_made_without_any_text_of_the_rows(self, make_setting):
        model, processor, data = make_setting()
        rows = data["test"]
        control_brains = assign_control_brains(rows["group"], rows["subject"], len(rows))
        caption = partial(
            caption_arms, model.eval(), processor, control_brains=control_brains, prompt=PROMPT, generation=SHORT
        )
        assert caption(brains=rows) == caption(brains=rows.select_columns(["subject", "brain_values"]))

    def test_other_captions_change_the_scores_and_no_text(self, make_setting, evaluate):
        model, processor, data = make_setting()
        rotated = [dict(row) | {"references": data["test"][i - 1]["references"]} for i, row in enumerate(data["test"])]
        report = evaluate((model, processor, data))
        other = evaluate((model, processor, DatasetDict(test=Dataset.from_list(rotated))))
        for sample, changed in zip(report.samples, other.samples, strict=True):
            assert set(sample["texts"]) == {*MANDATORY_ARMS, *OPTIONAL_ARMS, "constant"} - {"time_shift"}
            for arm in sample["texts"].keys() - {"constant"}:
                assert sample["texts"][arm] == changed["texts"][arm]
        assert report.score("caption", "brain", "cider") != other.score("caption", "brain", "cider")


class TestSettings:
    def test_greedy_whatever_the_language_model_samples_with(self):
        assert caption_generation(GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9)) == GREEDY_CAPTIONS

    def test_those_of_the_checkpoint_and_what_overrides_them(self):
        config = GenerationConfig(do_sample=False, num_beams=3, max_new_tokens=20, length_penalty=0.5)
        found = caption_generation(config, {"max_new_tokens": 8})
        assert found == GREEDY_CAPTIONS | {"num_beams": 3, "max_new_tokens": 8, "length_penalty": 0.5}

    def test_prompt_and_decoding_of_a_checkpoint(self, make_setting, tmp_path):
        from trainers.data.prompts import store_caption_settings

        model, processor, data = make_setting()
        store_caption_settings(model, processor, max_new_tokens=5)
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path), type(processor).from_pretrained(tmp_path), data
        report = evaluate_model(*loaded, tasks=["caption"], progress=False)
        assert report.settings["tasks"]["caption"]["generation"] == GREEDY_CAPTIONS | {"max_new_tokens": 5}
        assert report.settings["tasks"]["caption"]["prompt"] == processor.caption_prompt
        assert report.fingerprint["checkpoint"] == str(tmp_path)

    def test_sampling_is_reproducible_and_leaves_the_generator_alone(self, make_setting, evaluate):
        setting = make_setting()
        sample = partial(evaluate, setting, generation={"do_sample": True, "max_new_tokens": 6}, optional_arms=[])
        state = torch.random.get_rng_state()
        first = sample()
        assert torch.equal(torch.random.get_rng_state(), state)
        assert sample() == first
        assert texts(sample(seed=1), "brain") != texts(first, "brain")

    def test_the_mode_of_the_model_is_restored(self, make_setting, evaluate):
        setting = make_setting()
        setting[0].train()
        evaluate(setting)
        assert setting[0].training

    def test_parameters_are_counted_by_part(self, make_setting, evaluate, text_model):
        from peft import LoraConfig, get_peft_model

        model, processor, data = make_setting("cross_attention")
        interface = sum(p.numel() for p in model.model.brain_interface.parameters())
        language_model = sum(p.numel() for p in LlamaForCausalLM.from_pretrained(text_model).parameters())
        get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*\.q_proj"))
        parameters = evaluate((model, processor, data)).parameters
        assert parameters["interface"] == interface
        assert parameters["language_model"] == language_model
        assert parameters["lora"] == 2 * 2 * (32 + 32)
        assert parameters["encoder"] == sum(p.numel() for p in model.model.brain_encoder.parameters())


@pytest.mark.slow
class TestPlanted:
    def test_a_brain_that_decides_the_caption_is_found_and_noise_is_not(self, make_setting, evaluate):
        model, processor, _ = make_setting()
        teach(model, processor, make_images(48, seed=7, name="train"), steps=150)
        report = evaluate((model, processor, DatasetDict(test=make_images(24))))
        for control in ("zero", "voxel_shuffle", "permuted", "constant", "shuffled"):
            assert report.find("caption", control, "cider_gain")["ci_low"] > 0
            assert report.find("caption", control, "cider_gain")["q"] < 0.05
        assert (
            abs(report.find("caption", "other_subject_same_stimulus", "cider_gain")["value"])
            < report.find("caption", "permuted", "cider_gain")["value"] / 4
        )
        found = {(row["arm"], row["score"]): row for row in report.identification}
        assert found["brain", "cider"]["pairwise_accuracy"] > 0.85
        assert found["zero", "cider"]["pairwise_accuracy"] == 0.5
        assert "something of what was perceived" in report.describe_effect("caption")
        silent = evaluate((model, processor, DatasetDict(test=make_images(24, signal=0.0))))
        assert (
            silent.find("caption", "permuted", "cider_gain")["ci_low"]
            < 0
            < silent.find("caption", "permuted", "cider_gain")["ci_high"]
        )
        assert silent.score("caption", "brain", "cider") < silent.score("caption", "constant", "cider")
        assert "nothing that these samples can show" in silent.describe_effect("caption")


class TestErrors:
    def test_a_row_without_captions(self, make_setting, evaluate):
        model, processor, data = make_setting()
        rows = [dict(row) | ({"references": []} if i == 3 else {}) for i, row in enumerate(data["test"])]
        with pytest.raises(ValueError, match=r"1 of 18 rows lack captions.*tiny/s1/test/3"):
            evaluate((model, processor, DatasetDict(test=Dataset.from_list(rows))))
        with pytest.raises(ValueError, match="no column `references`"):
            evaluate((model, processor, DatasetDict(test=data["test"].remove_columns("references"))))

    def test_an_empty_split(self, make_setting, evaluate):
        with pytest.raises(ValueError, match=r"'validation'.*has no rows"):
            evaluate(make_setting(), split="validation")

    def test_a_subject_that_is_not_there(self, make_setting, evaluate):
        with pytest.raises(ValueError, match=r"no rows of s9; it has s1, s2, s3"):
            evaluate(make_setting(), subjects=["s9"])

    def test_a_subject_whose_brain_is_unknown(self, make_setting, evaluate):
        with pytest.raises(ValueError, match=r"subject 's2' is unknown; known are \['s1', 's3'\]"):
            evaluate(make_setting(known=["s1", "s3"]), subjects=["s2"])

    def test_a_processor_of_another_interface(self, make_setting, evaluate):
        model, _, data = make_setting("prefix")
        with pytest.raises(ValueError, match=r"do not agree \(interface: 'cross_attention'"):
            evaluate((model, make_setting("cross_attention")[1], data))

    def test_a_single_image(self, make_setting, evaluate):
        model, processor, _ = make_setting()
        with pytest.raises(ValueError, match="two groups"):
            evaluate((model, processor, DatasetDict(test=make_images(1))))

    @pytest.mark.parametrize("prompt", ["the", "<|brain|><|brain|>the"])
    def test_a_prompt_without_its_marker(self, make_setting, evaluate, prompt):
        with pytest.raises(ValueError, match=r"must hold the marker <\|brain\|> once"):
            evaluate(make_setting(), prompt=prompt)

    def test_an_unknown_arm(self, make_setting, evaluate):
        with pytest.raises(ValueError, match=r"`optional_arms`: shuffle unknown; choose from other_subject_same"):
            evaluate(make_setting(), optional_arms=["shuffle"])
