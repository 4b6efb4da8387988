"""Chat templates by name: LLaMA-Factory's words, and the files that this program has for them.

A name that fits the model means the model's own template. A file is for a model that has none (a base model), or for
the person who asks for another one on purpose. Where TRL, which is installed beside us, carries what a family's makers
published, that is read there.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from trainer.errors import UserError

FOLDER = Path(__file__).resolve().parent.parent / "model" / "templates"

# A family's file -> what a template of the family is known by, and the names it goes by.
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chatml": (("<|im_start|>",), (
        "qwen", "qwen2", "qwen2_5", "qwen2_vl", "qwen2_audio", "qwen2_omni", "qwen3", "qwen3_nothink", "qwen3_vl",
        "qwen3_vl_nothink", "qwen3_omni", "qwen3_omni_nothink", "qwen3_5", "qwen3_5_nothink", "qwen3_6", "smollm",
        "smollm2", "yi", "yi_vl", "intern2", "intern3", "chatml_de", "marco", "opencoder", "mimo",
    )),
    "llama3": (("<|start_header_id|>",), ("llama3_1", "llama3_2", "mllama", "llama3_vl")),
    "gemma": (("<start_of_turn>",), ("gemma2", "gemma3", "gemma3n", "medgemma")),
    "mistral": (("[INST]",), ("ministral", "ministral3", "mistral_small", "pixtral", "llama2", "llama2_zh")),
    "phi": (("<|assistant|>", "<|end|>"), ("phi_small",)),
    "glm4": (("<|assistant|>", "<|user|>"), ("glmz1", "glm4_moe", "glm4v", "glm4_0414", "chatglm3")),
    "deepseek3": (("<｜Assistant｜>",), ("deepseekr1",)),
    "alpaca": (("### Instruction",), ()),
    "default": ((), ()),
    "vanilla": ((), ("empty",)),
}  # fmt: skip

# Names for which TRL has the published template -> its file there.
PUBLISHED = {
    "qwen3": "qwen3", "qwen3_vl": "qwen3_vl", "qwen3_vl_nothink": "qwen3_vl", "qwen2_vl": "qwen2_5_vl",
    "qwen3_5": "qwen3_5_think", "qwen3_5_nothink": "qwen3_5_nothink", "qwen3_6": "qwen3_6", "gemma4": "gemma4_v5",
    "gpt_oss": "gptoss", "gpt": "gptoss", "cohere": "cohere", "lfm": "lfm2", "lfm2": "lfm2", "glm4_moe": "glm4moe",
}  # fmt: skip

# Names of LLaMA-Factory for models that always bring a template of their own.
OWN_ONLY = frozenset({
    "aquila", "atom", "baichuan", "baichuan2", "bailing", "bailing_v2", "belle", "bluelm", "breeze", "chatglm2", "codegeex2", "codegeex4",
    "cpm", "cpm3", "cpm4", "dbrx", "deepseek", "deepseekcoder", "devstral", "ernie", "ernie_nothink",
    "exaone", "falcon", "falcon_h1", "fewshot", "gemma4n", "granite3", "granite3_vision", "granite4",
    "glm4_5v", "glm4_7", "hunyuan", "hunyuan_small", "index", "intern_s1", "intern_vl", "kimi_vl", "keye_vl", "lfm2_vl",
    "ling", "llama4", "llava", "llava_next", "llava_next_mistral", "minicpm_o", "minicpm_v", "minimax1", "minimax2", "moonlight",
    "nanbeige", "olmo", "openchat", "openchat-3.6", "orion", "paligemma", "phi4", "phi4_mini", "seed_coder", "seed_oss",
    "skywork_o1", "solar", "starchat", "telechat", "telechat2", "vicuna", "video_llava", "xuanyuan", "xverse", "yayi",
    "youtu", "youtu_vl", "yuan", "zephyr", "ernie_vl", "exaone4", "glm4v_moe", "glm4_6v", "granite4_vision", "hy3",
    "llava_next_llama3", "llava_next_qwen", "llava_next_yi", "llava_next_video", "llava_next_video_mistral",
    "llava_next_video_yi", "ling2", "mimo_v2", "minicpm_v_4_6", "moss_vl", "paligemma_chat", "sailor", "kimi_k2", "step3",
})  # fmt: skip


@cache
def names() -> tuple[str, ...]:
    """Every name with a file, the families first: what a model without a template can be given."""
    others = [name for _, aliases in FAMILIES.values() for name in aliases]
    return (*FAMILIES, *others, *(name for name in PUBLISHED if name not in others))


def is_taken_on_trust(own: str, name: str) -> bool:
    """Whether the name stands for the model's own template `own` without a mark by which the two could be compared."""
    return bool(own) and (name.strip() in OWN_ONLY or name.strip() in PUBLISHED) and pick(own, name) == own


def pick(own: str, name: str) -> str:
    """The text of the chat template for a model whose own template is `own` (empty: it has none).

    Raises UserError when the name is unknown, and when there is neither an own template nor a name that has a file.
    """
    name = name.strip()
    if not name:
        if own:
            return own
        raise UserError("data_no_template", field="template", names=", ".join(FAMILIES))
    family = next((each for each, (_, aliases) in FAMILIES.items() if name == each or name in aliases), None)
    known = name in OWN_ONLY or name in PUBLISHED
    if own and (_fits(own, family) if family else known):
        return own
    text = _published(name) or (family and (FOLDER / f"{family}.jinja").read_text(encoding="utf-8"))
    if not text:
        raise UserError("data_template_unknown", field="template", name=name, names=", ".join(names()))
    return text


def _published(name: str) -> str:
    """The family's template as TRL carries it; empty where it has none of that name."""
    spec = find_spec("trl") if name in PUBLISHED else None
    if spec is None or not spec.submodule_search_locations:
        return ""
    path = Path(spec.submodule_search_locations[0]) / "chat_templates" / f"{PUBLISHED[name]}.jinja"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _fits(own: str, family: str) -> bool:
    marks = FAMILIES[family][0]
    return bool(own and marks) and all(mark in own for mark in marks)
