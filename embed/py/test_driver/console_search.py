"""Finding a regular expression in a console's text as it arrives.

It is searched for

- in each line by itself, where `^` and `$` are the line's ends;
- in the lines joined without separators, as scripts have always been able to: the new ones, and of those
  before them as many as SPAN holds, so that what arrives is searched a bounded number of times;
- in the same without what the kernel writes into the lines of others, when it has done so: without time
  stamps in the middle of lines, and without kernel messages altogether.

The line that completes the first match and all before it are used up.
"""

import bisect
import collections
import re

SPAN = 256 << 10  # characters
_STAMP = re.compile(r"\[ *\d+\.\d{6}\] ?")
_SHOWN_LINES = 10  # in the report of a failure
_NEAR_LINES, _NEAR = 3, 0.5


def _as_it_is(line):
    return line


def _without_stamps(line):
    """Only those in its middle."""
    start = _STAMP.match(line)
    start = start.end() if start else 0
    return line[:start] + _STAMP.sub("", line[start:])


def _without_kernel(line):
    """What is left of it when a kernel message begins at the stamp."""
    return _STAMP.split(line, 1)[0]


def _is_broken(line):
    return _STAMP.search(line, 1) is not None


def _search_form(regex):
    """The pattern without `.*` at its start, which finds the same and takes quadratic time to do so."""
    pattern = re.compile(regex)
    pattern.search("")  # a TypeError for bytes
    shorter = re.sub(r"\A(?:\.\*\??)+(?![+*?{])", "", pattern.pattern)
    return re.compile(shorter, pattern.flags) if shorter != pattern.pattern else pattern


class ConsoleSearch:
    def __init__(self, regex):
        self.pattern = _search_form(regex)
        self.before, self.length = collections.deque(), 0  # lines, and their length

    def add(self, text):
        """Whole lines, each with its newline: how many are used up by a match, 0 without one."""
        lines = text.split("\n")[:-1]
        search = self.pattern.search
        alone = next((index for index, line in enumerate(lines) if search(line)), len(lines))
        used = self._joined(_as_it_is, lines[:alone]) or (alone + 1 if alone < len(lines) else self._unbroken(lines))
        if not used:
            self._keep(lines)
        return used

    def add_partial(self, text):
        """A line that has begun: whether there is a match. It comes again, longer or whole."""
        return bool(self.pattern.search(text) or self._joined(_as_it_is, [text]) or self._unbroken([text]))

    def _joined(self, view, lines):
        """The number of lines, beside those before, that it takes to match; 0: all do not."""
        start = sum(len(view(line)) for line in self.before)
        texts = [view(line) for line in lines]
        text = "".join(map(view, self.before)) + "".join(texts)
        if not lines or not self.pattern.search(text):
            return 0
        ends = []
        for piece in texts:
            start += len(piece)
            ends.append(start)
        matches = bisect.bisect_left(ends, True, key=lambda end: bool(self.pattern.search(text, 0, end)))
        return min(matches, len(lines) - 1) + 1

    def _unbroken(self, lines):
        if not any(map(_is_broken, lines)) and not any(map(_is_broken, self.before)):
            return 0
        return self._joined(_without_stamps, lines) or self._joined(_without_kernel, lines)

    def _keep(self, lines):
        self.before.extend(lines)
        self.length += sum(map(len, lines))
        while self.length > SPAN:
            self.length -= len(self.before.popleft())

    def report(self, console):
        """Of the console, whose lines are given indented by four: the nearest to the pattern, and the last ones."""
        lines = [line[4:500] for line in console.splitlines()]
        near = [line + "  (used up by an earlier wait)" * bool(self.pattern.search(line))
                for line in _nearest(self.pattern.pattern, lines)]
        parts = [("nearest lines", near), ("last lines", lines[-_SHOWN_LINES:])]
        return "\n".join(f"{title} of the console:" + "".join(f"\n    {line}" for line in of) for title, of in parts if of)


# ---- near misses


def _literal(regex):
    """What is left of a regular expression without its syntax."""
    regex = re.sub(r"\(\?[a-zA-Z:=!<>-]*|\\[a-zA-Z0-9]|\[(?:\\.|[^]\\])*\]|\{[\d,]*\}", " ", regex)
    return re.sub(r"(?<!\\)[.^$*+?()|]|\\(?=\W)", " ", regex)


def _pieces(text):
    """All that stand in it three characters wide, in lower case; single spaces only."""
    text = " ".join(text.lower().split())
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _nearest(regex, lines):
    """The lines that share at least half of the three-character pieces of the pattern's literal text; of these
    the ones that share most, in the order of the console."""
    wanted = _pieces(_literal(regex))
    if not wanted:
        return []
    shares = [(len(wanted & _pieces(line)) / len(wanted), index) for index, line in enumerate(lines)]
    best = sorted((share for share in shares if share[0] >= _NEAR), reverse=True)[:_NEAR_LINES]
    return [lines[index] for index in sorted(index for _, index in best)]
