"""What MkDocs does beside its plugins: files that lie elsewhere in the repository join the site."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ELSEWHERE = {"demo.svg": "examples/demo.svg"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    for uri, path in ELSEWHERE.items():
        files.append(File.generated(config, uri, abs_src_path=str(root / path)))
    return files
