"""The pages as a site: README.md is its first page, and what pages link to outside of docs/ is below repository/.

mkdocs calls the functions whose names begin with `on_`. Nothing is copied into docs/; links are rewritten while a
page is rendered.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PROJECT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_RAW = {".png", ".svg", ".jpg", ".gif", ".cff"}
_LANGUAGES = {
    ".sql": "sql",
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".xml": "xml",
    ".toml": "toml",
    ".sh": "sh",
}
_TARGET = re.compile(
    r"(?P<skip>^(?P<fence>```+|~~~+).*?^(?P=fence)$|`[^`\n]+`|<!--.*?-->)"
    r"|(?P<before>\]\(|(?:src|href|srcset)=\")(?P<target>[^)\s\"]+)",
    re.M | re.S,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages in the order of the tables in README.md; the others come after."""
    tables = re.findall(r"^\|.*$", (ROOT / "README.md").read_text("utf-8"), re.M)
    order = re.findall(r"\]\(docs/([\w-]+\.md)\)", "\n".join(tables))
    pages = dict.fromkeys([*order, *sorted(path.name for path in (ROOT / "docs").glob("*.md"))])
    config.nav = ["index.md", *pages, {"Project": [f"repository/{name}" for name in PROJECT]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README.md, the project's own pages, and every file or folder that a page links to."""
    found = ["README.md", *PROJECT, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    for place in found:
        if not place.startswith("docs/"):
            files.append(_file(place, config))
        if place.endswith(".md"):
            linked = (_linked(place, match["target"]) for match in _links((ROOT / place).read_text("utf-8")))
            found += dict.fromkeys(other for other in linked if other and other not in found)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page from places in the repository to places in the site."""
    here = _place(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        place = None if match["skip"] else _linked(here, match["target"])
        if place is None:
            return match[0]
        _, mark, anchor = match["target"].partition("#")
        target = os.path.relpath(_uri(place), PurePosixPath(page.file.src_uri).parent)
        return f"{match['before']}{target}{mark}{anchor}"

    return _TARGET.sub(rewritten, markdown)


def _links(text: str) -> list[re.Match[str]]:
    return [match for match in _TARGET.finditer(text) if not match["skip"]]


def _linked(place: str, target: str) -> str | None:
    """The file or folder that a link of a page leads to; None for other hosts, headings and what does not exist."""
    name = target.partition("#")[0]
    if not name or re.match(r"[a-z]+:|/", name):
        return None
    other = os.path.normpath(PurePosixPath(place).parent / name)
    return other if not other.startswith("..") and (ROOT / other).exists() else None


def _uri(place: str) -> str:
    """Where the site keeps a file or folder of the repository."""
    if place == "README.md":
        return "index.md"
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if (ROOT / place).is_dir() or not place.endswith((".md", *_RAW)):
        place += ".md"
    return f"repository/{place}"


def _place(uri: str) -> str:
    """The reverse of `_uri` for pages that have links."""
    if uri == "index.md":
        return "README.md"
    return uri.removeprefix("repository/") if uri.startswith("repository/") else f"docs/{uri}"


def _file(place: str, config: MkDocsConfig) -> File:
    path = ROOT / place
    if path.is_file() and place.endswith((".md", *_RAW)):
        return File.generated(config, _uri(place), abs_src_path=str(path))
    shown = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    parts = [f"# {place}\n"]
    for one in shown:
        heading = "" if one == path else f"## {one.name}\n\n"
        text = one.read_text("utf-8")
        fence = "~" * max([3, *(len(run) + 1 for run in re.findall("~+", text))])
        parts.append(f"{heading}{fence}{_LANGUAGES.get(one.suffix, 'text')}\n{text.rstrip()}\n{fence}\n")
    return File.generated(config, _uri(place), content="\n".join(parts))
