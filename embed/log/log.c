/* How embed/ logs, on threads that hold the GIL. Emitting an event waits for nothing. The wait for
 * the log to be written follows without the GIL: so lines of the log keep their place among what
 * the script itself prints, and a log that nobody reads stops the thread that logs and no other.
 */
#include "guest/retry.h"
#include "log/py_log.h"

void py_log_deliver(struct py_state *state)
{
	if (!ntd_session_is_settled(state->session)) {
		PY_WITHOUT_GIL(ntd_session_settle(state->session));
	}
	py_logger_deliver(state);
}

void py_log_emit(struct ntd_report *report, const struct ntd_event *event)
{
	py_place_note(py_state());
	ntd_report_emit(report, event);
	py_log_deliver(py_state());
}

void py_log_detail(struct ntd_report *report, enum ntd_detail detail, const char *machine,
		   const char *text)
{
	ntd_log_detail(report, detail, machine, text, NULL);
	py_log_deliver(py_state());
}

void py_log_seed(struct ntd_report *report, const char *what, const char *seed)
{
	ntd_log_seed(report, what, seed);
	py_log_deliver(py_state());
}

void py_log(struct ntd_report *report, enum ntd_level level, const char *machine, const char *fmt,
	    ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	py_place_note(py_state());
	ntd_log(report, level, machine, "%s", text);
	py_log_deliver(py_state());
}

void py_log_test_error(struct ntd_report *report, const char *text, bool told)
{
	if (told)
		ntd_log_subtest_error(report, text);
	else
		ntd_log_test_error(report, text);
	py_log_deliver(py_state());
}

void py_log_begin(struct ntd_nest *nest, struct ntd_report *report, enum ntd_step step,
		  const char *machine, const char *text, char **attributes, bool subtest)
{
	py_place_note(py_state());
	*nest = ntd_nest_begin_full(report, step, machine, text, attributes, subtest);
	py_log_deliver(py_state());
}

void py_log_begin_wait(struct ntd_nest *nest, const struct ntd_wait *wait, const char *text)
{
	struct ntd_report *report = ntd_machine_report(wait->machine);

	py_place_note(py_state());
	*nest = ntd_machine_step_begin(wait->machine, NTD_STEP_WAIT, text);
	ntd_log_busy(report, ntd_machine_name(wait->machine), "", 0, ntd_wait_limit(wait));
	py_log_deliver(py_state());
}

void py_log_end_wait(struct ntd_nest *nest, const struct ntd_wait *wait, bool failed)
{
	if (nest->id && !failed)
		ntd_wait_tell_met(wait);
	ntd_log_idle(ntd_machine_report(wait->machine));
	py_log_end(nest, failed);
}

void py_log_end(struct ntd_nest *nest, bool failed)
{
	ntd_nest_end(nest, failed);
	py_log_deliver(py_state());
}

void py_log_abandon(struct ntd_nest *nest)
{
	ntd_nest_end(nest, true);
}
