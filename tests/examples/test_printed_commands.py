# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Every command that README.md, the guide and the scripts print is run, in the order in which they stand, on small data.

What a command names is there: corpora of the same form with planted brains, tiny language models in place of those of
the Hub. To each command are appended options that make it short; nothing of what is printed is left out.
"""

import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import REPOSITORY


DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/corpora.md", "docs/training.md", "docs/evaluation.md")
# The docstrings of the other scripts are followed by tests of their own.
SCRIPTS = ("train_sft.py", "train_contrastive.py", "train_grpo.py", "generate.py", "map_voxels.py")
# Run by tests of their own: an index, the whole suite, a Hub, several processes.
ELSEWHERE = re.compile(
    r"^(pip|make|brainllm (init|demo)|echo|python examples/(demo|push_to_hub)\.py)\b|--num_processes"
)
# Corpora of the same form, for those that cannot be shipped.
PLANTED = {
    "brainllm2025": ("synthetic_sentences", {"num_passages": 20, "num_features": 8}),
    "lebel2023": ("synthetic_stories", {"num_stories": 8, "story_frames": 80, "num_voxels": 8}),
    "nsd2022": (
        "synthetic_images",
        {
            "num_subjects": 8,
            "num_sessions": 2,
            "trials_per_session": 24,
            "num_shared": 4,
            "num_voxels": 40,
            "validation_fraction": 0.4,
        },
    ),
}
VOXELS = json.dumps({"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8})
QUIET = ("--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--max_steps", "2")
SHORT = {
    "train_sft.py": (*QUIET, "--warmup_epochs", "0", "--text_epochs", "0.1", "--num_sampled_sentences", "60",
                     "--num_components", "8"),
    "train_contrastive.py": (*QUIET, "--voxel_encoder", VOXELS, "--per_device_train_batch_size", "5"),
    "train_grpo.py": (*QUIET, "--per_device_train_batch_size", "4", "--num_generations", "2", "--max_steps", "1",
                      "--gradient_accumulation_steps", "1", "--max_completion_length", "4"),
    "generate.py": ("--num_samples", "2", "--max_new_tokens", "5"),
    "evaluate.py": ("--no_progress", "--num_permutations", "20", "--num_text_permutations", "2",
                    "--max_new_tokens", "4", "--allow", "tests"),
    "analyze.py": ("--num_bins", "2"),
    "map_voxels.py": ("--max_rows", "6", "--repeats", "2", "--num_permutations", "99", "--steps", "2"),
    "reconstruct_story.py": ("--num_others", "2", "--beam_width", "2"),
}  # fmt: skip


def commands_of(text: str) -> list[str]:
    """Commands of a block, one a line, without comments, and with the block's variables filled in."""
    found, variables = [], {}
    for line in text.replace("\\\n", " ").splitlines():
        line = " ".join(line.split())
        if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
            variables[assigned[1]] = assigned[2]
        elif line and not line.startswith("#"):
            found.append(re.sub(r"\$(\w+)", lambda name: variables[name[1]], line).partition(" #")[0].strip())
    return found


def printed() -> Iterator[tuple[str, str]]:
    """Where each command is printed, and the command."""
    for name in DOCUMENTS:
        for block in re.findall(r"```bash\n(.*?)```", (REPOSITORY / name).read_text(), re.DOTALL):
            yield from ((name, command) for command in commands_of(block))
    for name in SCRIPTS:
        docstring = (REPOSITORY / "examples" / name).read_text().split('"""')[1]
        for block in re.findall(r"(?:^    .*\n)+", docstring, re.MULTILINE):
            yield from ((name, command) for command in commands_of(block))


def split_command(command: str) -> tuple[str, list[str]]:
    """The script that a command runs, and the script's arguments."""
    words = shlex.split(command)
    place = next(i for i, word in enumerate(words) if word.startswith("examples/") and word.endswith(".py"))
    return Path(words[place]).name, words[place + 1 :]


COMMANDS = list(dict.fromkeys(command for _, command in printed() if not ELSEWHERE.search(command)))


