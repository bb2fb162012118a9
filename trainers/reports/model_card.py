# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The model card, filled from the configuration and the evaluation report; no figure is typed by hand."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelCardData

from modeling_brainllm.publishing_brainllama import push_folder, read_terms

from ..common.adapter_base import ADAPTER_BASE, describe_base, save_base
from ..data.provenance import save_training_brains
from .hub_results import save_eval_results, to_model_index
from .membership import NAME, describe_membership
from .report import EvaluationReport


if TYPE_CHECKING:
    from peft import PeftModel

    from modeling_brainllm import BrainLlamaConfig


TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
# As PEFT names them.
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TAGS = ("brain-decoding", "fmri", "brain-to-text", "neuroscience", "brainllm")
# What a reader must see beside the own brain; a report without makes no card, whatever it was allowed to lack.
CARD_CONTROLS = ("permuted", "no_brain")


def create_model_card(
    config: "BrainLlamaConfig",
    report: EvaluationReport | None = None,
    *,
    model_id: str,
    license: str,
    license_name: str | None = None,
    license_link: str | None = None,
    datasets: Sequence[str] | None = None,
    language: str = "en",
    adapter_base: str | None = None,
    citation: str | None = None,
) -> ModelCard:
    """Make the card of a checkpoint or of a PEFT adapter.

    Args:
        config ([`BrainLlamaConfig`]):
            Configuration of the model; `text_model_id` becomes `base_model`.
        report ([`EvaluationReport`], *optional*):
            Evaluation; what the brain adds, split, control tables and results enter the card. Without one the card
            says that the model was not evaluated.
        model_id (`str`):
            Repository of the model, `owner/name`.
        license (`str`):
            License identifier of the Hub. A model derived from a Llama keeps the Llama's license.
        license_name, license_link (`str`, *optional*):
            For `license="other"`.
        datasets (`Sequence[str]`, *optional*):
            Hub ids of the training data, where they are on the Hub.
        language (`str`, *optional*, defaults to `"en"`):
            Language of the decoded text.
        adapter_base (`str`, *optional*):
            Of a PEFT adapter, the brain checkpoint that it adapts.
        citation (`str`, *optional*):
            BibTeX of the data; by default that of the corpus on which the report was made.

    Returns:
        `huggingface_hub.ModelCard`: Save it as `README.md` of the repository, or push it.

    Raises:
        ValueError: If the config names no language model, or the report lacks a control arm.
    """
    if not config.text_model_id:
        raise ValueError("`config.text_model_id` is empty, so the card cannot name its base model. Set it first.")
    results = None
    if report is not None:
        _require_controls(report)
        results = to_model_index(report.results(), report.split, report.fingerprint.get("data"))
    data = ModelCardData(
        license=license,
        license_name=license_name,
        license_link=license_link,
        language=language,
        library_name="peft" if adapter_base else "transformers",
        # No task of the Hub fits: `text-generation` would promise a widget that cannot take a brain.
        pipeline_tag="other",
        base_model=adapter_base or config.text_model_id,
        base_model_relation="finetune" if config.text_model_included and not adapter_base else "adapter",
        datasets=list(datasets) if datasets else None,
        tags=list(TAGS),
        model_name=model_id.rpartition("/")[2],
        eval_results=results,
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        model_id=model_id,
        config=config,
        encoder=config.encoder_config,
        adapter_base=adapter_base,
        report=report.to_markdown().replace("\n## ", "\n### ") if report else None,
        data=report.split if report and "license" in report.split else None,
        citation=citation or (report.split.get("citation") if report else None),
        membership=_describe_membership(report),
    )


def _describe_membership(report: EvaluationReport | None) -> str:
    """Whether training data can be told from held-out data, as the section `membership` of the report found."""
    for section in report.sections if report else ():
        if section["name"] == NAME:
            return describe_membership(section["rows"])
    return "Whether training data can be told from held-out data by this model was not measured."


def push_adapter(
    model: "PeftModel",
    repo_id: str,
    *,
    license: str,
    saved: str | Path | None = None,
    adapter_base: str | None = None,
    report: EvaluationReport | None = None,
    benchmark: str | None = None,
    private: bool | None = True,
    token: str | None = None,
) -> str:
    """Push a LoRA adapter with a card; both name the brain checkpoint that it adapts, never a folder.

    Args:
        model ([`~peft.PeftModel`]):
            The adapter on its brain checkpoint.
        repo_id (`str`), private (`bool`, *optional*, defaults to `True`), token (`str`, *optional*):
            Repository to push to, and the token of the Hub; see
            [`~modeling_brainllm.publishing_brainllama.push_folder`].
        license (`str`), report ([`EvaluationReport`], *optional*):
            As in [`create_model_card`].
        saved (`str` or `Path`, *optional*):
            Folder into which the trainer has saved the adapter. One process can push it from there, though under
            ZeRO-3 and FSDP each has but shards of the model. By default the weights are those in memory.
        adapter_base (`str`, *optional*):
            Hub id of the brain checkpoint; by default the one that the adapter was trained on.
        benchmark (`str`, *optional*):
            Hub id of the benchmark on whose board the report's figures are to stand; see
            [`~trainers.reports.hub_results.to_eval_results`].

    Returns:
        `str`: Address of the commit.

    Raises:
        ValueError: If the brain checkpoint is a local folder.
    """
    peft_config = model.active_peft_config
    base = adapter_base or peft_config.base_model_name_or_path
    if not base or Path(base).is_dir():
        raise ValueError(
            f"The adapter's base is {base!r}, which nobody else can load. Push the brain checkpoint first and give "
            "its Hub id as `adapter_base`."
        )
    brain_model: Any = model.get_base_model()
    config = brain_model.config
    card = create_model_card(config, report, model_id=repo_id, license=license, adapter_base=base)
    with TemporaryDirectory() as folder:
        if saved is None:
            model.save_pretrained(folder)
            save_base(describe_base(brain_model), folder)
        else:
            for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_BASE):
                shutil.copy(Path(saved) / name, folder)
        _name_base(Path(folder) / ADAPTER_CONFIG, base)
        if hasattr(config, "training_brains"):
            save_training_brains(config, folder)
        card.save(Path(folder) / "README.md")
        if report is not None and benchmark is not None:
            save_eval_results(report.results(), benchmark, folder)
        # The adapter may have been trained on other data than what is below it.
        terms = [*(config.data_terms or ()), *(read_terms(saved) if saved is not None else ())]
        message = "Upload adapter"
        return str(push_folder(folder, repo_id, private=private, token=token, terms=terms, commit_message=message))


def _name_base(file: Path, base: str) -> None:
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**settings, "base_model_name_or_path": base}, indent=2), encoding="utf-8")


def _require_controls(report: EvaluationReport) -> None:
    missing = [item.name for item in report.missing if item.name in CARD_CONTROLS]
    if missing:
        raise ValueError(
            f"The report lacks the arms {sorted(set(missing))}: a score without its controls does not enter a card. "
            "Evaluate again."
        )


__all__ = ["create_model_card", "push_adapter"]
