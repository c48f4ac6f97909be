/* A fixture with machines whose QEMU is tests/fake/run-fake-vm, below a real keeper process. The
 * environment of the start script orders faults; run-fake-vm lists them. The tests run in the
 * project's root, as by `make unit`.
 */
#pragma once

#include "marked.h"

#include "base/text.h"
#include "base/tree.h"
#include "guest/command.h"
#include "machine/qemu.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

#define PATIENCE (10 * NTD_SECOND)

static struct ntd_keeper keeper; /* forked at the beginning of main() */

enum { MOST_MACHINES = 3 };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_environment *environment;
	struct ntd_sink recorder;
	struct ntd_buf log; /* a line for each message and step */
	struct ntd_children *children;
	char base[64], mark[64];
	struct ntd_machine_context context;
	struct ntd_machine *machines[MOST_MACHINES];
	const char *faults[8]; /* for the environment of the next start, of `faulty` only */
	const struct ntd_machine *faulty;
};

static inline void record(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct fixture *fixture = ntd_container_of(sink, struct fixture, recorder);

	if (event->kind != NTD_EVENT_NEST_END && event->kind != NTD_EVENT_SERIAL)
		ntd_buf_printf(&fixture->log, "%s: %s\n", event->machine ? event->machine : "",
			       event->text);
}

static inline void stop_recording(struct ntd_sink *sink)
{
}

/* ---- machines */

struct hook {
	struct fixture *fixture;
	const struct ntd_machine *machine;
};

static inline char **environment(void *owner)
{
	const struct hook *hook = owner;
	struct fixture *fixture = hook->fixture;
	char **env = ntd_calloc(4 + unit_count(fixture->faults), sizeof *env);
	size_t count = 0;

	env[count++] = ntd_strdup(fixture->mark);
	env[count++] = ntd_asprintf("PATH=%s", getenv("PATH"));
	env[count++] = ntd_strdup("DISPLAY=:0");
	for (size_t i = 0; fixture->faulty == hook->machine && fixture->faults[i]; i++)
		env[count++] = ntd_strdup(fixture->faults[i]);
	return env;
}

/* Makes a machine with this start command, or with the fake's if the command is NULL. */
static inline struct ntd_machine *machine_new(struct fixture *fixture, const char *name,
					      const char *script)
{
	static struct hook hooks[MOST_MACHINES];
	char fake[PATH_MAX];
	struct ntd_error *err = NULL;
	size_t i = 0;

	if (!realpath("tests/fake/run-fake-vm", fake))
		fail_msg("not in the project's root, or no tests/fake/run-fake-vm");
	while (fixture->machines[i])
		i++;
	fixture->machines[i] = ntd_machine_new(&fixture->context, &ntd_qemu_kind, name,
					       script ? script : fake, false, &err);
	assert_no_error(err);
	hooks[i] = (struct hook){fixture, fixture->machines[i]};
	ntd_machine_set_hooks(
		fixture->machines[i],
		&(struct ntd_machine_hooks){.environment = environment, .owner = &hooks[i]});
	return fixture->machines[i];
}

/* Gives the next starts of `machine` these variables; a NULL ends them. */
#define order_faults(fixture, machine, ...)                                                        \
	do {                                                                                       \
		const char *const faults_[] = {__VA_ARGS__, NULL};                                 \
		memset((fixture)->faults, 0, sizeof(fixture)->faults);                             \
		memcpy((fixture)->faults, faults_, sizeof faults_);                                \
		(fixture)->faulty = machine;                                                       \
	} while (0)

static inline void assert_state(struct ntd_machine *machine, enum ntd_machine_state state)
{
	assert_string_equal(ntd_machine_state_name(ntd_machine_status(machine).state),
			    ntd_machine_state_name(state));
}

static inline int try_command(struct ntd_machine *machine, const char *text,
			      struct ntd_result *result, struct ntd_error **err)
{
	struct ntd_command command = {.text = text, .text_len = strlen(text), .timeout = -1};

	return ntd_machine_run(machine, &command, result, NULL, err);
}

static inline void assert_output(struct ntd_machine *machine, const char *text, const char *output)
{
	struct ntd_result result = {0};
	struct ntd_error *err = NULL;
	_cleanup_free_ char *actual = NULL;

	try_command(machine, text, &result, &err);
	actual = ntd_buf_take_string(&result.output);
	assert_no_error(err);
	assert_string_equal(actual, output);
	assert_int_equal(result.status, 0);
}

