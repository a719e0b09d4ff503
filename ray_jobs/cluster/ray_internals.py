"""Everything that this project uses of Ray beyond Ray's public interface; nothing else may.

`tests/ray_jobs/cluster/test_ray_internals.py` names what is missing when a new version of Ray no longer has it.
"""

from __future__ import annotations

from typing import Any, cast

from ray._private.worker import get_dashboard_url
from ray.job_config import JobConfig
from ray.train.torch import TorchTrainer

DATASETS, CLEANER = "DatasetsCallback", "PlacementGroupCleanerCallback"

NO_AGENT = "No available agent"
"""In the text of the RuntimeError that submitting raises while the cluster starts or is busy; it has no other mark."""

OWN_ADDRESS = "_node_ip_address"


class LeanTrainer(TorchTrainer):
    """Leave out two default callbacks of Ray Train that do nothing here; each starts a process, which takes seconds."""

    def _create_default_callbacks(self) -> list[object]:
        needless = {DATASETS}  # Ray's own datasets are not used
        if not has_dashboard():
            # It asks the dashboard whether the controller is alive; each run would end 12 s later, waiting for it.
            needless.add(CLEANER)
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]  # Ray's annotations are of V1
        return [callback for callback in callbacks if type(callback).__name__ not in needless]


def listening_on(address: str) -> dict[str, Any]:
    """The argument of ``ray.init`` for the address that a new cluster listens on; no public argument sets it."""
    return {OWN_ADDRESS: address}


class _FixedFolders(list[str]):
    """Folders that workers import from, to which Ray cannot add the current folder and that of the script."""

    def extend(self, folders: object) -> None:
        pass


def importing_from(folders: list[str]) -> JobConfig:
    """The argument ``job_config`` of ``ray.init`` with which workers import from no folder but these, first."""
    config = JobConfig()
    config._py_driver_sys_path = _FixedFolders(folders)
    return config


def has_dashboard() -> bool:
    """Whether the connected cluster has a dashboard. ``ray.init`` tells only its caller."""
    return bool(cast("str | None", get_dashboard_url()))  # type: ignore[no-untyped-call]
