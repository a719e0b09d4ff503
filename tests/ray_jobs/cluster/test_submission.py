"""Jobs on a cluster that ``ray start --head`` made, through both doors: Ray's own command line, and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import ClusterError
from continual_mt.home import Home
from ray_jobs.cluster.ray_internals import NO_AGENT
from ray_jobs.cluster.submission import submit
from registry import Registry
from tests.ray_jobs.heads import started_head

pytestmark = pytest.mark.slow

Values = dict[str, Any]


@pytest.fixture(scope="module")
def dashboard(ray_program: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """The URL of a cluster that takes submitted jobs."""
    with started_head(ray_program, free_port(), free_port(), free_port()) as head:
        yield head.dashboard


def assert_added(home: Path, output: str) -> None:
    with Registry.open(home) as registry:
        (module,) = registry.modules()
        assert module.full_name == "es-en/pt-en:1"
        assert module.lineage.run is not None
    assert '"name": "es-en/pt-en:1"' in output


def test_rays_own_command_line(
    dashboard: str, ray_program: Path, home: Path, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    folder = tmp_path / "working folder"
    folder.mkdir()
    (folder / "spec.yaml").write_text(json.dumps(addition_values("pt-en")))

    def job(place: str) -> subprocess.CompletedProcess[str]:
        command = [ray_program, "job", "submit", "--address", dashboard, "--working-dir", "."]
        command += ["--", "python", "-m", "ray_jobs.add_language", "spec.yaml", "--home", place, "--in-process"]
        # Ray's own program does not wait for a cluster that has much to do, as this one has among other tests.
        for _ in range(60):
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300, check=False)
            if NO_AGENT not in done.stderr:
                break
            time.sleep(1)
        return done

    relative = job("home")
    assert relative.returncode != 0
    assert "the home is home; a submitted job runs in a temporary copy" in relative.stdout + relative.stderr
    assert "exit code 2" in relative.stdout + relative.stderr
    absolute = job(str(home))
    assert absolute.returncode == 0, absolute.stdout + absolute.stderr
    assert_added(home, absolute.stdout)


def test_our_own_command_line(
    dashboard: str, home: Path, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    messages: list[str] = []

    def job(spec: AdditionSpec) -> int:
        return submit("add_language", spec, address=dashboard, home=Home(home), flags=(), say=messages.append)

    assert job(addition_spec("pt-en")) == 0, messages
    assert messages[0].startswith("submitted as raysubmit_")
    assert_added(home, "\n".join(messages))
    messages.clear()
    assert job(addition_spec("pt-en", parent="unknown")) == 2
    assert "unknown" in "\n".join(messages)


def test_no_cluster_is_a_clear_error(free_port: Callable[[], int], addition_spec: Callable[..., AdditionSpec]) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=rf"no Ray cluster answers at {address}: .*'ray start --head'"):
        submit("add_language", addition_spec("pt-en"), address=address, home=Home(Path("/")), flags=(), say=print)


def test_a_cluster_that_wants_a_token(
    dashboard: str, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from continual_mt.home import Home; "
        "from continual_mt.config.spec import AdditionSpec; "
        "from ray_jobs.cluster.submission import submit; import sys; "
        "spec = AdditionSpec.model_validate_json(sys.argv[1]); "
        "submit('add_language', spec, address=sys.argv[2], home=Home(Path('/')), flags=(), say=print)"
    )
    command = [sys.executable, "-c", code, addition_spec("pt-en").model_dump_json(), dashboard]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        command, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert "needs a token: set RAY_AUTH_MODE=token" in done.stderr
