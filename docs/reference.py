"""The reference of the documentation site, made anew with every build: pages of the packages and of the configuration.

A hook of MkDocs (`mkdocs.yml`). Nothing of it is committed, so it cannot fall behind.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE, CONF = ROOT / "src/genexp", ROOT / "conf"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pages of the repository that others link to."""
    for name, text in {**_api(), "reference/configuration.md": _configuration()}.items():
        files.append(File.generated(config, name, content=text))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        page = "index.md" if name == "README.md" else name
        files.append(File.generated(config, page, content=_here((ROOT / name).read_text())))
    return files


def on_page_markdown(markdown: str, page: object, config: MkDocsConfig, files: Files) -> str:
    """Links that lead out of docs/ in the repository stay within the site."""
    return markdown.replace("](../CONTRIBUTING.md)", "](CONTRIBUTING.md)")


def _here(text: str) -> str:
    """A page of the repository's root as one of the site: links into docs/ are neighbours, others go to no page."""
    text = re.sub(r"\]\(docs/([^)]*)\)", r"](\1)", text)
    return re.sub(r"\[([^\]]*)\]\((?:conf|tests|src|notebooks|benchmarks|findings|LICENSE)[^)]*\)", r"\1", text)


def _api() -> dict[str, str]:
    """A page for every package, and one for the modules beside them."""
    pages = {}
    packages = sorted(each.parent for each in PACKAGE.glob("*/__init__.py"))
    alone = [each for each in sorted(PACKAGE.glob("*.py")) if each.stem not in ("__init__", "__main__")]
    for title, paths in (("genexp", alone), *((each.name, sorted(each.rglob("*.py"))) for each in packages)):
        modules = [_module(path) for path in paths if path.name != "__init__.py" or path.parent not in packages]
        named = [name for name in modules if not any(word.startswith("_") for word in name.split("."))]
        body = "\n\n".join(f"## {name.removeprefix('genexp.')}\n\n::: {name}" for name in named)
        pages[f"reference/{title}.md"] = f"# {title}\n\n{body}\n"
    return pages


def _module(path: Path) -> str:
    words = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def _configuration() -> str:
    """Every file of conf/ by its group: what it says of itself, and its values with their comments."""
    groups = sorted({path.parent for path in CONF.rglob("*.yaml")})
    return "# Configuration\n\n" + "\n".join(line for group in groups for line in _group(group))


def _group(folder: Path) -> Iterator[str]:
    name = folder.relative_to(CONF).as_posix()
    yield f"## {'commands' if name == '.' else name}\n"
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text()
        target = (yaml.safe_load(text) or {}).get("_target_")
        yield f"### `{path.stem if name == '.' else f'{name}={path.stem}'}`\n"
        if target and str(target).startswith("genexp."):
            yield f"Builds `{target}`.\n"
        yield f"```yaml\n{text.rstrip()}\n```\n"
