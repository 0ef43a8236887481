"""The states of a job, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from JSDDPMSlicerLib.Jobs import ENDS, Job, JobError, JobState, removePath

PATHS = {
    JobState.SUCCEEDED: [JobState.STARTING, JobState.RUNNING],
    JobState.FAILED: [JobState.STARTING, JobState.RUNNING],
    JobState.CANCELLED: [JobState.STARTING, JobState.RUNNING, JobState.CANCELLING],
}


def made(tmp_path: Path) -> tuple[Path, Path]:
    folder, scratch = tmp_path / "run.partial", tmp_path / "scratch"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "file").write_text("x")
    scratch.mkdir()
    return folder, scratch


@pytest.mark.parametrize("end", ENDS)
def test_what_a_job_leaves_behind(end: JobState, tmp_path: Path) -> None:
    folder, scratch = made(tmp_path)
    told = []
    job = Job("generate", {}, leftovers=(folder,), scratch=(scratch,), onChanged=lambda job: told.append(job.state))
    for state in [*PATHS[end], end]:
        job.enter(state)
    assert job.ended
    assert told == [*PATHS[end], end]
    assert folder.exists() == (end is JobState.SUCCEEDED)
    assert not scratch.exists()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("after", list(JobState))
def test_an_ended_job_stays_ended(end: JobState, after: JobState) -> None:
    job = Job("describe", {})
    for state in [*PATHS[end], end]:
        job.enter(state)
    with pytest.raises(ValueError, match=f"a job that is {end.value} cannot become {after.value}"):
        job.enter(after)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.STARTING])
def test_an_idle_job_can_only_start(state: JobState) -> None:
    with pytest.raises(ValueError, match="a job that is idle"):
        Job("describe", {}).enter(state)


def test_a_cancelled_job_that_still_finishes_has_succeeded() -> None:
    job = Job("describe", {})
    job.enter(JobState.STARTING)
    job.enter(JobState.CANCELLING)
    job.succeed({"pid": 1})
    assert job.state is JobState.SUCCEEDED
    assert job.result == {"pid": 1}


def test_a_failed_job_says_why() -> None:
    job = Job("describe", {})
    job.enter(JobState.STARTING)
    job.fail(JobError("no room: free disk space.", "OutputError"))
    assert job.error == JobError("no room: free disk space.", "OutputError")


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    link = tmp_path / "link"
    link.symlink_to(kept, target_is_directory=True)
    removePath(link)
    assert kept.is_dir()
    assert not link.is_symlink()
    removePath(link)  # gone already
