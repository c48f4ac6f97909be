/* Runs commands in the guest for scripts, checks how they ended, and waits until they end so. On
 * script threads.
 */
#include "guest/command.h"

#include "base/text.h"
#include "machine/qemu.h"

#include <string.h>

#define MONITOR_PATIENCE (60 * NTD_SECOND)

/* ---- one command */

static bool has_powered_off(struct ntd_machine *machine)
{
	struct ntd_machine_status status = ntd_machine_status(machine);

	return status.ended && status.wait_status == 0;
}

int ntd_machine_run(struct ntd_machine *machine, const struct ntd_command *command,
		    struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_machine_before_command(machine, waiter, err) < 0)
		return -1;
	return ntd_machine_run_in_guest(machine, command, result, waiter, err);
}

/* The most bytes that the report gets of a command's text; and of its output, whose beginning and
 * end it gets if there is more. */
enum { SHOWN_BYTES = 4000, OUTPUT_BEGIN = 2000, OUTPUT_END = 6000 };

/* Bytes as an attribute, a new string. */
static char *attribute_of(const struct ntd_buf *bytes)
{
	const char *data = ntd_buf_bytes(bytes);
	_cleanup_buf_ struct ntd_buf text = {0};

	if (bytes->len <= OUTPUT_BEGIN + OUTPUT_END)
		return ntd_shown(data, bytes->len);
	ntd_buf_append(&text, data, OUTPUT_BEGIN);
	ntd_buf_printf(&text, "\n... %zu bytes are left out here ...\n",
		       bytes->len - OUTPUT_BEGIN - OUTPUT_END);
	ntd_buf_append(&text, data + bytes->len - OUTPUT_END, OUTPUT_END);
	return ntd_shown(ntd_buf_bytes(&text), text.len);
}

static void add_attribute(char ***attributes, const char *name, const struct ntd_buf *bytes)
{
	_cleanup_free_ char *value = bytes->len ? attribute_of(bytes) : NULL;

	if (!value)
		return;
	ntd_strv_add(attributes, name);
	ntd_strv_add(attributes, value);
}

/* How many bytes of the command's text the report gets. The text is not cut within a character. */
static size_t shown_bytes(const struct ntd_command *command)
{
	size_t len = command->text_len < SHOWN_BYTES ? command->text_len : SHOWN_BYTES;

	while (len && len < command->text_len && (command->text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static void report_end(const struct ntd_machine *machine, const struct ntd_command *command,
		       const struct ntd_result *result, bool replied, double seconds)
{
	_cleanup_strv_ char **attributes = NULL;

	if (!ntd_report_has_timeline(ntd_machine_report(machine)))
		return;
	add_attribute(&attributes, "output", &result->output);
	add_attribute(&attributes, "errors", &result->errors);
	ntd_report_emit(ntd_machine_report(machine),
			&(struct ntd_event){.kind = NTD_EVENT_COMMAND_END,
					    .machine = ntd_machine_name(machine),
					    .text = command->text,
					    .text_len = shown_bytes(command),
					    .attributes = attributes,
					    .seconds = seconds,
					    .status = replied ? result->status : -1,
					    .bytes = result->output.len});
}

/* Sets the error of a command that began at `began`, a time of ntd_now(), with what is known of the
 * guest. Takes `error`. */
static int fail(struct ntd_machine *machine, int64_t began, struct ntd_error *error,
		struct ntd_error **err)
{
	/* Errors of other kinds say by themselves how the machine is. */
	if (error->code == NTD_E_TIMEOUT || error->code == NTD_E_MACHINE) {
		_cleanup_free_ char *remark = ntd_machine_remark(machine, began);

		ntd_error_add(error, remark);
	}
	return ntd_error_move(err, error);
}

int ntd_machine_run_in_guest(struct ntd_machine *machine, const struct ntd_command *command,
			     struct ntd_result *result, struct ntd_waiter *waiter,
			     struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	_cleanup_user_ struct ntd_machine *used = NULL;
	struct ntd_channel *channel;
	int64_t began;
	double seconds;
	bool replied;

	used = ntd_machine_enter(machine, waiter, err);
	if (!used)
		return -1;
	if (!command->as_root && ntd_machine_prepare_channels(machine, waiter, err) < 0)
		return -1;
	channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);
	if (!channel)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "it runs no commands");
	began = ntd_now();
	ntd_log_busy(ntd_machine_report(machine), ntd_machine_name(machine), command->text,
		     shown_bytes(command), command->timeout);
	replied = channel->ops->run(channel, command, result, waiter, &error) == 0;
	ntd_log_idle(ntd_machine_report(machine));
	seconds = ntd_seconds(ntd_now() - began);
	report_end(machine, command, result, replied, seconds);
	if (replied) {
		if (!command->no_reply)
			ntd_machine_note_pace(machine, seconds);
		return 0;
	}
	/* A command without a status, such as `poweroff`, has done its work when the guest has
	 * powered off. */
	if (command->no_status && has_powered_off(machine)) {
		result->status = -1;
		return 0;
	}
	return fail(machine, began, ntd_steal(&error), err);
}

int ntd_machine_monitor_command(struct ntd_machine *machine, const char *line,
				struct ntd_buf *reply, struct ntd_waiter *waiter,
				struct ntd_error **err)
{
	struct ntd_monitor *monitor = ntd_machine_monitor(machine);

	if (ntd_machine_before_command(machine, waiter, err) < 0)
		return -1;
	if (!monitor)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "it has no QEMU monitor");
	if (ntd_machine_before_monitor(machine, line, waiter, err) < 0)
		return -1;
	return ntd_monitor_command(monitor, line, reply, ntd_after(MONITOR_PATIENCE), waiter, err);
}

