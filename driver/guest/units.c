/* Asks systemd about units, by systemctl(1) in the guest, and waits for their states. On script
 * threads.
 *
 * A channel that can wait for a unit tells when it is worth looking at. What it says of an active
 * unit counts; everything else is judged by what systemctl says, which is slower, and has the
 * unit's time to change its mind.
 */
#include "guest/units.h"

#include "base/text.h"
#include "guest/await.h"
#include "guest/unit_evidence.h"

#include <string.h>

/* ---- properties */

void ntd_properties_free(struct ntd_properties *properties)
{
	for (size_t i = 0; i < properties->count; i++) {
		free(properties->items[i].name);
		free(properties->items[i].value);
	}
	ntd_vec_free(properties);
}

const char *ntd_properties_get(const struct ntd_properties *properties, const char *name)
{
	for (size_t i = properties->count; i--;)
		if (!strcmp(properties->items[i].name, name))
			return properties->items[i].value;
	return NULL;
}

static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (memchr(" \t=", text[i], 3))
			return false;
	return len > 0;
}

struct ntd_properties ntd_properties_parse(const char *text, size_t len)
{
	struct ntd_properties properties = {0};

	while (len) {
		const char *newline = memchr(text, '\n', len);
		size_t line = newline ? (size_t)(newline - text) : len;
		const char *equals = memchr(text, '=', line);

		if (equals && is_name(text, (size_t)(equals - text))) {
			size_t name = (size_t)(equals - text);

			ntd_vec_push(&properties,
				     (struct ntd_property){
					     .name = ntd_strndup(text, name),
					     .value = ntd_strndup(equals + 1, line - name - 1)});
		}
		text += newline ? line + 1 : line;
		len -= newline ? line + 1 : line;
	}
	return properties;
}

/* ---- systemctl */

/* For a user, the query goes through a login shell in $'...', where every ' is escaped. */
static char *systemctl_command(const char *query, const char *user)
{
	struct ntd_buf command = {0};

	if (!user)
		return ntd_asprintf("systemctl %s", query);
	ntd_buf_printf(&command,
		       "su -l %s --shell /bin/sh -c $'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl "
		       "--user ",
		       user);
	for (const char *c = query; *c; c++)
		ntd_buf_append(&command, *c == '\'' ? "\\'" : c, *c == '\'' ? 2 : 1);
	ntd_buf_puts(&command, "'");
	return ntd_buf_take_string(&command);
}

int ntd_machine_systemctl(struct ntd_machine *machine, const char *query, const char *user,
			  struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *command = systemctl_command(query, user);

	return ntd_machine_status_of(machine,
				     (struct ntd_bytes){.data = command, .len = strlen(command)},
				     output, waiter, err);
}

static char *whose(const char *user)
{
	return user ? ntd_asprintf(" under user \"%s\"", user) : ntd_strdup("");
}

int ntd_machine_unit_info(struct ntd_machine *machine, const char *unit, const char *user,
			  struct ntd_properties *properties, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	_cleanup_free_ char *query = ntd_asprintf("--no-pager show \"%s\"", unit);
	_cleanup_free_ char *under = whose(user);
	_cleanup_buf_ struct ntd_buf output = {0};
	int status = ntd_machine_systemctl(machine, query, user, &output, waiter, err);

	if (status < 0)
		return -1;
	if (status)
		return ntd_error_set(
			err, NTD_E_ASSERTION,
			"retrieving systemctl info for unit \"%s\"%s failed with exit code %d",
			unit, under, status);
	*properties = ntd_properties_parse(ntd_buf_bytes(&output), output.len);
	return 0;
}

/* The property, a new string, or NULL with the error, which is NTD_E_ASSERTION when systemctl
 * fails. *missing is set when systemctl succeeded but did not tell the property. */
static char *show_property(struct ntd_machine *machine, const char *unit, const char *property,
			   const char *user, bool *missing, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	_cleanup_free_ char *query =
		ntd_asprintf("--no-pager show \"%s\" --property=\"%s\"", unit, property);
	_cleanup_free_ char *under = whose(user);
	_cleanup_buf_ struct ntd_buf output = {0};
	_cleanup_properties_ struct ntd_properties found = {0};
	int status = ntd_machine_systemctl(machine, query, user, &output, waiter, err);
	const char *line_end, *value;

	*missing = false;
	if (status < 0)
		return NULL;
	if (status) {
		ntd_error_set(
			err, NTD_E_ASSERTION,
			"retrieving systemctl property \"%s\" for unit \"%s\"%s failed with exit "
			"code %d",
			property, unit, under, status);
		return NULL;
	}
	/* Only the first line counts. */
	line_end = output.len ? memchr(ntd_buf_bytes(&output), '\n', output.len) : NULL;
	found = ntd_properties_parse(ntd_buf_bytes(&output),
				     line_end ? (size_t)(line_end - ntd_buf_bytes(&output))
					      : output.len);
	value = ntd_properties_get(&found, property);
	if (value)
		return ntd_strdup(value);
	*missing = true; /* the missing space is what scripts match on */
	ntd_error_set(err, NTD_E_ASSERTION,
		      "systemctl show --property \"%s\" \"%s\"produced invalid output: %.*s",
		      property, unit, (int)output.len, ntd_buf_bytes(&output));
	return NULL;
}

