"""Mistakes of a tab, as a list and beside the controls that they belong to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from trainer.errors import UserError
from trainer.options import options
from webui.i18n import say, say_error

# A mistake stands beside its control, too.
_MARKS = """
const show = () => {
  document.querySelectorAll('#TAB-decide [data-mark=problem]').forEach((each) => each.remove());
  document.querySelectorAll('#TAB-decide .tb-wrong').forEach((each) => each.classList.remove('tb-wrong'));
  element.querySelectorAll('[data-field]').forEach((each) => {
    const { field } = each.dataset;
    const block = document.getElementById('say-TAB-' + field) || document.querySelector('#TAB-decide #say-options-' + field)
      || document.querySelector('#TAB-decide #o-' + field);
    if (!field || !block) return;
    const said = document.createElement('div');
    said.dataset.mark = 'problem';
    said.textContent = each.textContent;
    block.append(said);
    block.classList.add('tb-wrong');
  });
};
watch('value', show);
"""


def marks_beside(tab: str) -> str:
    """The script of the element with the mistakes of a tab."""
    return _MARKS.replace("TAB", tab)


def problems(found: Sequence[UserError], controls: Mapping[str, str], lang: str) -> str:
    """Every mistake with the way out, and the control that it belongs to.

    `controls` are those whose names differ from those of the options that they fill.
    """
    if not found:
        return ""
    items = "".join(_problem(each, controls, lang) for each in found)
    return f'<div class="tb-problem" role="alert"><ul class="tb-plain-list">{items}</ul></div>'


def _problem(error: UserError, controls: Mapping[str, str], lang: str) -> str:
    told = say_error(error, lang)
    field = controls.get(error.field, error.field)
    name = f"<b>{escape(say(f'options.{error.field}.label', lang))}</b>: " if error.field in options() else ""
    said = f'<span data-field="{escape(field)}">{escape(told.text)} {escape(told.hint)}</span>'
    return f"<li>{name}{said}</li>"
