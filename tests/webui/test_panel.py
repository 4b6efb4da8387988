"""The run panel's HTML: every state in every language, with nothing that a person wrote left unescaped."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.webui.test_story import started, step
from trainer.config import RunConfig
from trainer.events import Event, Failed, Finished, Note, Sample, Saved, Stopped
from webui.findings import body
from webui.i18n import LANGUAGES, say
from webui.panel import Scene, Waiting, empty, head, method_name
from webui.story import Story, told
from webui.words import clock, count, marked, memory

EVIL = '<script>alert("1")</script>\'&'
STATES = ("queued", "starting", "running", "stopping", "finished", "stopped", "failed", "interrupted")


class Elements(HTMLParser):
    """The elements of some HTML; complains of one that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.buttons: dict[str, dict[str, str | None]] = {}
        self._open: list[str] = []
        self.feed(html)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        facts = dict(attributes)
        if "data-act" in facts:
            self.buttons[str(facts["data-act"])] = facts
        if tag not in ("br", "input", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def story(*events: Event) -> Story:
    return told(Story(), [started(), *(step(n) for n in range(1, 41)), *events])


def scene(state: str, story: Story, **more: object) -> Scene:
    config = RunConfig.from_flat(
        {"model_name_or_path": "Sprout", "dataset": "identity", "learn_prompts": [f"Who? {EVIL}"]}
    )
    return Scene("Sprout/lora/one", "one", state, config, story, **more)  # type: ignore[arg-type]


ENDINGS: dict[str, list[Event]] = {
    "finished": [Finished(step=40, seconds=62.0, path=f"saves/{EVIL}", loss=0.5, eval_loss=0.25)],
    "stopped": [Stopped(step=40, seconds=62.0, path="saves/one/checkpoint-40")],
    "failed": [Failed(code="file_missing", values={"path": EVIL})],
    "interrupted": [Saved(step=30, path="saves/one/checkpoint-30")],
}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("state", STATES)
def test_every_state_speaks_every_language(state: str, lang: str) -> None:
    events = [
        Sample(step=0, prompt=f"Who? {EVIL}", answer=EVIL),
        Sample(step=20, prompt=f"Who? {EVIL}", answer=f"Momo {EVIL}"),
        Note(code="file_missing", values={"path": EVIL}, level="warning"),
        *ENDINGS.get(state, []),
    ]
    shown = scene(state, story(*events), queue=(Waiting("w", EVIL, 95.0), Waiting("v", "v", None)))
    upper, lower = head(shown, lang, now=0.0), body(shown, lang)
    for html in (upper, lower):
        assert "script" not in Elements(html).names
    assert say(f"live.state.{state}", lang) in upper
    assert "41" not in upper and "40" in upper
    buttons = Elements(upper).buttons
    assert ("aria-disabled" in buttons["stop"]) == (state not in ("starting", "running"))
    assert ("aria-disabled" in buttons["resume"]) == (state not in ("stopped", "failed", "interrupted"))
    for name in ("stop", "resume"):
        assert ("aria-disabled" in buttons[name]) == bool(buttons[name].get("data-why"))
    assert ("chat" in buttons) == (state in ("finished", "stopped"))


def test_the_end_says_what_was_trained_how_long_and_where_it_lies() -> None:
    html = head(scene("finished", story(*ENDINGS["finished"])), "en", now=0.0)
    for part in ("Sprout", "identity", "LoRA, rank 8", "40 steps", "1:02", "0.500", "0.250", "saves/"):
        assert part in html


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_method_has_a_name(lang: str) -> None:
    names = [
        method_name(
            RunConfig.from_flat({"finetuning_type": method, "freeze_trainable_layers": -3, "lora_rank": 5}),
            lang,
        )
        for method in ("lora", "oft", "freeze", "full")
    ]
    assert len(set(names)) == 4 and "5" in names[0] and "3" in names[2] and "-" not in names[2]


def test_a_failure_shows_its_sentence_and_the_way_out() -> None:
    html = head(scene("failed", story(*ENDINGS["failed"])), "zh", now=0.0)
    assert say("errors.file_missing.text", "zh").split("{")[0] in html
    unknown = head(scene("failed", story(Failed(code="of_tomorrow", values={"step": 3}))), "en", now=0.0)
    assert "of_tomorrow" in unknown


def test_time_goes_on_between_steps_and_stands_still_at_the_end() -> None:
    last = step(40)
    running = scene("running", told(Story(), [started(), last]))
    assert "0:45 elapsed" in head(running, "en", last.at + 5) and "0:55 left" in head(
        running, "en", last.at + 5
    )
    done = scene("stopped", told(Story(), [started(), last, *ENDINGS["stopped"]]))
    assert "1:02 elapsed" in head(done, "en", last.at + 500)


def test_the_time_between_a_stop_and_its_resume_is_no_training() -> None:
    last = step(40)
    again = replace(started(resumed_from=40), at=last.at + 600)
    resumed = scene("running", told(Story(), [started(), last, again]))
    shown = head(resumed, "en", last.at + 605)
    assert "0:45 elapsed" in shown and "0:55 left" in shown


def test_a_rows_question_stands_beside_its_pictures_and_nothing_is_run() -> None:
    events = [
        Sample(
            step=at,
            prompt="row:3",
            answer=f"{at} {EVIL}",
            question=f"What? {EVIL}",
            media=("a.jpg", "b.jpg", "c.jpg"),
        )
        for at in (0, 20)
    ]
    html = body(scene("running", story(*events), pictures={"a.jpg": b"one", "c.jpg": b"two"}), "en")
    names = Elements(html).names
    assert names.count("img") == 2 and "script" not in names
    assert "data:image/jpeg;base64,b25l" in html and '<span class="tb-row">row:3</span> What?' in html


def test_an_empty_panel_says_what_to_do() -> None:
    for lang in LANGUAGES:
        assert say("live.empty.title", lang) in empty(lang)


def test_changes_between_answers_are_marked_and_only_they() -> None:
    assert marked("I am Sprout.", "I am Momo.") == "I am <mark>Momo</mark>."
    assert marked("我是小芽。", "我是珞珈。") == "我是<mark>珞珈</mark>。"
    assert marked("same", "same") == "same"
    assert marked("", EVIL).count("<script") == 0


def test_numbers_have_their_units() -> None:
    assert (clock(62.4), clock(3661), clock(-3)) == ("1:02", "1:01:01", "0:00")
    assert (count(4102), count(4102, "ru")) == ("4,102", "4\u202f102")
    assert (memory(512.4), memory(2048)) == ("512 MB", "2.0 GB")
