"""Load the templates of the pages, and those of an app, which extend or replace them.

Law: a mistake in a template of the app is reported when the router is built, not when a user opens a page.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages.values import VALUES, list_values

if TYPE_CHECKING:
    from jinja2 import Environment

_ORIGINALS = "fastapi_stackauth"
"""The folder in which an app's templates find those of the library."""
_PACKAGE = "fastapi_stackauth.pages"


def load_templates(folder: object = None) -> "Environment":
    """Compile and return the templates of an app's folder and those of the library. The app's take precedence.

    Raises:
        ConfigurationError: The extra `pages` is not installed, the folder does not exist, or a template in it has a
            mistake.
    """
    if folder is None:
        return _load_library()
    if not isinstance(folder, str | Path) or folder == "" or not Path(folder).is_dir():
        raise ConfigurationError(
            f"pages_router: templates must be a folder that exists; got {str(folder)!r:.200}. "
            'Pass its path, such as Path(__file__).parent / "auth_templates".'
        )
    environment = _make_environment(Path(folder))
    _Checker(environment, Path(folder)).check()
    return environment


@cache
def _load_library() -> "Environment":
    return _make_environment(None)


def _make_environment(folder: Path | None) -> "Environment":
    try:
        import segno  # noqa: F401, PLC0415 - of the extra
        from jinja2 import (  # noqa: PLC0415 - likewise
            ChoiceLoader,
            Environment,
            FileSystemLoader,
            PackageLoader,
            PrefixLoader,
            StrictUndefined,
        )
    except ImportError:
        raise ConfigurationError(
            "stack.pages_router() needs Jinja2 and segno, which are not installed. Install the extra: "
            "pip install 'fastapi-stackauth[pages]'."
        ) from None
    library = PackageLoader(_PACKAGE)
    own = [] if folder is None else [FileSystemLoader(folder)]
    return Environment(
        loader=ChoiceLoader([*own, PrefixLoader({_ORIGINALS: library}), library]),
        autoescape=True,  # whatever the name of the template
        undefined=StrictUndefined,
        auto_reload=False,  # a template that is changed later would not be checked
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Checker:
    """Checks the templates of an app: names, references, blocks, values.

    Args:
        environment: Contains all templates.
        folder: Contains the app's templates.
    """

    def __init__(self, environment: "Environment", folder: Path) -> None:
        self._environment = environment
        self._own = tuple(_list_files(folder))
        self._trees: dict[str, Any] = {}

    def check(self) -> None:
        """Check all templates.

        Raises:
            ConfigurationError: A template has a mistake.
        """
        for name in self._own:
            _check_name(name)
        for name in self._own:
            self._check_references(name)
        for name in {**dict.fromkeys(self._own), **VALUES}:
            self._check_blocks(name)
        for name in self._own:
            if name in VALUES:
                self._check_values(name)

    def _parse(self, name: str) -> Any:  # noqa: ANN401 - a tree of the extra
        """Compile a template and return its syntax tree.

        Raises:
            ConfigurationError: It does not compile.
        """
        from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - of the extra

        if name in self._trees:
            return self._trees[name]
        assert self._environment.loader is not None  # noqa: S101 - `_make_environment` sets it
        try:
            source = self._environment.loader.get_source(self._environment, name)[0]
            tree = self._trees[name] = self._environment.parse(source, name)
            self._environment.get_template(name)
        except TemplateSyntaxError as error:
            raise _mistake(name, f"line {error.lineno}: {error.message}", "Correct it") from None
        except (OSError, UnicodeError):
            raise _mistake(name, "the file cannot be read as UTF-8", "Save it in this encoding") from None
        return tree

    def _check_references(self, name: str) -> None:
        from jinja2 import meta  # noqa: PLC0415 - of the extra

        known = {*self._own, *self._list_library(), *(f"{_ORIGINALS}/{each}" for each in self._list_library())}
        for other in meta.find_referenced_templates(self._parse(name)):
            if other is None:
                raise _mistake(name, "it names another template by an expression", "Write its name as a string")
            if other not in known:
                raise _mistake(name, f'there is no template "{other}"', _suggest(other, known))

    def _list_library(self) -> list[str]:
        from jinja2 import PackageLoader  # noqa: PLC0415 - of the extra

        return PackageLoader(_PACKAGE).list_templates()

    def _find_parents(self, name: str) -> list[str]:
        """Return the templates that a template extends, the nearest first.

        Raises:
            ConfigurationError: It extends itself.
        """
        from jinja2 import nodes  # noqa: PLC0415 - of the extra

        chain = [name]
        while extended := list(self._parse(chain[-1]).find_all(nodes.Extends)):
            if len(extended) > 1:
                raise _mistake(chain[-1], "it extends several templates", "Extend one")
            parent = extended[0].template.as_const()
            if parent in chain:
                advice = f'Write {{% extends "{_ORIGINALS}/{parent}" %}} to extend the template of the library'
                raise _mistake(chain[-1], f'it extends "{parent}", which is itself', advice)
            chain.append(parent)
        return chain[1:]

    def _check_blocks(self, name: str) -> None:
        from jinja2 import nodes  # noqa: PLC0415 - of the extra

        chain = [name, *self._find_parents(name)]
        for position, child in enumerate(chain[:-1], 1):
            above = chain[position:]
            known = {block.name for each in above for block in self._parse(each).find_all(nodes.Block)}
            for block in _list_outer_blocks(self._parse(child)):
                if block in known:
                    continue
                if child in self._own:
                    raise _mistake(child, f'"{above[0]}" has no block "{block}"', _suggest(block, known))
                what = f'the block "{block}" is missing, which "{child}" fills'
                raise _mistake(above[-1], what, f"Add {{% block {block} %}}{{% endblock %}}")

    def _check_values(self, name: str) -> None:
        from jinja2 import meta  # noqa: PLC0415 - of the extra

        tree, parents = self._parse(name), self._find_parents(name)
        known = list_values(name).union(*(_list_names(_strip_blocks(self._parse(each))) for each in parents))
        for unknown in sorted(meta.find_undeclared_variables(tree) - known - _list_names(tree)):
            raise _mistake(name, f'there is no value "{unknown}"', _suggest(unknown, known))


def _list_files(folder: Path) -> Iterator[str]:
    """Return the names of the templates in a folder, without hidden files."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _check_name(name: str) -> None:
    if name in VALUES or name.rpartition("/")[2].startswith("_"):
        return
    advice = _suggest(name, VALUES)
    raise _mistake(name, "no page has a template of this name", f"{advice}. Names of parts of your own begin with _")


def _list_outer_blocks(tree: Any) -> list[str]:  # noqa: ANN401 - a tree of the extra
    """Return the blocks that are not inside another block."""
    from jinja2 import nodes  # noqa: PLC0415 - of the extra

    inner = {each for block in tree.find_all(nodes.Block) for part in block.body for each in _list_blocks(part)}
    return [block.name for block in tree.find_all(nodes.Block) if block.name not in inner]


def _list_blocks(tree: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    from jinja2 import nodes  # noqa: PLC0415 - of the extra

    if isinstance(tree, nodes.Block):
        yield tree.name
    for block in tree.find_all(nodes.Block):
        yield block.name


def _strip_blocks(tree: Any) -> Any:  # noqa: ANN401 - as above
    """Return the tree without blocks. Names that it sets are available in the blocks of child templates."""
    from jinja2 import nodes  # noqa: PLC0415 - of the extra

    return nodes.Template([part for part in tree.body if not isinstance(part, nodes.Block)])


def _list_names(tree: Any) -> set[str]:  # noqa: ANN401 - as above
    """Return the names that a template sets."""
    from jinja2 import nodes  # noqa: PLC0415 - of the extra

    names = {each.name for each in tree.find_all(nodes.Name) if each.ctx in ("store", "param")}
    names |= {each.target for each in tree.find_all(nodes.Import)}
    names |= {each.name for each in tree.find_all(nodes.Macro)}
    for each in tree.find_all(nodes.FromImport):
        names |= {part if isinstance(part, str) else part[1] for part in each.names}
    return names


def _suggest(name: str, known: Any) -> str:  # noqa: ANN401 - any names
    close = get_close_matches(name, sorted(known), 1)
    listed = f"Known are {', '.join(sorted(known))}"
    return f'Write "{close[0]}"? {listed}' if close else listed


def _mistake(name: str, what: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f'pages_router: the template "{name}" has a mistake: {what}. {advice}.')
