"""The queue and the states: what a person sees of runs that come, go, fail and come again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.jobs.fake import FakeRun, config, mistake, register_data, save_checkpoint, until, wait
from trainer.errors import UserError, UserErrors
from trainer.events import EventLog, Failed, Finished, Started, Step
from trainer.jobs.jobs import Jobs
from trainer.jobs.owner import owner_file
from trainer.paths import RunFolder


def code_of(call: object, *arguments: object, **named: object) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value.code


def test_a_run_goes_from_submit_to_finished(jobs: Jobs, run: FakeRun) -> None:
    job = jobs.submit(config("first", max_steps=5, learning_rate=1e-4))
    assert job.id == "Sprout/lora/first"
    assert (jobs.saves / job.id / "config.yaml").read_text().count("learning_rate") == 1
    done = wait(jobs, job.id, "finished")
    assert done.facts.step == done.facts.total_steps == 5
    assert done.facts.curve == tuple((step, 1 / step) for step in range(1, 6))
    assert done.facts.scores == {"train_loss": 0.5}
    assert done.result == jobs.saves / job.id
    assert run.configs[0].train.output_dir == str(jobs.saves / job.id)
    assert jobs.current() is None
    until(lambda: not owner_file(done.folder).exists())
    assert {p.name for p in done.folder.path.iterdir()} == {"config.yaml", "events.jsonl", "log.txt"}
    assert "loss 0.2000" in done.folder.log.read_text()


def test_the_settings_of_a_run_repeat_it_elsewhere(jobs: Jobs) -> None:
    job = jobs.submit(config("first", lora_rank=4, overwrite_output_dir=True))
    again = jobs.get(job.id).config
    assert again.train.output_dir == "" and not again.train.overwrite_output_dir
    assert again.lora.lora_rank == 4
    wait(jobs, job.id, "finished")


def test_one_token_starts_one_run_from_many_threads(jobs: Jobs, run: FakeRun) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(jobs.submit(config(max_steps=2), "press").id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8 and len(set(ids)) == 1
    wait(jobs, ids[0], "finished")
    assert len(jobs.list()) == len(run.configs) == 1


def test_proposed_names_never_collide_and_typed_ones_are_refused(jobs: Jobs) -> None:
    name = jobs.propose_name("Sprout", "lora")
    ids = {jobs.submit(config(name)).id for _ in range(3)}
    assert ids == {f"Sprout/lora/{name}{end}" for end in ("", "-2", "-3")}
    jobs.submit(config("mine"))
    with pytest.raises(UserError) as caught:
        jobs.submit(config("mine"))
    assert caught.value.code in ("folder_in_use", "run_waits", "run_is_on")
    assert caught.value.field == "output_dir" and caught.value.hint


@pytest.mark.parametrize(
    "name", ["../out", "/etc/x", "a/../../b", "a\x00b", "x" * 300, ".hidden", "a/b/c", "saves/../x"]
)
def test_a_name_from_a_page_stays_in_its_folder(jobs: Jobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        jobs.submit(config(name))
    assert caught.value.field == "output_dir"
    assert jobs.list() == []
    assert {p.name for p in tmp_path.iterdir()} <= {"queue", "saves", "data"}


def test_a_name_through_a_link_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (jobs.saves / "Sprout").mkdir(parents=True)
    (jobs.saves / "Sprout" / "lora").symlink_to(outside)
    assert code_of(jobs.submit, config("x")) == "path_outside"
    assert list(outside.iterdir()) == []


def test_files_of_settings_name_their_folder_below_saves(jobs: Jobs) -> None:
    assert jobs.submit(config("saves/llama3-8b/lora/sft")).id == "llama3-8b/lora/sft"
    assert code_of(jobs.submit, config("saves/llama3-8b/lora/sft/inner")) == "folder_in_use"


def test_a_start_without_model_and_data_names_both(jobs: Jobs) -> None:
    with pytest.raises(UserErrors) as caught:
        jobs.submit(config(model_name_or_path="", dataset="", eval_dataset="nowhere"))
    fields = {problem.field: problem for problem in caught.value.problems}
    assert set(fields) == {"model_name_or_path", "dataset", "eval_dataset"}
    assert "identity" in fields["eval_dataset"].hint
    assert jobs.list() == []


def test_a_folder_that_cannot_be_written_is_a_sentence(jobs: Jobs) -> None:
    jobs.saves.write_text("a file where the folder should be")
    assert code_of(jobs.submit, config()) == "folder_not_writable"
    assert code_of(jobs.submit, config("typed")) == "folder_not_writable"


def test_the_queue_orders_moves_and_cancels(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    first = jobs.submit(config("first", max_steps=10))
    wait(jobs, first.id, "running")
    second, third, fourth = (jobs.submit(config(name)) for name in ("second", "third", "fourth"))
    assert [job.place for job in jobs.queue()] == [1, 2, 3]
    assert {second.state, third.state, fourth.state} == {"queued"}
    jobs.move_up(fourth.id)
    jobs.move_up(fourth.id)
    jobs.move_up(fourth.id)
    assert [job.name for job in jobs.queue()] == ["fourth", "second", "third"]
    jobs.cancel(second.id)
    assert jobs.get(second.id).state == "stopped"
    assert code_of(jobs.cancel, second.id) == "run_not_waiting"
    assert code_of(jobs.cancel, first.id) == "run_not_waiting"
    jobs.stop(third.id)
    assert jobs.get(third.id).state == "stopped"
    current = jobs.current()
    assert current and current.id == first.id
    run.gate.set()
    wait(jobs, fourth.id, "finished")
    assert [Path(each.train.output_dir).name for each in run.configs] == ["first", "fourth"]
    assert jobs.queue() == []


def test_the_likely_start_follows_the_run_that_is_on(jobs: Jobs, run: FakeRun) -> None:
    release = threading.Event()

    def slow(settings, emit, stop):  # type: ignore[no-untyped-def]
        emit(Step(step=4, total_steps=10, epoch=0.4, elapsed_s=40.0, eta_s=60.0, loss=1.0))
        release.wait(60)
        return Finished(step=10, seconds=100.0, path="")

    jobs._worker._run = slow
    first = jobs.submit(config("first"))
    until(lambda: jobs.get(first.id).facts.step == 4)
    second, third = jobs.submit(config("second")), jobs.submit(config("third"))
    assert (second.place, second.likely_start_s) == (1, 60.0)
    assert (third.place, third.likely_start_s) == (2, 160.0)
    release.set()
    wait(jobs, third.id, "finished")


def test_stop_leaves_a_checkpoint_and_resume_goes_on_from_it(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    job = jobs.submit(config("run", max_steps=4))
    wait(jobs, job.id, "running")
    jobs.stop(job.id)
    stopped = wait(jobs, job.id, "stopped")
    assert stopped.result == stopped.folder.path / "checkpoint-1"
    assert code_of(jobs.stop, job.id) == "run_not_on"
    run.gate.set()
    jobs.resume(job.id)
    finished = wait(jobs, job.id, "finished")
    assert run.configs[1].train.resume_from_checkpoint == "true"
    assert [point[0] for point in finished.facts.curve] == [2, 3, 4]
    assert code_of(jobs.resume, job.id) == "run_finished"


def test_resume_passes_over_half_a_checkpoint(jobs: Jobs, run: FakeRun) -> None:
    run.fail = mistake()
    job = jobs.submit(config("run", max_steps=9))
    wait(jobs, job.id, "failed")
    save_checkpoint(job.folder.path, 3)
    broken = save_checkpoint(job.folder.path, 6)
    (broken / "trainer_state.json").write_text('{"global_st')
    run.fail = None
    assert jobs.get(job.id).result == job.folder.path / "checkpoint-3"
    resumed = jobs.resume(job.id)
    assert resumed.state != "failed"
    assert [point[0] for point in wait(jobs, job.id, "finished").facts.curve] == [4, 5, 6, 7, 8, 9]


def test_a_failed_run_says_its_sentence_and_the_next_one_starts(jobs: Jobs, run: FakeRun) -> None:
    run.fail = mistake()
    failed = wait(jobs, jobs.submit(config("a")).id, "failed")
    assert isinstance(failed.facts.ending, Failed) and "rows.json" in failed.facts.ending.text
    run.fail = None
    wait(jobs, jobs.submit(config("b")).id, "finished")
    again = jobs.resume("Sprout/lora/a")
    wait(jobs, again.id, "finished")
    assert run.configs[-1].train.resume_from_checkpoint == ""


def test_rename_and_delete_spare_what_is_on(jobs: Jobs, run: FakeRun) -> None:
    run.gate.clear()
    on, waiting = jobs.submit(config("on")), jobs.submit(config("waiting"))
    wait(jobs, on.id, "running")
    for job, code in ((on, "run_is_on"), (waiting, "run_waits")):
        assert code_of(jobs.rename, job.id, "x") == code
        assert code_of(jobs.delete, job.id) == code
        assert code_of(jobs.submit, config(job.name, overwrite_output_dir=True)) == code
    run.gate.set()
    wait(jobs, waiting.id, "finished")
    for bad in ("../x", "a/b", "", ".x", "a\nb"):
        assert code_of(jobs.rename, on.id, bad) == "run_name_plain"
    assert code_of(jobs.rename, on.id, "waiting") == "run_name_taken"
    renamed = jobs.rename(on.id, "珞珈 1")
    assert renamed.id == "Sprout/lora/珞珈 1" and renamed.state == "finished"
    assert code_of(jobs.get, on.id) == "run_unknown"
    jobs.delete(renamed.id)
    assert [job.id for job in jobs.list()] == [waiting.id]
    assert not list(jobs.saves.glob(".trash*"))
    for unknown in ("nothing", "../queue", "/etc"):
        assert code_of(jobs.delete, unknown) in ("run_unknown", "path_outside")


def test_overwriting_starts_anew(jobs: Jobs, run: FakeRun) -> None:
    job = jobs.submit(config("run", max_steps=3))
    wait(jobs, job.id, "finished")
    save_checkpoint(job.folder.path, 3)
    jobs.submit(config("run", max_steps=1, overwrite_output_dir=True))
    done = wait(jobs, job.id, "finished")
    assert done.facts.total_steps == 1 and not done.folder.checkpoints()
    assert run.configs[-1].train.resume_from_checkpoint == ""


def test_the_list_is_newest_first_and_shows_differences(jobs: Jobs) -> None:
    a = jobs.submit(config("a", learning_rate=1e-3, adam_beta2=0.9))
    b = jobs.submit(config("b", learning_rate=1e-4, lora_rank=4))
    wait(jobs, b.id, "finished")
    assert [job.name for job in jobs.list()] == ["b", "a"]
    assert jobs.diff([a.id, b.id]) == {
        "learning_rate": (1e-3, 1e-4),
        "lora_rank": (8, 4),
        "adam_beta2": (0.9, None),
    }


def test_a_page_cannot_allow_code_of_a_model(jobs: Jobs, run: FakeRun, tmp_path: Path) -> None:
    job = jobs.submit(config("a", trust_remote_code=True))
    wait(jobs, job.id, "finished")
    assert not run.configs[-1].model.trust_remote_code
    assert "note_trust" in job.folder.events.read_text()
    register_data(tmp_path / "other")
    trusting = Jobs(tmp_path / "other", run=run, trust_remote_code=True)
    wait(trusting, trusting.submit(config("b")).id, "finished")
    trusting.close()
    assert run.configs[-1].model.trust_remote_code


def test_settings_that_cannot_be_read_are_told_and_spare_the_list(jobs: Jobs, run: FakeRun) -> None:
    run.fail = mistake()
    job = jobs.submit(config("a"))
    wait(jobs, job.id, "failed")
    job.folder.config.write_text("learning_rate: [")
    shown = jobs.list()[0]
    assert shown.state == "failed" and "config.yaml" in shown.problem
    jobs.resume(job.id)
    until(lambda: "settings_broken" in job.folder.events.read_text())
    assert wait(jobs, job.id, "failed").problem


def test_the_curve_of_a_long_run_is_thinned(jobs: Jobs) -> None:
    done = wait(jobs, jobs.submit(config("long", max_steps=500)).id, "finished")
    steps = [point[0] for point in done.facts.curve]
    assert len(steps) == 60 and steps[0] == 1 and steps[-1] == 500 and steps == sorted(set(steps))


def test_a_list_of_many_runs_reads_each_file_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        folder = RunFolder(jobs.saves / "m" / "lora" / f"run{number}")
        folder.path.mkdir(parents=True)
        folder.config.write_text("model_name_or_path: m\n")
        EventLog(folder.events).append(Step(step=1, total_steps=1, epoch=1, elapsed_s=1, eta_s=0, loss=1.0))
    assert {job.state for job in jobs.list()} == {"interrupted"}
    reads: list[Path] = []
    read = EventLog.read
    monkeypatch.setattr(EventLog, "read", lambda log, offset=0: reads.append(log.path) or read(log, offset))
    folder = jobs.get("m/lora/run7").folder
    EventLog(folder.events).append(
        Started(
            total_steps=1, rows=1, trained_tokens=1, parameters=1, trainable=1, device="cpu", precision="fp32"
        )
    )
    assert len(jobs.list()) == 40
    assert reads == [folder.events]