static int run_text(struct ntd_machine *machine, struct ntd_bytes text, double timeout,
		    struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_command command = {.text = text.data, .text_len = text.len, .timeout = timeout};

	return ntd_machine_run(machine, &command, result, waiter, err);
}

int ntd_machine_status_of(struct ntd_machine *machine, struct ntd_bytes command,
			  struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_result_ struct ntd_result result = {0};

	if (run_text(machine, command, NTD_DEFAULT_TIMEOUT, &result, waiter, err) < 0)
		return -1;
	if (output)
		ntd_buf_append(output, ntd_buf_bytes(&result.output), result.output.len);
	return result.status;
}

int ntd_machine_sync(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const char *text = ntd_machine_sync_command(machine);
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);
	struct ntd_command command = {
		.text = text, .timeout = NTD_DEFAULT_TIMEOUT, .as_root = true};
	_cleanup_free_ char *running = NULL, *stopped = NULL;
	_cleanup_result_ struct ntd_result result = {0};

	if (ntd_machine_state(machine) != NTD_MACHINE_CONNECTED || !text || !channel)
		return 0;
	stopped = ntd_machine_remark(machine, ntd_now());
	if (*stopped) {
		ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
			"not synced%s", stopped);
		return 0;
	}
	running = channel->ops->busy ? channel->ops->busy(channel) : NULL;
	if (running) {
		ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
			"not synced, a command is still running: %.200s", running);
		return 0;
	}
	command.text_len = strlen(text);
	return ntd_machine_run(machine, &command, &result, waiter, err);
}

/* ---- checks */

static struct ntd_nest step(struct ntd_machine *machine, const char *what, struct ntd_bytes command)
{
	_cleanup_free_ char *shown = ntd_shown(command.data, command.len);

	return ntd_nest_begin(ntd_machine_report(machine), NTD_STEP_COMMAND,
			      ntd_machine_name(machine), "%s: %s", what, shown);
}

/* Ends the step with its result; takes `error`. */
static int end_step(struct ntd_machine *machine, struct ntd_nest *nest, int result,
		    struct ntd_error *error, struct ntd_error **err)
{
	if (error)
		ntd_log_detail(ntd_machine_report(machine), NTD_DETAIL_STEP_ERROR,
			       ntd_machine_name(machine), error->message, NULL);
	ntd_nest_end(nest, result < 0);
	return error ? ntd_error_move(err, error) : result;
}

/* How an error shows standard error, a new string; "" when there was none. */
static char *errors_shown(const struct ntd_result *result)
{
	_cleanup_free_ char *excerpt =
		ntd_excerpt(ntd_buf_bytes(&result->errors), result->errors.len);

	return ntd_asprintf("%s%s", *excerpt ? "; standard error:" : "", excerpt);
}

/* Sets the error of a command that did not end as it must; logs the output of one that failed. */
static int fails_check(struct ntd_machine *machine, struct ntd_bytes command,
		       const struct ntd_result *result, struct ntd_error **err)
{
	_cleanup_free_ char *shown = ntd_shown(command.data, command.len);
	_cleanup_free_ char *output = ntd_shown(ntd_buf_bytes(&result->output), result->output.len);
	_cleanup_free_ char *errors = errors_shown(result);

	if (!result->status)
		return ntd_error_set(err, NTD_E_ASSERTION, "command `%s` unexpectedly succeeded%s",
				     shown, errors);
	ntd_log(ntd_machine_report(machine), NTD_LEVEL_ALWAYS, ntd_machine_name(machine),
		"output: %s", output);
	return ntd_error_set(err, NTD_E_ASSERTION, "command `%s` failed (exit code %d)%s", shown,
			     result->status, errors);
}