char *ntd_machine_unit_property(struct ntd_machine *machine, const char *unit, const char *property,
				const char *user, struct ntd_waiter *waiter, struct ntd_error **err)
{
	bool missing;

	return show_property(machine, unit, property, user, &missing, waiter, err);
}

/* ---- states */

/* For how many seconds a unit's state is asked for again when systemctl leaves it out. */
#define STATE_PATIENCE 5

struct unit_wait {
	struct ntd_wait wait;
	struct ntd_awaited awaited;
	const char *unit, *user, *wanted; /* the state that is required */
	char *seen;                       /* what the last attempt saw */
	bool ended;                       /* the unit is in a state in which waiting is of no use */
};

/* A systemctl that fails says nothing of the unit: the message bus may be restarting. Other errors
 * end the wait. */
static int failed_look(const struct ntd_error *error)
{
	return error->code == NTD_E_ASSERTION ? NTD_CANNOT_TELL : -1;
}

static void saw(struct unit_wait *wait, char *seen)
{
	free(wait->seen);
	wait->seen = seen;
}

/* Judges an inactive unit. When no job is queued that could start the unit, it is looked at once
 * more before the wait fails: it may have become active between the two questions. */
static int idle(struct unit_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_machine *machine = wait->wait.machine;
	_cleanup_buf_ struct ntd_buf jobs = {0};
	_cleanup_properties_ struct ntd_properties info = {0};
	_cleanup_free_ char *excerpt = NULL;
	const char *state;

	if (ntd_machine_systemctl(machine, "list-jobs --full 2>&1", wait->user, &jobs, waiter,
				  err) < 0)
		return -1;
	excerpt = ntd_excerpt(ntd_buf_bytes(&jobs), jobs.len);
	saw(wait, ntd_asprintf("state \"inactive\", jobs:%s", excerpt));
	if (!ntd_find(ntd_buf_bytes(&jobs), jobs.len, "No jobs"))
		return 0;
	if (ntd_machine_unit_info(machine, wait->unit, wait->user, &info, waiter, err) < 0)
		return failed_look(*err);
	state = ntd_properties_get(&info, "ActiveState");
	if (!state || strcmp(state, "inactive") != 0)
		return 0;
	wait->ended = true;
	return ntd_error_set(err, NTD_E_ASSERTION,
			     "unit \"%s\" is inactive and there are no pending jobs", wait->unit);
}

/* How a unit is, as far as the properties tell it, a new string. */
static char *described(const struct ntd_properties *info)
{
	static const char *const names[] = {"ActiveState", "SubState", "Result", "StatusText"};
	static const char *const labels[] = {"state", "sub-state", "result", "status"};
	struct ntd_buf text = {0};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = ntd_properties_get(info, names[i]);

		if (value && *value)
			ntd_buf_printf(&text, "%s%s \"%s\"", text.len ? ", " : "", labels[i],
				       value);
	}
	return ntd_buf_take_string(&text);
}

/* Describes the unit for the error of the wait, at the last attempt. */
static int look_closely(struct unit_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_properties_ struct ntd_properties info = {0};

	if (ntd_machine_unit_info(wait->wait.machine, wait->unit, wait->user, &info, waiter, err) <
	    0)
		return -1;
	saw(wait, described(&info));
	return 0;
}

static int ask_systemctl(struct unit_wait *wait, bool last, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	bool missing;
	_cleanup_free_ char *state = show_property(wait->wait.machine, wait->unit, "ActiveState",
						   wait->user, &missing, waiter, err);

	if (!state && missing) {
		saw(wait, ntd_strdup((*err)->message));
		ntd_error_free(ntd_steal(err));
		return NTD_NOT_YET;
	}
	if (!state)
		return failed_look(*err);
	wait->ended = !strcmp(state, "failed");
	if (wait->ended)
		return ntd_error_set(err, NTD_E_ASSERTION, "unit \"%s\" reached state \"%s\"",
				     wait->unit, state);
	if (!strcmp(state, "inactive"))
		return idle(wait, waiter, err);
	if (!strcmp(state, "active")) {
		saw(wait, ntd_strdup("state \"active\""));
		return NTD_HOLDS;
	}
	return last ? look_closely(wait, waiter, err) : 0;
}

