# The log, as scripts use it.
# vms: machine=fake

log.log("plain")
#: plain
log.log("with a machine", {"machine": "someone"})
#: someone: with a machine
log.info("info")
#: info
log.warning("warning")
#: warning
with log.nested("outer"):
    with log.nested("inner", {"machine": "someone"}):
        log.log("in both")
#: outer
#: someone: inner
#: in both
#: (finished: inner, in S.SS seconds)
#: (finished: outer, in S.SS seconds)
with subtest("a title"):
    log.log("in it")
#: subtest: a title
#: in it
#: (finished: subtest: a title, in S.SS seconds)
with log.subtest("by the logger"):
    pass
#: subtest: by the logger
#: (finished: subtest: by the logger, in S.SS seconds)
log.log_serial("from a console", "someone")
#: someone # from a console
machine.log_serial("as from its console")
#: machine # as from its console
machine.connect()
serial_stdout_off()
machine.succeed("echo hidden >&2")
machine.wait_for_console_text("hidden")
#! machine # hidden
serial_stdout_on()
machine.succeed("echo shown >&2")
machine.wait_for_console_text("shown")
#: machine # shown
log.print_serial_logs(False)
log.log("the end")
#: the end