static int run_check(struct ntd_machine *machine, const struct ntd_check *check, bool must_fail,
		     struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_command command = {.text = check->command.data,
					    .text_len = check->command.len,
					    .timeout = check->timeout,
					    .errors = check->errors};
	_cleanup_result_ struct ntd_result result = {0};

	if (ntd_machine_run(machine, &command, &result, waiter, err) < 0)
		return -1;
	ntd_buf_append(output, ntd_buf_bytes(&result.output), result.output.len);
	return must_fail == (result.status != 0)
		       ? 0
		       : fails_check(machine, check->command, &result, err);
}

int ntd_machine_succeed(struct ntd_machine *machine, const struct ntd_check *check,
			struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = step(machine, "must succeed", check->command);
	struct ntd_error *error = NULL;
	int result = run_check(machine, check, false, output, waiter, &error);

	return end_step(machine, &nest, result, error, err);
}

int ntd_machine_instead(struct ntd_machine *machine, struct ntd_bytes command,
			int (*work)(void *arg, struct ntd_waiter *waiter, struct ntd_error **err),
			void *arg, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = step(machine, "must succeed", command);
	_cleanup_free_ char *shown = ntd_shown(command.data, command.len);
	struct ntd_error *error = NULL;
	int result = work ? work(arg, waiter, &error) : 0;

	ntd_nest_end(&nest, result < 0);
	if (result == 0)
		return 0;
	if (error->code != NTD_E_ASSERTION)
		return ntd_error_move(err, error);
	ntd_log(ntd_machine_report(machine), NTD_LEVEL_ALWAYS, ntd_machine_name(machine), "%s",
		error->message);
	ntd_error_free(error);
	return ntd_error_set(err, NTD_E_ASSERTION, "command `%s` failed (exit code 1)", shown);
}

int ntd_machine_fail(struct ntd_machine *machine, const struct ntd_check *check,
		     struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = step(machine, "must fail", check->command);
	struct ntd_error *error = NULL;
	int result = run_check(machine, check, true, output, waiter, &error);

	return end_step(machine, &nest, result, error, err);
}

/* ---- waiting for a status */

struct until {
	struct ntd_wait wait;
	struct ntd_bytes command;
	bool fails;
	int status;
	struct ntd_buf *output;
};

static int try_until(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct until *until = arg;
	_cleanup_result_ struct ntd_result result = {0};
	double limit = until->wait.timeout < 0 ? NTD_NO_TIMEOUT : ntd_wait_limit(&until->wait);

	if (limit == 0) /* 0 would be no limit for the guest */
		limit = NTD_DEFAULT_TIMEOUT;
	if (run_text(until->wait.machine, until->command, limit, &result, waiter, err) < 0)
		return -1;
	until->status = result.status;
	ntd_buf_clear(until->output);
	ntd_buf_append(until->output, ntd_buf_bytes(&result.output), result.output.len);
	return (result.status != 0) == until->fails;
}

char *ntd_command_observed(int status, const struct ntd_buf *output)
{
	_cleanup_free_ char *excerpt = ntd_excerpt(ntd_buf_bytes(output), output->len);

	return ntd_asprintf("exit code %d%s%s", status, *excerpt ? ", output:" : ", no output",
			    excerpt);
}

static char *until_observed(const void *arg)
{
	const struct until *until = arg;

	return ntd_command_observed(until->status, until->output);
}

int ntd_machine_wait_until(struct ntd_machine *machine, struct ntd_bytes command, bool fails,
			   double timeout, struct ntd_buf *output, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	_cleanup_free_ char *shown = ntd_shown(command.data, command.len);
	_cleanup_free_ char *what =
		ntd_asprintf("waiting for %s: %s", fails ? "failure" : "success", shown);
	struct until until = {.wait = {.step = what,
				       .attempt = try_until,
				       .observed = until_observed,
				       .arg = &until,
				       .pace = NTD_PACE_SECOND,
				       .timeout = timeout,
				       .machine = machine},
			      .command = command,
			      .fails = fails,
			      .output = output};

	return ntd_machine_wait(&until.wait, waiter, err);
}
