# log.error() ends the script with status 1; the line after it is not reached.
# status: 1

log.error("the end")
#: the end
raise SystemExit(5)
