/* What commands over SSH write to standard error, on the loop thread: lines, which are logged as
 * they come, but for the first ones, by which the driver's own script tells who runs the command
 * (ssh/script.h). A command that wants them apart gets the same lines.
 */
#include "ssh/exec_internal.h"

#include "base/text.h"

#include <string.h>

enum { LINE_LIMIT = 16 << 10 }; /* a longer line is logged as several */

static void log_error_line(struct ntd_ssh_exec *exec, const char *line, size_t len)
{
	_cleanup_free_ char *text = ntd_console_text(line, len, &len);

	if (exec->script.uses_sudo && !exec->begun_as_root) {
		free(exec->sudo_says);
		exec->sudo_says = ntd_strdup(text);
	}
	ntd_report_emit(exec->ssh->report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
							       .machine = exec->ssh->machine,
							       .text = text,
							       .text_len = len});
}

/* What is said before sudo has begun is not the command's. */
static void keep_errors(struct ntd_ssh_exec *exec, const char *bytes, size_t len)
{
	if (exec->job && exec->job->command->errors &&
	    (!exec->script.uses_sudo || exec->begun_as_root))
		ntd_result_add_errors(exec->job->result, bytes, len);
}

/* Takes a line without its end, which is `end`: one of the driver's own, or one of the
 * command's. */
static void take_error_line(struct ntd_ssh_exec *exec, const char *line, size_t len,
			    const char *end)
{
	static const size_t mark = sizeof NTD_SSH_PID - 1;
	char number[16] = {0};

	if (exec->victim)
		return;
	if (!exec->pid && len > mark && len < mark + sizeof number &&
	    memcmp(line, NTD_SSH_PID, mark) == 0) {
		memcpy(number, line + mark, len - mark);
		exec->pid = strtol(number, NULL, 10);
		return;
	}
	if (exec->script.uses_sudo && !exec->begun_as_root && len == sizeof NTD_SSH_ROOT - 1 &&
	    memcmp(line, NTD_SSH_ROOT, len) == 0) {
		exec->begun_as_root = true;
		return;
	}
	keep_errors(exec, line, len);
	keep_errors(exec, end, strlen(end));
	log_error_line(exec, line, len);
}

/* Takes the line that has begun. */
static void take_begun(struct ntd_ssh_exec *exec, const char *end)
{
	take_error_line(exec, ntd_buf_bytes(&exec->errors), exec->errors.len, end);
	ntd_buf_clear(&exec->errors);
}

void ntd_ssh_exec_errors(struct ntd_ssh_exec *exec, const char *bytes, size_t len)
{
	const char *end;

	while ((end = memchr(bytes, '\n', len))) {
		size_t line = (size_t)(end - bytes);

		if (exec->errors.len) {
			ntd_buf_append(&exec->errors, bytes, line);
			take_begun(exec, "\n");
		} else {
			take_error_line(exec, bytes, line, "\n");
		}
		bytes += line + 1;
		len -= line + 1;
	}
	ntd_buf_append(&exec->errors, bytes, len);
	if (exec->errors.len > LINE_LIMIT)
		take_begun(exec, "");
}

void ntd_ssh_exec_end_errors(struct ntd_ssh_exec *exec)
{
	if (exec->errors.len)
		take_begun(exec, "");
}
