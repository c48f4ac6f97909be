/* Tests that a killed driver or keeper process leaves no process behind. This program starts itself
 * again as the driver, with the name of a role as its argument.
 */
#include "process_fixture.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PATIENCE (10 * NTD_SECOND)

extern char **environ;

/* ---- roles: programs with a keeper of their own, which write "." when they are ready */

static int be_ready(void)
{
	return write(STDOUT_FILENO, ".", 1) == 1 ? 0 : 1;
}

/* A driver with two families of processes, which waits to be killed. */
static int role_driver(const char *sweep)
{
	set_up_loop(NULL);
	for (int i = 0; i < 2; i++)
		await_states(spawn(FAMILY "wait"), "r");
	for (const char *const *name = (const char *const[]){"/file", "/sockets", "/other", NULL};
	     *name; name++) {
		_cleanup_free_ char *path = ntd_asprintf("%s%s", sweep, *name);

		ntd_keeper_sweep(&keeper, path);
	}
	return be_ready() || pause();
}

/* A script that writes its process id to the file "term" on SIGTERM, and ends once there is a file
 * "go". */
#define POLITE                                                                                     \
	"trap 'echo $$ >term; while [ ! -e go ]; do sleep 0.05; done; : >cleaned; exit' TERM; "
/* A script that makes a file on SIGTERM and does not end. */
#define ASKED "trap ': >asked' TERM; "
#define DEAF "trap '' TERM; "
#define STAY "echo; while :; do sleep 0.05; done"

/* Starts a script with a grace of `grace` seconds, and waits until the script has set its trap. */
static void spawn_with_grace(const char *script, const char *directory, unsigned grace)
{
	struct watch *watch = watch_new();
	int pair[2];
	char byte;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	watch->fds[1] = pair[1];
	watch->directory = directory;
	watch->grace = grace;
	spawn_by(watch, script, spawn_now);
	assert_int_equal(read(pair[0], &byte, 1), 1);
}

/* A driver that waits to be killed, with processes that have a grace and one that has none. */
static int role_driver_with_grace(const char *directory)
{
	_cleanup_free_ char *swept = ntd_asprintf("%s/swept", directory);

	set_up_loop(NULL);
	ntd_keeper_sweep(&keeper, swept);
	spawn_with_grace(POLITE STAY, directory, 60000);
	spawn_with_grace(ASKED STAY, directory, 0);
	spawn_with_grace(DEAF FAMILY STAY, directory, 200);
	return be_ready() || pause();
}

/* A driver whose keeper is killed while it starts two more processes: the driver is told the end of
 * all of them. */
static int role_keeper_killed(const char *unused)
{
	struct watch *running, *first, *second;

	set_up_loop(NULL);
	running = spawn(FAMILY "wait");
	await_states(running, "r");
	kill(keeper.pid, SIGSTOP);
	first = spawn("sleep 1000");
	second = spawn("sleep 1000");
	kill(keeper.pid, SIGKILL);
	await_states(running, "rEG");
	await_states(first, "EG");
	await_states(second, "EG");
	running->argv = (char *[]){(char *)"true", NULL};
	ntd_loop_call(loop, spawn_now, running); /* fails at once */
	return running->error ? be_ready() : 1;
}

