"""Store the weights of a parent or module in another precision: as another artifact, which is made from the first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from continual_mt.artifacts.stored.optional_pieces import INITIALISATION, WORD_TRANSLATIONS
from continual_mt.artifacts.stored.stored_precision import PRECISIONS, StoredPrecision
from continual_mt.errors import IncompatibleError, InputError
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.lineage import Input, InputRole, Lineage
from registry.records.names import check_parent_name
from registry.records.values import JSONObject
from registry.registry import Registry

_ROLE: InputRole = "quantised-from"


@dataclass(frozen=True)
class Converted:
    """The parent or module in the other precision, and what it was made from.

    ``is_new`` is False if it was registered before. ``staying`` are the modules of the first parent, which fit no
    other; none if a module was converted.
    """

    record: ParentRecord | ModuleRecord
    first: ParentRecord | ModuleRecord
    is_new: bool
    staying: tuple[str, ...] = ()

    def to_json(self) -> JSONObject:
        return {"record": self.record.to_json(), "new": self.is_new, "staying": list(self.staying)}


def convert(
    registry: Registry, name: str, precision: StoredPrecision, *, code_version: str, new_name: str | None = None
) -> Converted:
    """Register a parent or module with its weights in ``precision``; the first one stays as it is.

    A parent gets ``new_name``, by default its name and the precision; a module the next version of its pair. Both keep
    the corpora, the spec and the licences of the first. Raises IncompatibleError if it has this precision already, if a
    value is too large for it, or if the name belongs to another parent, and InputError for the new name of a module.
    """
    record = registry.catalog.find(name)
    if record.precision == precision:
        others = " or ".join(other for other in PRECISIONS if other != precision)
        raise IncompatibleError(f"{name}: is stored in {precision} already; expected --precision {others}")
    if isinstance(record, ParentRecord):
        return _convert_parent(registry, record, precision, code_version, new_name)
    if new_name is not None:
        raise InputError(
            f"--name {new_name}: {name} is a module, and becomes the next version of its pair; expected the name of a "
            "new parent. Fix: leave out --name"
        )
    return _convert_module(registry, record, precision, code_version)


def _convert_parent(
    registry: Registry, record: ParentRecord, precision: StoredPrecision, code_version: str, new_name: str | None
) -> Converted:
    name = new_name or f"{record.name}-{precision}"
    _check_name(registry, record, name, precision)
    parent = registry.load_parent(record.name).stored_in(precision)
    known = {one.fingerprint: one.name for one in registry.parents()}
    if new_name is None:
        name = known.get(parent.fingerprint, name)
    lineage = _lineage(record, record.name, record.fingerprint, code_version)
    made = registry.register_parent(name, parent, lineage=lineage)
    if table := record.pieces.get(WORD_TRANSLATIONS):
        made = registry.add_word_translations(made.name, registry.blobs.get(table))
    staying = tuple(module.full_name for module in registry.modules(record.name))
    return Converted(made, record, made.fingerprint not in known, staying)


def _check_name(registry: Registry, record: ParentRecord, name: str, precision: StoredPrecision) -> None:
    """Refuse a name that cannot be the converted parent's before its weights are rounded and stored."""
    check_parent_name(name)
    registry.catalog.check_not_deleted(name)
    for other in registry.parents():
        if other.name == name and other.precision != precision:
            raise IncompatibleError(
                f"{name}: is the name of a parent in {other.precision}, which never changes; expected a new name for "
                f"{record.name} in {precision}. Fix: choose another with --name"
            )


def _convert_module(
    registry: Registry, record: ModuleRecord, precision: StoredPrecision, code_version: str
) -> Converted:
    module = registry.load_module(record.full_name).stored_in(precision)
    for other in registry.modules(record.parent):
        if (other.pair, other.digest) == (record.pair, module.digest):
            return Converted(other, record, is_new=False)
    start = record.pieces.get(INITIALISATION)
    made = registry.register_module(
        record.parent,
        module,
        lineage=_lineage(record, record.full_name, record.digest, code_version),
        initialisation=None if start is None else registry.blobs.get(start),
    )
    return Converted(made, record, is_new=True)


def _lineage(record: ParentRecord | ModuleRecord, name: str, digest: str, code_version: str) -> Lineage:
    """That of the first, without its job and run, which made the first alone."""
    kept = (one for one in record.lineage.inputs if one.role != _ROLE)
    inputs = (*kept, Input(_ROLE, name, digest))
    return replace(record.lineage, inputs=inputs, code_version=code_version, job=None, attempt=1, run=None)
