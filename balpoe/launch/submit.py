"""The command `submit`, and `status` and `stop` of submitted studies.

They run on the head of a cluster, which has the study's directory and its driver, as the commands
that a user would run there.
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
from balpoe.launch.runs import OPTION as RUNS
from balpoe.launch.runs import is_remote, refuse_unknown_url
from balpoe.launch.storage_option import OPTION as STORAGE
from balpoe.launch.study_file import with_absolute_paths
from balpoe.launch.supervision import CONTINUATION
from balpoe.launch.tracking import OPTION as TRACKING
from balpoe.launch.tracking import refuse_credentials
from balpoe.study.storage.postgres_address import refuse_password

_STUDY, _RUNS = "balpoe_study", "balpoe_runs"
_REQUIRE_RUNS = (
    ': "${BALPOE_RUNS:?is not set on the head; submit with --runs DIR, on storage that all nodes '
    'share}" && '
)


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted launch.

    Attributes:
        address: The dashboard of the cluster.
        study: The name of the study.
        name: The name of the job.
        runs: The directory of the studies on the cluster, or None for BALPOE_RUNS of the head.
    """

    address: str
    study: str
    name: str
    runs: str | None

    def follow(self, write: Callable[[str], None]) -> int:
        """Write the output of the launch until it ends; return its exit status.

        Raises:
            UserError: the cluster has not answered for ten minutes; the launch continues.
        """
        return Jobs(self.address).follow(self.name, write)

    def run_on_head(self, command: str, *options: str, write: Callable[[str], None]) -> int:
        """Run `balpoe COMMAND STUDY` on the head and write its output; return its exit status."""
        words = ["balpoe", command, self.study, *options]
        if self.runs is not None:
            words += [RUNS, self.runs]
        name = f"{self.study}-{command}"
        return Jobs(self.address).execute(name, _shell_command(words, self.runs), write)


def submit(
    study_file: Path | str,
    address: str,
    *,
    runs: str | None = None,
    storage: str | None = None,
    tracking_uri: str | None = None,
) -> Submission:
    """Start or continue a study on the head of a cluster, independently of this process.

    The study file is uploaded. Data, weights, `runs`, `storage` and `tracking_uri` are those of
    the cluster, as are the credentials for them.

    Raises:
        UserError: the file is invalid, no cluster answers at `address` (`http://HEAD:8265`), or
            the study is running there.
    """
    file = Path(study_file)
    spec = load_study(file)
    _refuse_relative_paths(spec, file)
    if runs is not None:
        _refuse_relative_runs(runs)
    if storage is not None:
        refuse_password(storage, STORAGE)
    if tracking_uri is not None:
        refuse_credentials(tracking_uri, TRACKING)
    jobs = Jobs(address)
    earlier = [job for job in jobs.submitted() if job.metadata.get(_STUDY) == spec.name]
    _refuse_second(spec.name, address, earlier)
    name = f"{spec.name}-{_next_number(spec.name, earlier)}"
    given = {RUNS: runs, STORAGE: storage, TRACKING: tracking_uri}
    options = [word for option, value in given.items() if value for word in (option, value)]
    again = shlex.join(["balpoe", "submit", str(file), "--address", address, *options])
    launch = ["balpoe", "run", f"{spec.name}.yaml", "--address", "auto", *options]
    command = ["env", f"{CONTINUATION}={again}", *launch]
    metadata = {_STUDY: spec.name} | ({_RUNS: runs} if runs else {})
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / f"{spec.name}.yaml"
        shutil.copyfile(file, copy)
        jobs.submit(name, _shell_command(command, runs), file=copy, metadata=metadata)
    return Submission(address, spec.name, name, runs)


def find_submission(study: str, address: str) -> Submission:
    """Return the newest launch of a study that was submitted to the cluster.

    Raises:
        UserError: there is none, or the cluster does not answer.
    """
    found = [job for job in Jobs(address).submitted() if job.metadata.get(_STUDY) == study]
    if not found:
        raise UserError(f"{study}: was not submitted to {address}, or its head was restarted since")
    newest = max(found, key=lambda job: job.started or 0.0)
    return Submission(address, study, newest.name, newest.metadata.get(_RUNS))


def _shell_command(words: list[str], runs: str | None) -> str:
    """Return a shell command that refuses a head without BALPOE_RUNS if `runs` is None.

    The default `runs` would be a subdirectory of the job's own working directory.
    """
    return ("" if runs is not None else _REQUIRE_RUNS) + "exec " + shlex.join(words)


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


def _refuse_relative_runs(runs: str) -> None:
    refuse_unknown_url(runs)
    if not is_remote(runs) and not Path(runs).is_absolute():
        raise UserError(
            f"{RUNS} {runs}: must be an absolute path: it is a directory of the cluster"
        )


def _refuse_relative_paths(spec: StudySpec, file: Path) -> None:
    """Refuse relative paths in the file: they are paths on the nodes of the cluster.

    A value is a path if making it absolute changes it; symbolic links of this host may change an
    absolute path too.
    """
    given, absolute = to_plain(spec.base), to_plain(with_absolute_paths(spec.base))
    for section in ("data", "model"):
        for name, value in given[section].items():
            if value != absolute[section][name] and not Path(value).is_absolute():
                raise UserError(
                    f"{file}: {section}.{name}: must be an absolute path, got {value!r}: it is a "
                    f"path on the cluster's nodes"
                )