/* A driver started with `<&- >&-`, so that the numbers of the standard descriptors are free. */
static int role_closed(const char *ready)
{
	set_up_loop(NULL);
	await_states(spawn("exit 0"), "rEG");
	return open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static const struct role {
	const char *name;
	int (*run)(const char *argument);
} roles[] = {
	{"driver", role_driver},
	{"driver-with-grace", role_driver_with_grace},
	{"keeper-killed", role_keeper_killed},
	{"closed", role_closed},
};

/* Starts this program again in a role, with the read end of its output in *output (-1: closed). */
static pid_t start_role(const char *role, const char *argument, int *output)
{
	char *const argv[] = {(char *)"/proc/self/exe", (char *)role, mark, (char *)argument, NULL};
	posix_spawn_file_actions_t files;
	int pair[2];
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	if (*output == -1) {
		posix_spawn_file_actions_addclose(&files, 0);
		posix_spawn_file_actions_addclose(&files, 1);
	} else {
		posix_spawn_file_actions_adddup2(&files, pair[1], STDOUT_FILENO);
	}
	assert_int_equal(posix_spawn(&pid, argv[0], &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	close(pair[1]);
	*output = pair[0];
	return pid;
}

static int run_role(const char *role, const char *the_mark, const char *argument)
{
	snprintf(mark, sizeof mark, "%s", the_mark);
	if (ntd_keeper_start(&keeper, NULL) < 0)
		return 1;
	for (size_t i = 0; i < unit_count(roles); i++)
		if (!strcmp(roles[i].name, role))
			_exit(roles[i].run(argument));
	return 1;
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
}

static void make_file(const char *path)
{
	close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static bool await_access(const char *path, int result, int64_t patience)
{
	int64_t deadline = ntd_after(patience);

	while (access(path, F_OK) != result && ntd_now() < deadline)
		ntd_wait_until(ntd_after(10 * NTD_MS), NULL, NULL);
	return access(path, F_OK) == result;
}

static bool await_missing(const char *path)
{
	return await_access(path, -1, 2 * NTD_SECOND);
}

static void a_killed_driver_leaves_nothing(void **state)
{
	char base[] = "/tmp/ntd-sweep-XXXXXX", byte;
	int output = 0;
	pid_t driver;

	assert_non_null(mkdtemp(base));
	assert_int_equal(chdir(base), 0);
	make_file("file");
	assert_int_equal(mkdir("sockets", 0700) | mkdir("other", 0700), 0);
	make_socket("sockets/a");
	make_socket("sockets/b");
	make_socket("other/socket");
	make_file("other/file");
	driver = start_role("driver", base, &output);
	assert_int_equal(read(output, &byte, 1), 1);
	assert_true(await_marked(mark, 2 * FAMILY_SIZE, PATIENCE));
	assert_int_equal(access("file", F_OK), 0);
	kill(driver, SIGKILL);
	assert_int_equal(waitpid(driver, NULL, 0), driver);
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
	assert_true(await_missing("file"));
	assert_true(await_missing("sockets"));
	assert_true(await_missing("other/socket"));
	assert_int_equal(access("other/file", F_OK), 0); /* not asked for */
	close(output);
	unlink("other/file");
	rmdir("other");
	assert_int_equal(chdir("/") | rmdir(base), 0);
}

/* Kills a driver; `directory` is the current directory and has only a file "swept" then. */
static void kill_a_driver_with_grace(const char *directory)
{
	int output = 0;
	pid_t driver;
	char byte;

	assert_int_equal(chdir(directory), 0);
	make_file("swept");
	driver = start_role("driver-with-grace", directory, &output);
	assert_int_equal(read(output, &byte, 1), 1);
	close(output);
	kill(driver, SIGKILL);
	assert_int_equal(waitpid(driver, NULL, 0), driver);
	assert_true(await_access("term", 0, PATIENCE));
}

static void remove_directory(const char *directory)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void a_process_with_a_grace_ends_by_itself_when_the_driver_is_killed(void **state)
{
	char directory[] = "/tmp/ntd-grace-XXXXXX";
	int64_t deadline = ntd_after(PATIENCE);

	assert_non_null(mkdtemp(directory));
	kill_a_driver_with_grace(directory);
	while (count_marked(mark) > 2 && ntd_now() < deadline) /* the shell and its sleep */
		ntd_wait_until(ntd_after(10 * NTD_MS), NULL, NULL);
	assert_in_range(count_marked(mark), 1, 2);
	assert_int_equal(access("cleaned", F_OK), -1);
	assert_int_equal(access("swept", F_OK),
			 0); /* sweeping waits for the end of all processes */
	make_file("go");
	assert_true(await_marked(mark, 0, PATIENCE));
	assert_true(await_missing("swept"));
	assert_int_equal(access("asked", F_OK), -1);
	assert_int_equal(unlink("cleaned") | unlink("term") | unlink("go"), 0);
	remove_directory(directory);
}

static void sigterm_to_a_guard_ends_the_grace(void **state)
{
	char directory[] = "/tmp/ntd-grace-XXXXXX";
	FILE *term;
	int pid;

	assert_non_null(mkdtemp(directory));
	kill_a_driver_with_grace(directory);
	term = fopen("term", "r");
	while (fscanf(term, "%d", &pid) != 1) /* until the number is written */
		rewind(term);
	fclose(term);
	assert_int_equal(kill(parent_of(pid), SIGTERM), 0);
	assert_true(await_marked(mark, 0, PATIENCE));
	assert_true(await_missing("swept"));
	assert_int_equal(access("cleaned", F_OK), -1);
	assert_int_equal(unlink("term"), 0);
	remove_directory(directory);
}

static void a_killed_keeper_takes_everything_with_it(void **state)
{
	char byte;
	int output = 0;
	pid_t driver = start_role("keeper-killed", "", &output);

	assert_int_equal(read(output, &byte, 1), 1);
	assert_int_equal(waitpid(driver, NULL, 0), driver);
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
	close(output);
}

static void closed_standard_descriptors_do_no_harm(void **state)
{
	char directory[] = "/tmp/ntd-closed-XXXXXX", path[64];
	int output = -1, status;
	pid_t driver;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/ready", directory);
	driver = start_role("closed", path, &output);
	assert_int_equal(waitpid(driver, &status, 0), driver);
	close(output);
	unlink(path);
	rmdir(directory);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		process_test(a_killed_driver_leaves_nothing),
		process_test(a_process_with_a_grace_ends_by_itself_when_the_driver_is_killed),
		process_test(sigterm_to_a_guard_ends_the_grace),
		process_test(a_killed_keeper_takes_everything_with_it),
		process_test(closed_standard_descriptors_do_no_harm),
	};

	return argc == 4 ? run_role(argv[1], argv[2], argv[3]) : run_process_tests(tests);
}
