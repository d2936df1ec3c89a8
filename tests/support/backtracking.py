"""Count the steps of a regular expression: a small backtracking matcher that tries what `re` tries, in the same order.

`re` itself counts nothing, and the time that it takes differs from run to run. The matcher reads the syntax tree of
`re` and has no optimizations of its own, so its count is an upper bound in shape: if it is linear, `re` is linear.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from re import _constants as codes  # type: ignore[attr-defined]  # the syntax tree of `re` has no public name
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import Any, Literal

Mode = Literal["fullmatch", "match", "search"]
Rest = Callable[[int], bool]


def is_boundary(text: str, at: int) -> bool:
    before, after = (bool(re.match(r"\w", text[i : i + 1])) if i >= 0 else False for i in (at - 1, at))
    return before != after


ANCHORS: dict[Any, Callable[[str, int], bool]] = {
    codes.AT_BEGINNING: lambda _, at: at == 0,
    codes.AT_BEGINNING_STRING: lambda _, at: at == 0,
    codes.AT_END: lambda text, at: at == len(text) or text[at:] == "\n",
    codes.AT_END_STRING: lambda text, at: at == len(text),
    codes.AT_BOUNDARY: is_boundary,
    codes.AT_NON_BOUNDARY: lambda text, at: not is_boundary(text, at),
}


class TooManySteps(Exception):
    """The count is beyond what the caller allows."""


@dataclass
class Matcher:
    """Matches one pattern against one text, and counts.

    Args:
        pattern: a pattern without backreferences, conditions and possessive parts.
        text: what it is matched against.
        limit: the count at which it gives up.
    """

    pattern: "re.Pattern[str]"
    text: str
    limit: int
    steps: int = 0
    _end: int = 0
    _tree: Any = None
    _taken: dict[tuple[int, str], bool] = field(default_factory=dict)

    def run(self, mode: Mode) -> list[tuple[int, int]]:
        """Return where the pattern matches. `search` goes on after a match, as `sub`, `split` and `finditer` do."""
        self._tree = parser.parse(self.pattern.pattern, self.pattern.flags)
        attempt = self._sequence(list(self._tree), self._finish if mode != "fullmatch" else self._finish_whole)
        found, start = [], 0
        while start <= len(self.text):
            matched = attempt(start)
            if matched:
                found.append((start, self._end))
            if mode != "search":
                break
            start = self._end if matched and self._end > start else start + 1
        return found

    def _tick(self) -> bool:
        """Count a step; it is always true, so that conditions may begin with it."""
        self.steps += 1
        if self.steps > self.limit:
            raise TooManySteps
        return True

    def _finish(self, at: int) -> bool:
        self._end = at
        return True

    def _finish_whole(self, at: int) -> bool:
        return at == len(self.text) and self._finish(at)

    def _sequence(self, nodes: list[Any], rest: Rest) -> Rest:
        for node in reversed(nodes):
            rest = self._node(node, rest)
        return rest

    def _node(self, node: Any, rest: Rest) -> Rest:
        code, value = node
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            return self._repeat(value, rest, lazy=code is codes.MIN_REPEAT)
        if code is codes.SUBPATTERN:
            return self._sequence(list(value[3]), rest)
        if code is codes.BRANCH:
            branches = [self._sequence(list(branch), rest) for branch in value[1]]
            return lambda at: any(self._tick() and branch(at) for branch in branches)
        if code in (codes.ASSERT, codes.ASSERT_NOT):
            return self._look_around(value, rest, wanted=code is codes.ASSERT)
        if code is codes.AT:
            return lambda at: self._tick() and ANCHORS[value](self.text, at) and rest(at)
        return lambda at: self._takes(node, at) and rest(at + 1)

    def _look_around(self, value: Any, rest: Rest, *, wanted: bool) -> Rest:
        direction, tree = value
        look, width = self._sequence(list(tree), lambda _: True), tree.getwidth()[0]

        def assertion(at: int) -> bool:
            start = at if direction > 0 else at - width
            return (start >= 0 and look(start)) is wanted and rest(at)

        return assertion

    def _repeat(self, value: Any, rest: Rest, *, lazy: bool) -> Rest:
        least, most, tree = value
        body = list(tree)
        if len(body) == 1 and body[0][0] in (codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY):
            return self._repeat_character(body[0], (least, int(most)), rest, lazy=lazy)

        def again(at: int, times: int) -> bool:
            def more() -> bool:
                onward = self._sequence(body, lambda end: (end != at or times < least) and again(end, times + 1))
                return times < most and onward(at)

            def done() -> bool:
                return times >= least and rest(at)

            self._tick()
            return (done() or more()) if lazy else (more() or done())

        return lambda at: again(at, 0)

    def _repeat_character(self, node: Any, bounds: tuple[int, int], rest: Rest, *, lazy: bool) -> Rest:
        least, most = bounds

        def greedy(at: int) -> bool:
            end = at
            while end - at < most and self._takes(node, end):
                end += 1
            return any(self._tick() and rest(stop) for stop in range(end, at + least - 1, -1))

        def reluctant(at: int) -> bool:
            end = at
            while True:
                if end - at >= least and rest(end):
                    return True
                if end - at >= most or not self._takes(node, end):
                    return False
                end += 1

        return reluctant if lazy else greedy

    def _takes(self, node: Any, at: int) -> bool:
        """Whether a node for one character takes that at this place; `re` itself says so."""
        self._tick()
        if at >= len(self.text):
            return False
        key = (id(node), self.text[at])  # the syntax tree lives as long as the matcher
        if key not in self._taken:
            self._taken[key] = re.compile(_source(node), self.pattern.flags).fullmatch(key[1]) is not None
        return self._taken[key]


def _source(node: Any) -> str:
    """The regular expression of one node for one character."""
    code, value = node
    if code is codes.ANY:
        return "."
    if code is not codes.IN:
        return f"[{'^' * (code is codes.NOT_LITERAL)}{re.escape(chr(value))}]"
    return f"[{''.join(_members(value))}]"


def _members(items: list[Any]) -> Iterator[str]:
    for code, value in items:
        if code is codes.NEGATE:
            yield "^"
        elif code is codes.RANGE:
            yield f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif code is codes.CATEGORY:
            yield {
                "DIGIT": r"\d",
                "SPACE": r"\s",
                "WORD": r"\w",
                "NOT_DIGIT": r"\D",
                "NOT_SPACE": r"\S",
                "NOT_WORD": r"\W",
            }[str(value).removeprefix("CATEGORY_")]
        else:
            yield re.escape(chr(value))


def atoms(pattern: "re.Pattern[str]") -> list[str]:
    """Texts that the pattern speaks of: its literals, one character of each class, and one that no class takes."""
    found = dict.fromkeys(["a", "-", "."])
    _collect(list(parser.parse(pattern.pattern, pattern.flags)), found)
    return list(found)


def _collect(nodes: list[Any], found: dict[str, None]) -> None:
    run = ""
    for code, value in [*nodes, (None, None)]:
        if code is codes.LITERAL:
            run += chr(value)
            continue
        if run:
            found[run] = None
            run = ""
        if code is codes.IN:
            takes = re.compile(_source((code, value)))
            found.update(dict.fromkeys([c for c in "a0-_.:@ /=?&%+" if takes.fullmatch(c)][:2]))
        for tree in _trees(code, value):
            _collect(list(tree), found)


def _trees(code: Any, value: Any) -> list[Any]:
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        return [value[2]]
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.BRANCH:
        return list(value[1])[:3]
    return [value[1]] if code in (codes.ASSERT, codes.ASSERT_NOT) else []
