"""What a page shows as runs come and go, without a browser: pages that look at different times see the same."""

from __future__ import annotations

from pathlib import Path

from tests.jobs.fake import FakeRun, config, mistake, until, wait
from trainer.jobs.jobs import Jobs
from webui.watch import Look, View, act, log_html, look, pictures, show


def see(jobs: Jobs, view: View, lang: str = "en") -> Look:
    return look(jobs, view, lang, now=0.0)


def fresh(jobs: Jobs) -> Look:
    """What a page shows that has just been opened."""
    return see(jobs, View())


def test_a_page_attaches_to_what_is_there_and_rests_when_nothing_changes(jobs: Jobs) -> None:
    nothing = fresh(jobs)
    assert nothing.view.run == "" and "tb-empty" in (nothing.head or "") and not nothing.view.ticking
    again = see(jobs, nothing.view)
    assert (again.head, again.body, again.log) == (None, None, None)
    job = jobs.submit(config("one", max_steps=3))
    wait(jobs, job.id, "finished")
    assert see(jobs, again.view).view.run == job.id, "a page that waited for the first run shows it"
    done = fresh(jobs)
    assert done.view.run == job.id and 'data-state="finished"' in (done.head or "")
    assert not done.view.ticking
    still = see(jobs, done.view)
    assert (still.head, still.body, still.log) == (None, None, None)
    assert see(jobs, done.view, "zh").body is not None


def test_two_pages_see_the_same_curve_and_the_final_event_ends_the_ticking(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    job = jobs.submit(config("one", max_steps=50))
    wait(jobs, job.id, "running")
    early = fresh(jobs)
    assert early.view.ticking and 'data-state="running"' in (early.head or "")
    run.gate.set()
    view = early.view
    while jobs.get(job.id).state != "finished":
        view = see(jobs, view).view
    late = fresh(jobs)
    until(lambda: not see(jobs, view).view.ticking)
    followed = see(jobs, view).view
    assert followed.cursor == late.view.cursor
    assert len(followed.cursor.story.loss) == 50
    assert not followed.ticking


def test_stop_and_resume_from_the_panel(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    job = jobs.submit(config("one", max_steps=5))
    wait(jobs, job.id, "running")
    seen = fresh(jobs)
    stopped = see(jobs, act(jobs, seen.view, "stop", job.id))
    assert 'data-state="stop' in (stopped.head or "")
    wait(jobs, job.id, "stopped")
    rested = see(jobs, stopped.view)
    assert 'data-state="stopped"' in (rested.head or "") and "checkpoint-1" in (rested.head or "")
    run.gate.set()
    resumed = see(jobs, act(jobs, rested.view, "resume", job.id))
    assert resumed.view.run == job.id
    wait(jobs, job.id, "finished")
    ended = see(jobs, resumed.view)
    assert [point.x for point in ended.view.cursor.story.loss] == [2, 3, 4, 5]
    refused = see(jobs, act(jobs, ended.view, "resume", job.id))
    assert refused.view.trouble is not None and 'role="alert"' in (refused.head or "")
    assert see(jobs, act(jobs, refused.view, "resume", job.id)).head != refused.head


def test_a_second_start_waits_in_sight_and_the_page_goes_over_to_it(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    one = jobs.submit(config("one", max_steps=2))
    wait(jobs, one.id, "running")
    view = see(jobs, show(jobs, fresh(jobs).view, one.id)).view
    two, three = jobs.submit(config("two", max_steps=2)), jobs.submit(config("three", max_steps=2))
    seen = see(jobs, show(jobs, view, two.id))
    assert seen.view.run == one.id and seen.view.awaits == two.id
    assert "tb-queue" in (seen.head or "")
    act(jobs, seen.view, "move_up", three.id)
    assert [job.id for job in jobs.queue()] == [three.id, two.id]
    seen = see(jobs, act(jobs, seen.view, "cancel", three.id))
    assert [job.id for job in jobs.queue()] == [two.id]
    other = fresh(jobs).view
    jobs.stop(one.id)
    wait(jobs, two.id, "running")
    assert see(jobs, seen.view).view.run == two.id
    bystander = see(jobs, other)
    assert bystander.view.run == one.id and 'data-act="show"' in (bystander.head or "")
    assert see(jobs, act(jobs, bystander.view, "show", two.id)).view.run == two.id
    run.gate.set()
    wait(jobs, two.id, "finished")
    # The newest is one that was cancelled before it began; a new page shows what there is to see.
    assert jobs.get(three.id).state == "stopped" and fresh(jobs).view.run == two.id


def test_a_failing_run_shows_its_sentence_and_the_next_one_starts(jobs: Jobs, run: FakeRun) -> None:
    run.fail = mistake()
    job = jobs.submit(config("one", max_steps=2))
    wait(jobs, job.id, "failed")
    failed = fresh(jobs)
    assert "rows.json" in (failed.head or "")
    run.fail = None
    after = jobs.submit(config("two", max_steps=2))
    wait(jobs, after.id, "finished")
    assert 'data-state="finished"' in (see(jobs, show(jobs, failed.view, after.id)).head or "")


def test_a_deleted_run_leaves_the_page(jobs: Jobs) -> None:
    one = jobs.submit(config("one", max_steps=1))
    wait(jobs, one.id, "finished")
    view = fresh(jobs).view
    until(lambda: not (jobs.saves / one.id / "owner.json").exists())
    jobs.delete(one.id)
    assert see(jobs, view).view.run == ""


def test_a_page_can_name_nothing_but_runs(jobs: Jobs) -> None:
    for name in ("../../etc", "/etc", "", "no such run", "a/../../b"):
        for what in ("stop", "resume", "cancel", "move_up", "show", "nonsense"):
            view = act(jobs, View(), what, name)
            assert view.run == "" and (view.trouble is not None or what == "nonsense")


def test_the_log_shows_its_end_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert "empty" in log_html(path, "en")
    path.write_text("".join(f"line {number} <b>\n" for number in range(5000)), encoding="utf-8")
    html = log_html(path, "en")
    assert "line 4999 &lt;b&gt;" in html and "line 4000" not in html and len(html) < 10_000
    path.write_bytes(b"\xff\xfe half a character \xe4\xbd")
    assert "half a character" in log_html(path, "en")


def test_pictures_come_from_the_runs_own_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "row-1-1.jpg").write_bytes(b"small")
    (folder / "large.jpg").write_bytes(b"0" * 1_000_000)
    (folder / "config.yaml").write_bytes(b"text")
    names = [
        "../secret.jpg",
        "link.jpg",
        str(tmp_path / "secret.jpg"),
        "row-1-1.jpg",
        "large.jpg",
        "config.yaml",
        "no.jpg",
        "",
    ]
    assert pictures(folder, names) == {"row-1-1.jpg": b"small"}
