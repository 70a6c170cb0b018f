"""Hooks of mkdocs: files outside docs/ that a page links to are part of the site.

A page links to a file of the repository by its relative path, so that the link also works where the repository is
browsed. Such a file, for example a benchmark's results, is copied into the site, and the link is changed to the copy.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PREFIX = "docs/"
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s#]+)(?P<end>[)#])")


def site_path(page_path: str, target: str) -> str | None:
    """The path in the site of the repository's file that a page links to; None where it links to no such file."""
    page_in_docs = ROOT / PREFIX / page_path
    repository_page = PREFIX + page_path if page_in_docs.is_file() else page_path
    path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_page), target))
    is_inside = "://" not in target and not path.startswith("../")
    return path.removeprefix(PREFIX) if is_inside and (ROOT / path).is_file() else None


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/ that pages link to, and those that the added pages link to."""
    pages = list(files.documentation_pages())
    while pages:
        page = pages.pop()
        for link in LINK.finditer(CODE.sub("", page.content_string)):
            path = site_path(page.src_uri, link["target"])
            if path is not None and files.get_file_from_path(path) is None:
                added_file = File.generated(config, path, abs_src_path=str(ROOT / path))
                files.append(added_file)
                pages += [added_file] if added_file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links between docs/ and other folders to the files of the site."""
    page_path = page.file.src_uri

    def in_site(link: re.Match[str]) -> str:
        path = site_path(page_path, link["target"])
        if path is None:
            return link[0]
        return f"{link['start']}{posixpath.relpath(path, posixpath.dirname(page_path) or '.')}{link['end']}"

    return LINK.sub(in_site, markdown)
