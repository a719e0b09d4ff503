"""Add the generated pages to the documentation: the reference, CONTRIBUTING.md and CHANGELOG.md. Called by MkDocs."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# The repository's own files are read on GitHub, too, where links count from the root.
COPIED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from docs.generate import PAGES

    contents = {f"reference/{name}.md": page() for name, page in PAGES.items()}
    for page, name in COPIED.items():
        contents[page] = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for uri, content in contents.items():
        files.append(File.generated(config, uri, content=content))
    return files
