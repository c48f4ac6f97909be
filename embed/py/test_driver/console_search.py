"""Finds a regular expression in a console's text as the text arrives.

The pattern is searched for

- in each line by itself, where `^` and `$` are the line's ends;
- in the lines joined without separators, because scripts rely on it: the new lines, preceded by as many earlier lines
  as SPAN holds, so that each character is searched a bounded number of times;
- in the joined lines without the kernel's output, if the kernel has written into the lines of other programs: once
  without time stamps in the middle of lines, and once without whole kernel messages.

A match uses up the line that completes it and all lines before.

embed/machine imports this module for the first wait_for_console_text(). The thread that waits runs it, with the GIL.
"""

import bisect
import collections
import re

SPAN = 256 << 10  # characters of earlier lines that are kept
_STAMP = re.compile(r"\[ *\d+\.\d{6}\] ?")  # a time stamp of the kernel: seconds since boot
_SHOWN_LINES = 10  # last lines in the report of a failure
_NEAR_LINES, _NEAR = 3, 0.5  # nearest lines in that report, and the share of the pattern that a near line has


def _as_it_is(line):
    return line


def _without_stamps(line):
    """The line without time stamps, except for one at its start."""
    start = _STAMP.match(line)
    start = start.end() if start else 0
    return line[:start] + _STAMP.sub("", line[start:])


def _without_kernel(line):
    """The part of the line before the first time stamp, where a kernel message begins."""
    return _STAMP.split(line, 1)[0]


def _is_broken(line):
    """Whether the kernel has written into the middle of the line."""
    return _STAMP.search(line, 1) is not None


def _search_form(regex):
    """Compiles the pattern, without `.*` at its start, which finds the same text in quadratic time. TypeError for a
    pattern of bytes."""
    pattern = re.compile(regex)
    pattern.search("")  # raises the TypeError
    shorter = re.sub(r"\A(?:\.\*\??)+(?![+*?{])", "", pattern.pattern)
    return re.compile(shorter, pattern.flags) if shorter != pattern.pattern else pattern


class ConsoleSearch:
    """The search of one wait_for_console_text().

    regex: the pattern, a str or a compiled pattern of str. re.error or TypeError for anything else.
    """

    def __init__(self, regex):
        self.pattern = _search_form(regex)
        self.before, self.length = collections.deque(), 0  # earlier lines, and the sum of their lengths

    def add(self, text):
        """Searches new lines. `text` is whole lines, each with its newline. Returns how many of these lines a match
        uses up, 0 if there is no match; then the lines are kept for searches together with later ones."""
        lines = text.split("\n")[:-1]
        search = self.pattern.search
        alone = next((index for index, line in enumerate(lines) if search(line)), len(lines))
        used = self._joined(_as_it_is, lines[:alone]) or (alone + 1 if alone < len(lines) else self._unbroken(lines))
        if not used:
            self._keep(lines)
        return used

    def add_partial(self, text):
        """Searches the unfinished last line and returns whether there is a match. The line is not kept: the caller
        passes it again, longer or whole."""
        return bool(self.pattern.search(text) or self._joined(_as_it_is, [text]) or self._unbroken([text]))

    def _joined(self, view, lines):
        """Searches the earlier lines and `lines`, joined and each passed through `view`. Returns how many of `lines`
        the match needs, 0 if there is no match."""
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
        """As _joined(), without what the kernel has written into the lines; 0 if it has not written into any."""
        if not any(map(_is_broken, lines)) and not any(map(_is_broken, self.before)):
            return 0
        return self._joined(_without_stamps, lines) or self._joined(_without_kernel, lines)

    def _keep(self, lines):
        self.before.extend(lines)
        self.length += sum(map(len, lines))
        while self.length > SPAN:
            self.length -= len(self.before.popleft())

    def report(self, console):
        """Returns a text for the error of a failed wait: the lines nearest to the pattern and the last lines.

        console: recent lines of the console, each indented by four spaces.
        """
        lines = [line[4:500] for line in console.splitlines()]
        near = [line + "  (used up by an earlier wait)" * bool(self.pattern.search(line))
                for line in _nearest(self.pattern.pattern, lines)]
        parts = [("nearest lines", near), ("last lines", lines[-_SHOWN_LINES:])]
        return "\n".join(f"{title} of the console:" + "".join(f"\n    {line}" for line in of) for title, of in parts if of)


# ---- near misses


def _literal(regex):
    """The literal characters of a regular expression; its syntax becomes spaces."""
    regex = re.sub(r"\(\?[a-zA-Z:=!<>-]*|\\[a-zA-Z0-9]|\[(?:\\.|[^]\\])*\]|\{[\d,]*\}", " ", regex)
    return re.sub(r"(?<!\\)[.^$*+?()|]|\\(?=\W)", " ", regex)


def _pieces(text):
    """The set of all substrings of three characters, in lower case and with runs of white space as one space."""
    text = " ".join(text.lower().split())
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _nearest(regex, lines):
    """The up to three lines that share most, and at least half, of the three-character pieces of the pattern's literal
    text, in the order of the console."""
    wanted = _pieces(_literal(regex))
    if not wanted:
        return []
    shares = [(len(wanted & _pieces(line)) / len(wanted), index) for index, line in enumerate(lines)]
    best = sorted((share for share in shares if share[0] >= _NEAR), reverse=True)[:_NEAR_LINES]
    return [lines[index] for index in sorted(index for _, index in best)]
