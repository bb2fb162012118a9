# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""The model card, filled from the configuration and the evaluation report; no figure is typed by hand."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, create_repo, upload_folder

from .conditions import save_training_brains
from .report import EvaluationReport


if TYPE_CHECKING:
    from peft import PeftModel

    from modeling_brainllm import BrainLlamaConfig


TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
TAGS = ("brain-decoding", "fmri", "brain-to-text", "neuroscience", "brainllm")
# Arms that a reader must see side by side; a report without one of them makes no card.
CONTROL_ARMS = ("brain", "permuted", "no_brain")


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
            Evaluation; its control table, split and results enter the card. Without one the card says that the model
            was not evaluated.
        model_id (`str`):
            Repository of the model, `owner/name`.
        license (`str`):
            Licence identifier of the Hub. A model derived from a Llama keeps the Llama's licence.
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
    if report is not None:
        _require_controls(report)
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
        eval_results=_eval_results(report) if report else None,
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        model_id=model_id,
        config=config,
        encoder=config.encoder_config,
        adapter_base=adapter_base,
        report=report.to_markdown().replace("\n## ", "\n### ") if report else None,
        data=report.split if report and "licence" in report.split else None,
        citation=citation or (report.split.get("citation") if report else None),
    )


def push_adapter(
    model: "PeftModel",
    repo_id: str,
    *,
    license: str,
    adapter_base: str | None = None,
    report: EvaluationReport | None = None,
    private: bool | None = None,
) -> str:
    """Push a LoRA adapter with a card; both name the brain checkpoint that it adapts, never a folder.

    Args:
        model ([`~peft.PeftModel`]):
            The adapter on its brain checkpoint.
        repo_id (`str`), private (`bool`, *optional*):
            Repository to push to.
        license (`str`), report ([`EvaluationReport`], *optional*):
            As in [`create_model_card`].
        adapter_base (`str`, *optional*):
            Hub id of the brain checkpoint; by default the one that the adapter was trained on.

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
    peft_config.base_model_name_or_path = base
    config: Any = model.get_base_model().config
    card = create_model_card(config, report, model_id=repo_id, license=license, adapter_base=base)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        if hasattr(config, "training_brains"):
            save_training_brains(config, folder)
        card.save(Path(folder) / "README.md")
        create_repo(repo_id, private=private, exist_ok=True)
        return str(upload_folder(repo_id=repo_id, folder_path=folder))


def _require_controls(report: EvaluationReport) -> None:
    for reading in report.readings:
        missing = set(CONTROL_ARMS) - {row["arm"] for row in report.arms if row["reading"] == reading}
        if missing:
            raise ValueError(
                f"The report's reading {reading!r} lacks the arms {sorted(missing)}: a score without its controls "
                "does not enter a card. Evaluate again with `evaluate_arms`."
            )


def _eval_results(report: EvaluationReport) -> list[EvalResult]:
    """`model-index` entries: pairwise accuracies with their intervals, and BLEU-1 of every arm."""
    split = report.split
    dataset: dict[str, Any] = {
        "task_type": "text-generation",
        "task_name": "Brain-to-text decoding",
        "dataset_type": split.get("corpus", "unknown"),
        "dataset_name": split.get("corpus", "unknown"),
        "dataset_split": split["evaluated"],
        "dataset_revision": _as_text(report.fingerprint.get("data")),
    }
    results = []
    for row in report.comparisons:
        if row["metric"] == "pairwise_accuracy" and row["control"] in CONTROL_ARMS:
            name = f"Pairwise accuracy against {row['control']} ({row['reading']}, chance .5)"
            interval = {"ci_low": row["ci_low"], "ci_high": row["ci_high"], "q": row["q"]}
            results.append(("accuracy", name, row["value"], interval))
    for row in report.arms:
        if "brainllm_bleu_1" in row:
            name = f"BLEU-1 (BrainLLM form), arm {row['arm']} ({row['reading']})"
            results.append(("bleu", name, row["brainllm_bleu_1"], None))
    return [
        EvalResult(metric_type=kind, metric_name=name, metric_value=round(value, 4), metric_args=arguments, **dataset)
        for kind, name, value, arguments in results
    ]


def _as_text(fingerprint: Any) -> str | None:
    return ", ".join(map(str, fingerprint)) if isinstance(fingerprint, list) else fingerprint


__all__ = ["create_model_card", "push_adapter"]
