"""The interactive session: a Python prompt with a script's global names.

On a terminal the prompt is that of ptpython or IPython, whichever can be imported first, else Python's own. Input from
a pipe or a file is executed line by line as by Python's own prompt, but without prompts in the output.

embed/run imports this module for --interactive and --pause-on-failure; it runs on the main thread.
"""

import code
import os
import sys

from _test_driver import printable

HISTORY = ".nixos-test-history"  # a file in the current directory
HISTORY_LINES = 10_000  # lines of the history that Python's own prompt reads


# A function for each kind of prompt. It returns a function that runs the prompt; ImportError if the kind is missing.


def _ptpython(symbols, history):
    from ptpython.repl import embed

    def configure(prompt):
        prompt.confirm_exit = False

    return lambda: embed(symbols, symbols, history_filename=history, configure=configure)


def _ipython(symbols, history):
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.hist_file = f"{history}.sqlite"  # IPython has a history format of its own
    config.TerminalIPythonApp.display_banner = False
    config.TerminalInteractiveShell.confirm_exit = False
    return lambda: start_ipython(argv=[], user_ns=symbols, config=config)


def _standard(symbols, history):
    import readline
    import rlcompleter

    def run():
        readline.set_completer(rlcompleter.Completer(symbols).complete)
        readline.parse_and_bind("tab: complete")
        known = _read_history(readline, history)
        try:
            _interact(symbols)
        finally:
            _write_history(readline, history, known)

    return run


# ---- the history of Python's own prompt, in ptpython's file format: "+LINE" for each line of an entry


def _read_history(readline, path):
    """Loads the history into readline and returns the number of entries."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line[1:].rstrip("\n") for line in file if line.startswith("+")]
    except OSError:
        lines = []  # there is no history yet
    readline.clear_history()
    for line in lines[-HISTORY_LINES:]:
        readline.add_history(line)
    return readline.get_current_history_length()


def _write_history(readline, path, known):
    """Appends to the file the entries of readline after the first `known` ones."""
    new = [readline.get_history_item(i + 1) for i in range(known, readline.get_current_history_length())]
    try:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.writelines(f"\n+{line}\n" for line in new)
    except OSError as error:
        print(f"The history is not kept: {error}", file=sys.stderr)


# ---- the standard prompt


class _Console(code.InteractiveConsole):
    """Python's own prompt. An open block at the end of the input is executed, and output is made printable."""

    ended = False

    def raw_input(self, prompt=""):
        try:
            return super().raw_input(prompt)
        except EOFError:
            if self.ended or not self.buffer:
                raise
            self.ended = True  # the end of the input also ends the open block
            return ""

    def write(self, data):
        """Writes text without control sequences, since a traceback may quote a guest's output."""
        super().write(printable(data, False))


def _interact(symbols):
    _Console(symbols).interact(banner="", exitmsg="")


def _piped(symbols):
    sys.ps1 = sys.ps2 = ""
    _interact(symbols)


def _best(symbols):
    """Returns a function that runs the best prompt that standard input and the installed packages allow."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return lambda: _piped(symbols)
    history = os.path.join(os.getcwd(), HISTORY)
    for prompt in _ptpython, _ipython, _standard:
        try:
            return prompt(symbols, history)
        except ImportError:
            pass
    return lambda: _interact(symbols)  # this Python has no readline


def start(symbols, banner):
    """Runs the best available prompt until the user leaves it.

    symbols: {name: value}, the prompt's global names, which it may change. banner: a text to show first on a terminal.
    SystemExit when the user calls exit().
    """
    run = _best(symbols)
    if sys.stdin.isatty():
        print(banner)
    run()
