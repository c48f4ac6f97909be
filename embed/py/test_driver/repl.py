"""The interactive session: a Python prompt with a script's global names."""

import os

HISTORY = ".nixos-test-history"


def _ptpython(symbols):
    from ptpython.repl import embed

    return lambda: embed(symbols, symbols, history_filename=os.path.join(os.getcwd(), HISTORY))


def _ipython(symbols):
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.hist_file = os.path.join(os.getcwd(), HISTORY)
    return lambda: start_ipython(argv=[], user_ns=symbols, config=config)


def _standard(symbols):
    import atexit
    import code
    import readline
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(symbols).complete)
    readline.parse_and_bind("tab: complete")
    try:
        readline.read_history_file(HISTORY)
    except OSError:
        pass  # none yet
    atexit.register(readline.write_history_file, HISTORY)
    banner = "The machines are here by name; test_script() runs the test. Ctrl-D leaves."
    return lambda: code.interact(banner=banner, local=symbols, exitmsg="")


def start(driver):
    """Runs the best prompt there is until the user leaves it."""
    symbols = driver.test_symbols()
    for prompt in _ptpython, _ipython, _standard:
        try:
            run = prompt(symbols)
        except ImportError:
            continue
        run()
        return
