# status: 1

log.error("the end")
#: the end
raise SystemExit(5)