class TestExtraction:
    def test_lines_and_variables(self):
        block = (
            'gpu="--config_file one.yaml"\n# a comment\naccelerate launch $gpu examples/a.py --x \\\n    1  # note\n'
        )
        assert commands_of(block) == ["accelerate launch --config_file one.yaml examples/a.py --x 1"]
        assert split_command(commands_of(block)[0]) == ("a.py", ["--x", "1"])

    def test_every_script_is_printed_somewhere(self):
        run = {split_command(command)[0] for _, command in printed() if ".py" in command}
        assert {path.name for path in (REPOSITORY / "examples").glob("*.py")} - run <= {"small_recipe.py", "demo.py"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """An empty folder with our scripts, and what people bring along: captions of two systems, options of corpora."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    references = {str(image): [f"a dog runs {image}", f"the dog is at {image}"] for image in range(12)}
    for name in ("captions.json", "fmri_cococap.json"):
        (folder / name).write_text(json.dumps(references))
    for name, words in {"ours": "a dog runs", "theirs": "a cat"}.items():
        (folder / f"{name}.json").write_text(json.dumps({image: f"{words} {image}" for image in references}))
    (folder / "nsd.yaml").write_text("test_subjects: [subj08]\n")
    (folder / "corpus.yaml").write_text("test_subjects: [subj08]\nnum_adaptation_groups: 5\n")
    return folder


@pytest.fixture(scope="module")
def language_model(world) -> Path:
    """Of as many layers as the recipes name; it ends a sentence now and then."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from dataset_builders.corpora.synthetic.sentences import CONTENT_WORDS

    words = dict.fromkeys(["<unk>", "<s>", "</s>", ".", "the", "a", "and", "in", "near", "dog", *CONTENT_WORDS[:40]])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(world / "llama")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 16, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), bos_token_id=1, eos_token_id=2, **sizes)).save_pretrained(
        world / "llama"
    )
    return world / "llama"


def prepare(arguments: list[str]) -> None:
    """Prepares a corpus of the same form with the options of the command; those of the real one are checked."""
    import yaml

    from dataset_builders import builder_class, prepare_corpus, save_corpus

    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    name, folder = given["--corpus"], Path(given["--output_dir"])
    options = yaml.safe_load(Path(given["--config"]).read_text()) if "--config" in given else {}
    builder_class(name).BUILDER_CONFIG_CLASS(**options)
    planted, small = PLANTED.get(name, (name, {"num_passages": 20, "num_features": 8}))
    save_corpus(prepare_corpus(planted, cache_dir=folder.with_suffix(".cache"), **small, **options), folder)


def write_texts(dataset: str) -> None:
    """Texts of two systems for the sentences of a corpus."""
    from trainers import DataArguments, load_corpus_splits, read_as

    rows = read_as(load_corpus_splits(DataArguments(dataset=dataset))["test"], "sentence")
    for name, text in (("our_texts.json", "a dog runs"), ("their_texts.json", "a cat")):
        Path(name).write_text(json.dumps(dict.fromkeys(rows["sample_id"], text)))


@pytest.mark.slow
def test_every_printed_command_works(world, language_model, monkeypatch, capsys):
    monkeypatch.chdir(world)
    ids = re.compile(r"(meta-llama|sentence-transformers)/[\w.-]+")
    for command in COMMANDS:
        script, arguments = split_command(command)
        arguments = [ids.sub(str(language_model), argument) for argument in arguments]
        if script == "prepare_dataset.py":
            prepare([argument for argument in arguments if argument != "--accept_license"])
            continue
        if "our_texts.json" in arguments:
            write_texts(arguments[arguments.index("--dataset") + 1])
        arguments += SHORT.get(script, ())
        arguments += ["--bf16", "true"] if "--config_file" in command else []  # which those files say to the launcher
        if script.startswith("train_") and "--config" in arguments:
            recipe = (world / arguments[arguments.index("--config") + 1]).read_text()
            arguments += ["--sentence_encoder", str(language_model)] if "sentence_encoder:" in recipe else []
        monkeypatch.setattr(sys, "argv", [str(REPOSITORY / "examples" / script), *arguments])
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except BaseException as error:
            pytest.fail(f"{capsys.readouterr().err[-2000:]}\n{error!r}\n{command}\nas {shlex.join(sys.argv)}")