static inline void start(struct ntd_machine *machine)
{
	struct ntd_error *err = NULL;

	ntd_machine_start(machine, false, NULL, &err);
	assert_no_error(err);
}

static inline void connect_shell(struct ntd_machine *machine)
{
	struct ntd_error *err = NULL;

	ntd_machine_connect(machine, NULL, &err);
	assert_no_error(err);
}

static inline int count_logged(struct fixture *fixture, const char *line)
{
	const char *log, *end;
	int count = 0;

	assert_true(ntd_report_flush(fixture->report, ntd_after(PATIENCE)));
	log = ntd_buf_bytes(&fixture->log);
	end = log + fixture->log.len;
	for (; (log = ntd_find(log, (size_t)(end - log), line)); log += strlen(line))
		count++;
	return count;
}

/* Asserts that the log has `line`. */
static inline void assert_logged(struct fixture *fixture, const char *line)
{
	if (!count_logged(fixture, line))
		fail_msg("no \"%s\" in:\n%.*s", line, (int)fixture->log.len,
			 ntd_buf_bytes(&fixture->log));
}

/* ---- what QEMU tells */

/* Has QEMU write the line to QMP, which a command of the fake does by descriptor 21. */
static inline void qemu_writes(struct ntd_machine *machine, const char *line)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/fd/21", ntd_machine_status(machine).pid);
	_cleanup_free_ char *text = ntd_asprintf("%s\n", line);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Waits until `count` events are queued for scripts, of which the driver has heard before. */
static inline void await_events(struct ntd_machine *machine, size_t count)
{
	while (ntd_qmp_count_events(ntd_machine_qmp(machine)) < count)
		;
}

/* ---- around tests */

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);
	static int number;

	snprintf(fixture->base, sizeof fixture->base, "/tmp/ntd-life-XXXXXX");
	snprintf(fixture->mark, sizeof fixture->mark, "NTD_TEST_MARK=%d.%d", getpid(), number++);
	fixture->loop = ntd_loop_new(NULL);
	fixture->report = ntd_report_new(NULL);
	fixture->recorder = (struct ntd_sink){.event = record, .close = stop_recording};
	ntd_report_add(fixture->report, &fixture->recorder);
	fixture->children = ntd_children_new(fixture->loop, &keeper, NULL);
	*state = fixture;
	if (!mkdtemp(fixture->base) || !fixture->children)
		return -1;
	fixture->environment = ntd_environment_new(environ);
	fixture->context = (struct ntd_machine_context){.loop = fixture->loop,
							.environment = fixture->environment,
							.children = fixture->children,
							.report = fixture->report,
							.tmp_dir = fixture->base,
							.socket_dir = fixture->base,
							.out_dir = fixture->base,
							.boot_timeout = 20,
							.time_scale = 1,
							.no_agent = true};
	return 0;
}

/* Asserts that no process of the test is left. */
static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;
	bool gone;

	for (size_t i = 0; i < MOST_MACHINES; i++)
		if (fixture->machines[i]) {
			ntd_machine_release(fixture->machines[i], 0, NTD_FOREVER);
			ntd_machine_wait_gone(fixture->machines[i], ntd_after(PATIENCE));
			ntd_machine_free(fixture->machines[i]);
		}
	gone = await_marked(fixture->mark, 0, 2 * NTD_SECOND);
	ntd_children_free(fixture->children);
	ntd_loop_free(fixture->loop);
	ntd_report_free(fixture->report);
	ntd_environment_free(fixture->environment);
	ntd_buf_free(&fixture->log);
	ntd_tree_remove(fixture->base, NULL);
	free(fixture);
	return gone ? 0 : -1;
}

#define life_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The last two steps of main(): a keeper, and the tests. */
#define run_life_tests(tests)                                                                      \
	({                                                                                         \
		int failed_ = ntd_keeper_start(&keeper, NULL) < 0;                                 \
		failed_ = failed_ ? failed_ : cmocka_run_group_tests(tests, NULL, NULL);           \
		ntd_keeper_stop(&keeper, NTD_FOREVER);                                             \
		failed_;                                                                           \
	})
