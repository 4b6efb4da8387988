"""A judge is asked twice, with the order swapped, and is told nothing of which side is which."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.evaluate.services import Quiet, serving
from trainer.errors import UserError
from trainer.evaluate.compare import verdict
from trainer.evaluate.judge import Case, Judge, Post, Reply, judge

KEY = "sk-very-secret"
BY = Judge("http://judge.invalid/v1/", "some-model", KEY)
CASE = Case("What is 2+2?", tuned="four", base="five", label="4")


def replying(choose: Any) -> Post:
    """`choose(first, second)` is what the judge says of the two answers in the order it sees them."""

    def post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Reply:
        assert url == "http://judge.invalid/v1/chat/completions" and timeout_s == 60
        assert headers["Authorization"] == f"Bearer {KEY}"
        asked = json.loads(body)
        text = asked["messages"][1]["content"]
        assert asked["model"] == "some-model" and asked["temperature"] == 0
        assert "tuned" not in text and "base" not in text and "What is 2+2?" in text
        first = text.split("<answer_A>\n")[1].split("\n</answer_A>")[0]
        second = text.split("<answer_B>\n")[1].split("\n</answer_B>")[0]
        said = {"choices": [{"message": {"content": choose(first, second)}}]}
        return Reply(200, json.dumps(said).encode())

    return post


@pytest.mark.parametrize(
    ("choose", "choice", "swayed"),
    [
        (lambda first, second: "[[A]]" if first == "four" else "So it is [[b]].", "tuned", 0),
        (lambda first, second: "[[B]]" if first == "four" else "[[A]]", "base", 0),
        (lambda first, second: "[[TIE]]", "equal", 0),
        (lambda first, second: "[[A]]", "equal", 1),
        (lambda first, second: "[[A]]" if first == "four" else "[[TIE]]", "equal", 0),
        (lambda first, second: "no idea", None, 0),
        (lambda first, second: None, None, 0),
        (lambda first, second: "<think>[[A]]</think> [[TIE]]", "equal", 0),
        (lambda first, second: "<think>[[A]] and on", None, 0),
    ],
)
def test_only_an_answer_that_wins_from_both_places_wins(choose: Any, choice: str | None, swayed: int) -> None:
    found = judge([CASE, CASE], BY, replying(choose))
    assert found.choices == (choice, choice) and found.swayed == 2 * swayed


def test_choices_make_a_verdict() -> None:
    found = judge([CASE] * 8, BY, replying(lambda first, second: "[[A]]" if first == "four" else "[[B]]"))
    said = verdict("judge", *found.scores)
    assert (said.better, said.rows, said.difference, said.shown) == (8, 8, 100.0, True)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(401, b""), "judge_refused"),
        (Reply(200, b"<html>"), "judge_other"),
        (Reply(200, b"{}"), "judge_other"),
        (OSError(f"cannot send {KEY}"), "judge_unreachable"),
        (ValueError(f"bad header {KEY}"), "judge_unreachable"),
    ],
)
def test_what_fails_has_a_sentence_without_the_key(reply: Reply | Exception, code: str) -> None:
    def post(*_: Any) -> Reply:
        if isinstance(reply, Exception):
            raise reply
        return reply

    with pytest.raises(UserError) as error:
        judge([CASE] * 5, BY, post)
    assert error.value.code == code and KEY not in str(error.value) and KEY not in repr(BY)


class Service(Quiet):
    def do_POST(self) -> None:
        asked = self.asked()
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/v1/chat/completions")
            self.end_headers()
            return
        text = asked["messages"][1]["content"]
        choice = "[[A]]" if "<answer_A>\nfour" in text else "[[B]]"
        self.say(choice)


@pytest.fixture
def address() -> Iterator[str]:
    with serving(Service) as found:
        yield found


def test_a_real_service_is_asked(address: str) -> None:
    assert judge([CASE] * 3, Judge(f"{address}/v1", "m")).choices == ("tuned",) * 3
    with pytest.raises(UserError) as error:
        judge([CASE], Judge(f"{address}/moved", "m", KEY))
    assert error.value.code == "judge_refused" and error.value.values["status"] == 302
    for nowhere in ("file:///etc", "http://127.0.0.1:1/v1", "http://bad host/"):
        with pytest.raises(UserError) as error:
            judge([CASE], Judge(nowhere, "m"))
        assert error.value.code == "judge_unreachable"
