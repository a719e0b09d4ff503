"""Bytes under their SHA-256, in a folder or at a URL."""

from registry.blobs.factory import blobs_place, open_blobs
from registry.blobs.store import OWNERS, BlobStore, Leftover, StoredBlob

__all__ = ["OWNERS", "BlobStore", "Leftover", "StoredBlob", "blobs_place", "open_blobs"]
