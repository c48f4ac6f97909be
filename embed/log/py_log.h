/* The Python object of a log, for the files that make up its type. */
#pragma once

#include "embed.h"

struct py_logger {
	struct py_object head;
	struct ntd_report *report; /* the session's, or one of the session's */
	PyObject *list;            /* loggers written in Python */
	bool listening;            /* they are told */
};

/* ---- logger_sink.c */
/* Tells the loggers in the list of what the report gets from now on; -1 with an exception. */
int py_logger_listen(struct py_state *state, struct ntd_report *report, PyObject *loggers);