/* Whether the channel has found the unit active; then takes note of what it found. */
static bool is_active(struct unit_wait *wait, const struct ntd_finding *finding)
{
	_cleanup_properties_ struct ntd_properties info =
		ntd_properties_parse(ntd_buf_bytes(&finding->seen), finding->seen.len);
	const char *state = ntd_properties_get(&info, "ActiveState");

	if (!state || strcmp(state, "active") != 0)
		return false;
	saw(wait, described(&info));
	return true;
}

static int try_unit(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct unit_wait *wait = arg;
	_cleanup_finding_ struct ntd_finding finding = {0};
	int sight = ntd_machine_await(&wait->wait, &wait->awaited, last, &finding, waiter, err);

	if (sight < 0)
		return -1;
	if (ntd_sight_holds(sight) && is_active(wait, &finding))
		return NTD_HOLDS;
	return sight == NTD_FAILS ? NTD_NOT_YET : ask_systemctl(wait, last, waiter, err);
}

/* Whether all characters are among those, and there is one. */
static bool consists_of(const char *text, const char *characters)
{
	return *text && !text[strspn(text, characters)];
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool has_type(const char *unit)
{
	static const char *const types[] = {".service", ".socket",    ".target", ".device",
					    ".mount",   ".automount", ".swap",   ".timer",
					    ".path",    ".slice",     ".scope"};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (ntd_has_suffix(unit, types[i]))
			return true;
	return false;
}

/* The name in full, as systemctl completes it, a new string. NULL: systemctl has to make more of
 * it, such as a path, a pattern or the number of a job. */
static char *full_name(const char *unit)
{
	if (!consists_of(unit, LETTERS DIGITS ":_.@-") || strchr(DIGITS "-", *unit))
		return NULL;
	return ntd_asprintf("%s%s", unit, has_type(unit) ? "" : ".service");
}

static char *unit_observed(const void *arg)
{
	const struct unit_wait *wait = arg;

	return ntd_strdup(wait->seen ? wait->seen : "nothing");
}

static char *unit_met(const void *arg)
{
	const struct unit_wait *wait = arg;

	return wait->seen ? ntd_strdup(wait->seen) : NULL;
}

int ntd_machine_wait_for_unit(struct ntd_machine *machine, const char *unit, const char *user,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for unit %s%s%s", unit,
						 user ? " with user " : "", user ? user : "");
	struct unit_wait wait = {.wait = {.step = step,
					  .attempt = try_unit,
					  .observed = unit_observed,
					  .met = unit_met,
					  .arg = &wait,
					  .pace = NTD_PACE_ADAPTIVE,
					  .timeout = timeout,
					  .machine = machine},
				 .unit = unit,
				 .user = user};
	_cleanup_free_ char *name = full_name(unit);
	struct ntd_error *error = NULL;

	if (name && (!user || consists_of(user, LETTERS DIGITS "_.-")))
		wait.awaited = (struct ntd_awaited){
			.condition = {.kind = NTD_CONDITION_UNIT, .subject = name, .user = user},
			.fickle = true};
	ntd_machine_wait(&wait.wait, waiter, &error);
	if (error && wait.ended)
		ntd_unit_evidence_name(machine, unit, user, waiter, error);
	free(wait.seen);
	return error ? ntd_error_move(err, error) : 0;
}

/* Whether the unit is in the required state. An answer without a state is no answer. */
static int try_state(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct unit_wait *wait = arg;
	_cleanup_properties_ struct ntd_properties info = {0};
	const char *state;

	if (ntd_machine_unit_info(wait->wait.machine, wait->unit, NULL, &info, waiter, err) < 0)
		return -1;
	state = ntd_properties_get(&info, "ActiveState");
	if (!state && !last)
		return NTD_NOT_YET;
	if (state && !strcmp(state, wait->wanted))
		return NTD_HOLDS;
	/* The doubled word is what scripts match on. */
	return ntd_error_set(err, NTD_E_ASSERTION,
			     "Expected unit '%s' to to be in state '%s' but it is in state '%s'",
			     wait->unit, wait->wanted, state ? state : "unknown");
}

int ntd_machine_require_unit_state(struct ntd_machine *machine, const char *unit, const char *state,
				   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(
		ntd_machine_report(machine), NTD_STEP_CHECK, ntd_machine_name(machine),
		"checking if unit '%s' has reached state '%s'", unit, state);
	struct unit_wait wait = {.wait = {.attempt = try_state,
					  .arg = &wait,
					  .pace = NTD_PACE_ADAPTIVE,
					  .timeout = STATE_PATIENCE,
					  .machine = machine},
				 .unit = unit,
				 .wanted = state};
	int result = ntd_retry(&wait.wait, waiter, err);

	ntd_nest_end(&nest, result < 0);
	return result;
}
