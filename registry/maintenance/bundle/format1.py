"""Format 1 of bundles: lineage as keys of the spec, and scores without logits and without rates of references.

Its specs hold ``start`` and ``replayed`` (names), ``replay`` and ``environment``, and no digests of inputs: those of
parents and modules in the same bundle are looked up there, others are not known.
"""

from __future__ import annotations

from typing import TypeVar

from registry.maintenance.bundle.manifest import ArtifactEntry, InputEntry, Manifest

_Entry = TypeVar("_Entry", bound=ArtifactEntry)
NEW_KEYS = {"inputs": True, "environment": True, "replay": True}
NEW_IN_SCORES = {"logits": True, "computed_on": True, "reference_value": True}


def dumped(manifest: Manifest) -> bytes:
    """The manifest as JSON: in format 1 if nothing is lost by it, else in format 2."""
    older = manifest.model_copy(
        update={
            "format": 1,
            "parents": [_untyped(entry) for entry in manifest.parents],
            "modules": [_untyped(entry) for entry in manifest.modules],
            "scores": [score.model_copy(update=dict.fromkeys(NEW_IN_SCORES)) for score in manifest.scores],
        }
    )
    several = [bool(entry.several) for entry in manifest.parents]
    if any(several) or typed(older) != manifest.model_copy(update={"format": 1}):
        unsaid = {
            "parents": {place: {"several"} for place, said in enumerate(several) if not said},
            "scores": {
                place: {"reference_value"} for place, one in enumerate(manifest.scores) if one.reference_value is None
            },
        }
        return manifest.model_copy(update={"format": 2}).model_dump_json(exclude=unsaid).encode()
    left_out = {
        "parents": {"__all__": NEW_KEYS | {"several": True}},
        "modules": {"__all__": NEW_KEYS},
        "scores": {"__all__": NEW_IN_SCORES},
    }
    return older.model_dump_json(exclude=left_out).encode()


def typed(manifest: Manifest) -> Manifest:
    """A manifest of format 1 with typed lineage."""
    digests = {entry.name: entry.fingerprint for entry in manifest.parents}
    digests |= {entry.name: entry.digest for entry in manifest.modules}
    update = {
        "parents": [_typed(entry, digests) for entry in manifest.parents],
        "modules": [_typed(entry, digests) for entry in manifest.modules],
    }
    return manifest.model_copy(update=update)


def _typed(entry: _Entry, digests: dict[str, str]) -> _Entry:
    spec = dict(entry.spec)
    start, replayed, environment, replay = (spec.get(key) for key in ("start", "replayed", "environment", "replay"))
    update: dict[str, object] = {}
    inputs: list[InputEntry] = []
    if isinstance(start, str):
        inputs.append(_input("start", start, digests))
        del spec["start"]
    if isinstance(replayed, list) and all(isinstance(name, str) for name in replayed):
        inputs += [_input("replayed", str(name), digests) for name in replayed]
        del spec["replayed"]
    if isinstance(environment, dict):
        update["environment"] = spec.pop("environment")
    if isinstance(replay, int | float) and not isinstance(replay, bool):
        update["replay"] = float(replay)
        del spec["replay"]
    return entry.model_copy(update={**update, "spec": spec, "inputs": inputs})


def _input(role: str, name: str, digests: dict[str, str]) -> InputEntry:
    return InputEntry.model_validate({"role": role, "module": name, "digest": digests.get(name), "recipe": None})


def _untyped(entry: _Entry) -> _Entry:
    spec = dict(entry.spec)
    start, replayed = ([one.module for one in entry.inputs if one.role == role] for role in ("start", "replayed"))
    if entry.environment is not None:
        spec["environment"] = entry.environment
    if start:
        spec["start"] = start[0]
    if entry.replay is not None:
        spec["replay"] = entry.replay
    if replayed:
        spec["replayed"] = [*replayed]
    return entry.model_copy(update={"spec": spec, "inputs": [], "environment": None, "replay": None})
