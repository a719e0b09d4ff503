"""The report of ``continual-mt doctor``, as plain data."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from continual_mt.home import Home
from continual_mt.training.machine import Machine
from ray_jobs.diagnosis.service import SECONDS, Service
from ray_jobs.diagnosis.services import address_in_effect, examine, installed
from ray_jobs.diagnosis.usage import Usage, usages

PACKAGES = ("continual-mt", "torch", "ray", "mlflow", "transformers", "ctranslate2", "sentencepiece", "safetensors")


@dataclass(frozen=True)
class Report:
    """What was found. ``versions`` has None for a package that is not installed; ``used`` what work would use now."""

    machine: Machine
    versions: dict[str, str | None]
    home: Home
    services: dict[str, Service]
    used: list[Usage]

    @property
    def problems(self) -> list[str]:
        """Everything that is configured and cannot be used, with the fix."""
        found = [self.machine.problem, *(service.problem for service in self.services.values())]
        return [problem for problem in found if problem]

    def to_json(self) -> dict[str, object]:
        return {
            "machine": self.machine.to_json(),
            "versions": dict(self.versions),
            "home": {"path": str(self.home.path), "exists": self.home.path.is_dir()},
            "services": {name: service.to_json() for name, service in self.services.items()},
            "used": [usage.to_json() for usage in self.used],
            "problems": self.problems,
        }


def diagnose(home: str | Path | None = None, *, address: str | None = None, seconds: float = SECONDS) -> Report:
    """Find what this machine offers, what of the configured services can be used, and what a job would use.

    ``home`` and ``address`` are as in `ray_jobs.Driver`. Each service is waited for ``seconds`` at most, a Ray cluster
    for 30. Creates and changes nothing. Raises InputError for a home that is a file or a URL.
    """
    place, machine = Home.resolve(home), Machine.inspect()
    versions = {"python": platform.python_version(), **{package: installed(package) for package in PACKAGES}}
    services = examine(place, address_in_effect(address), seconds)
    return Report(machine, versions, place, services, usages(machine, services["ray"]))
