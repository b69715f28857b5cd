"""The verb `submit`, and `status` and `stop` of what it submitted: studies on a cluster's head.

Whatever is asked of a submitted study is a command on the head, where the study's directory is
and its driver runs: the same command that a user would give there.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from balpoe.cluster.jobs import Job, Jobs
from balpoe.config import StudySpec, to_plain
from balpoe.errors import UserError
from balpoe.files import load_study
from balpoe.launch.absolute_paths import with_absolute_paths
from balpoe.launch.runs import ensure_known_kind, is_remote
from balpoe.launch.storage_option import OPTION as STORAGE
from balpoe.launch.supervision import CONTINUATION
from balpoe.launch.tracking_address import OPTION as TRACKING
from balpoe.launch.tracking_address import refuse_credentials
from balpoe.study.storage.postgres_address import refuse_password

_STUDY, _RUNS = "balpoe_study", "balpoe_runs"
_NEEDS_RUNS = (
    ': "${BALPOE_RUNS:?is not set on the head; submit with --runs DIR, on storage that all nodes '
    'share}" && '
)


@dataclass(frozen=True, slots=True)
class Submission:
    """A launch that was submitted: job `name` of the study `study` at `address`.

    `runs` is where the studies are on the cluster; None where its head decides.
    """

    address: str
    study: str
    name: str
    runs: str | None

    def follow(self, write: Callable[[str], None]) -> int:
        """Write what the launch prints until it ends; return its exit status.

        Raises:
            UserError: the cluster has not answered for ten minutes. The launch goes on.
        """
        return Jobs(self.address).follow(self.name, write)


def submit(
    study_file: Path | str,
    address: str,
    *,
    runs: str | None = None,
    storage: str | None = None,
    tracking_uri: str | None = None,
) -> Submission:
    """Start or continue a study on the head of a cluster; it goes on whatever happens here.

    The study file travels; data, weights, `runs`, `storage` and `tracking_uri` are the
    cluster's, and so are the credentials for them.

    Raises:
        UserError: the file is at fault, the cluster does not answer at `address`
            (`http://HEAD:8265`), or the study is being run there.
    """
    file = Path(study_file)
    spec = load_study(file)
    _refuse_relative_paths(spec, file)
    if runs is not None:
        _refuse_unclear_runs(runs)
    if storage is not None:
        refuse_password(storage, STORAGE)
    if tracking_uri is not None:
        refuse_credentials(tracking_uri, TRACKING)
    jobs = Jobs(address)
    earlier = [job for job in jobs.submitted() if job.metadata.get(_STUDY) == spec.name]
    _refuse_second(spec.name, address, earlier)
    name = f"{spec.name}-{_next_number(spec.name, earlier)}"
    given = {"--runs": runs, STORAGE: storage, TRACKING: tracking_uri}
    options = [word for name, value in given.items() if value for word in (name, value)]
    again = shlex.join(["balpoe", "submit", str(file), "--address", address, *options])
    launch = ["balpoe", "run", f"{spec.name}.yaml", "--address", "auto", *options]
    command = ["env", f"{CONTINUATION}={again}", *launch]
    metadata = {_STUDY: spec.name} | ({_RUNS: runs} if runs else {})
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / f"{spec.name}.yaml"
        shutil.copyfile(file, copy)
        jobs.submit(name, _on_head(command, runs), file=copy, metadata=metadata)
    return Submission(address, spec.name, name, runs)


def submitted(study: str, address: str) -> Submission:
    """The newest launch of a study that was submitted to the cluster.

    Raises:
        UserError: the cluster knows of none, or does not answer.
    """
    found = [job for job in Jobs(address).submitted() if job.metadata.get(_STUDY) == study]
    if not found:
        raise UserError(f"{study}: was not submitted to {address}, or its head was restarted since")
    newest = max(found, key=lambda job: job.started or 0.0)
    return Submission(address, study, newest.name, newest.metadata.get(_RUNS))


def ask_on_head(
    submission: Submission, verb: str, *options: str, write: Callable[[str], None]
) -> int:
    """Run `balpoe VERB STUDY` on the head, and write what it prints; return its exit status."""
    command = ["balpoe", verb, submission.study, *options]
    if submission.runs is not None:
        command += ["--runs", submission.runs]
    name = f"{submission.study}-{verb}"
    return Jobs(submission.address).execute(name, _on_head(command, submission.runs), write)


def _on_head(command: list[str], runs: str | None) -> str:
    """As a shell's command; its directory is the job's own, where studies must not be kept."""
    return ("" if runs is not None else _NEEDS_RUNS) + "exec " + shlex.join(command)


def _next_number(study: str, earlier: list[Job]) -> int:
    matches = (re.fullmatch(re.escape(study) + r"-(\d+)", job.name) for job in earlier)
    return max((int(match[1]) + 1 for match in matches if match), default=0)


def _refuse_second(study: str, address: str, earlier: list[Job]) -> None:
    for job in earlier:
        if job.exit_status is None:
            since = (
                f" since {datetime.fromtimestamp(job.started, UTC).isoformat(timespec='seconds')}"
                if job.started
                else ""
            )
            raise UserError(
                f"{study}: is being run by the submission {job.name} ({job.status}{since}); "
                f"`balpoe status {study} --address {address} --follow` follows it, "
                f"`balpoe stop {study} --address {address}` stops it"
            )


def _refuse_unclear_runs(runs: str) -> None:
    ensure_known_kind(runs)
    if not is_remote(runs) and not Path(runs).is_absolute():
        raise UserError(f"--runs {runs}: must be a whole path: it is a directory of the cluster")


def _refuse_relative_paths(spec: StudySpec, file: Path) -> None:
    """Paths in the file are the cluster's, where it has no directory of its own.

    Only what would be made whole is a path; where this host has a link, a whole one changes too.
    """
    given, whole = to_plain(spec.base), to_plain(with_absolute_paths(spec.base))
    for section in ("data", "model"):
        for name, value in given[section].items():
            if value != whole[section][name] and not Path(value).is_absolute():
                raise UserError(
                    f"{file}: {section}.{name}: must be a whole path, got {value!r}: it is a path "
                    f"of the cluster's nodes"
                )
