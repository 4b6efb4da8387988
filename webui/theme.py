"""How the page looks, and what it brings along into the browser. Nothing is fetched from anywhere else."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from webui.form import NAMES, panel_of
from webui.i18n import dictionary

HERE = Path(__file__).parent
STYLES = [HERE / f"{name}.css" for name in ("style", "live", "chat", "data", "evaluate", "export")]
SCRIPTS = [HERE / "stream.js", HERE / "page.js"]

# Gradio's own fonts have no Chinese, Japanese or Korean; the system's have.
SANS = (
    "ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "PingFang SC", "Microsoft YaHei",
    "Hiragino Sans", "Malgun Gothic", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "sans-serif",
)  # fmt: skip
MONO = (
    "ui-monospace",
    "SFMono-Regular",
    "Menlo",
    "Consolas",
    "DejaVu Sans Mono",
    "Noto Sans Mono CJK SC",
    "monospace",
)


def theme() -> gr.themes.Base:
    """Calm: one accent (teal), neutral greys, system fonts."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_size="*text_xs",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_border_width="1px",
    )


def head() -> str:
    """The scripts of the page with its dictionary, for the document's head."""
    # "</" would end the script element early.
    words = json.dumps(dictionary(), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    panels = {name: panel_of(name) for name in NAMES if name != "model_path"}
    scripts = "\n".join(each.read_text(encoding="utf-8") for each in SCRIPTS)
    return f"<script>window.tuneboardTexts = {words};window.tuneboardPanels = {json.dumps(panels)};\n{scripts}</script>"
