/* An SSH channel into this host: its guest is the real sshd, which a thread of the test starts for
 * each connection, as inetd would. Files that sshd wants in /run and /etc are in a mount namespace
 * of the test program, so the tests need root.
 */
#pragma once

#include "command_fixture.h"

#include "base/fd.h"
#include "base/tree.h"
#include "ssh/key.h"
#include "ssh/ssh.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The password of root and of the user guest, "sesame", and the latter's account. */
#define PASSWORD "sesame"
#define PASSWORD_HASH                                                                              \
	"$6$ntdunit$4gsOcLyApFCZlHHjAGvwcnhF.GTOjJGNeUWYLpSB7uwpqr5kOVSdsX3gB9jaajjWVf7q5dHqeLVv"  \
	"jV7pCrLkS0"
#define GUEST_UID 4242

enum { MOST_SESSIONS = 64, LONG = 60 /* seconds until a test is given up */ };

/* What the server does with a connection. */
enum treatment { SERVE, CLOSE, STAY_SILENT };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_sink recorder;
	struct ntd_buf log; /* a line for each line of standard error; the report's writer's */
	struct ntd_ssh *ssh;
	struct ntd_channel *channel;
	char directory[64], host_key[96], user_key[96], other_key[96];
	int listener, stop, silent[MOST_SESSIONS];
	unsigned port;
	pthread_t server;
	_Atomic enum treatment treatment;
	_Atomic int accepted, sessions;
	_Atomic pid_t pids[MOST_SESSIONS];
	sem_t ready, lost, refused;
	struct ntd_error *refusal;
};

/* ---- the server */

static inline void serve(struct fixture *fixture, int connection)
{
	_cleanup_free_ char *config = ntd_asprintf("%s/sshd_config", fixture->directory);
	_cleanup_free_ char *log = ntd_asprintf("%s/sshd.log", fixture->directory);
	char *const argv[] = {(char *)"sshd", (char *)"-i", (char *)"-e",
			      (char *)"-f",   config,       NULL};
	char *const env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid = 0;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, connection, 0);
	posix_spawn_file_actions_adddup2(&files, connection, 1);
	posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	if (posix_spawn(&pid, "/usr/sbin/sshd", &files, &attributes, argv, env) == 0)
		fixture->pids[fixture->sessions++] = pid;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
}

static inline void *accept_all(void *arg)
{
	struct fixture *fixture = arg;
	struct pollfd fds[] = {{.fd = fixture->listener, .events = POLLIN},
			       {.fd = fixture->stop, .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		int connection = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0)
			continue;
		if (fixture->treatment == SERVE && fixture->sessions < MOST_SESSIONS)
			serve(fixture, connection);
		if (fixture->treatment == STAY_SILENT && fixture->accepted < MOST_SESSIONS)
			fixture->silent[fixture->accepted] = connection;
		else
			close(connection);
		fixture->accepted++;
	}
	return NULL;
}

/* Begins to listen; before, connections are refused. */
static inline void start_server(struct fixture *fixture)
{
	assert_int_equal(listen(fixture->listener, 16), 0);
	pthread_create(&fixture->server, NULL, accept_all, fixture);
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ntd_fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* Configures the sshd of the connections that follow. sshd takes the first value of each option. */
static inline void configure(struct fixture *fixture, const char *host_key, const char *more)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/sshd_config", fixture->directory);
	_cleanup_free_ char *text = ntd_asprintf(
		"%s\nHostKey %s\nAuthorizedKeysFile %s.pub\nStrictModes no\nUsePAM no\nUseDNS no\n"
		"PidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
		more, host_key, fixture->user_key);

	write_file(path, text);
}

static inline pid_t last_session(struct fixture *fixture)
{
	return fixture->pids[fixture->sessions - 1];
}

/* ---- the channel's owner */

static inline void on_ready(void *owner, struct ntd_channel *channel, const char *said, size_t len)
{
	sem_post(&((struct fixture *)owner)->ready);
}

static inline void on_lost(void *owner, struct ntd_channel *channel)
{
	sem_post(&((struct fixture *)owner)->lost);
}

static inline void on_refused(void *owner, struct ntd_channel *channel, const struct ntd_error *why)
{
	struct fixture *fixture = owner;

	ntd_error_free(fixture->refusal);
	fixture->refusal = ntd_error_copy(why);
	sem_post(&fixture->refused);
}

static inline void await(sem_t *event)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LONG;
	assert_int_equal(sem_timedwait(event, &limit), 0);
}

static inline void record(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct fixture *fixture = ntd_container_of(sink, struct fixture, recorder);

	ntd_buf_printf(&fixture->log, "%s: %s\n", event->machine ? event->machine : "",
		       event->text);
}

static inline void stop_recording(struct ntd_sink *sink)
{
}

/* What has been logged so far, a new string. */
static inline char *logged(struct fixture *fixture)
{
	assert_true(ntd_report_flush(fixture->report, ntd_after(LONG * NTD_SECOND)));
	return ntd_strndup(ntd_buf_bytes(&fixture->log), fixture->log.len);
}

/* ---- life */

static inline void make_keys(struct fixture *fixture)
{
	struct {
		char *path;
		const char *name;
	} keys[] = {{fixture->host_key, "host"},
		    {fixture->user_key, "user"},
		    {fixture->other_key, "other"}};

	for (size_t i = 0; i < unit_count(keys); i++) {
		struct ntd_error *err = NULL;

		sprintf(keys[i].path, "%s/%s", fixture->directory, keys[i].name);
		free(ntd_ssh_key_make(keys[i].path, keys[i].name, &err));
		assert_no_error(err);
	}
}

static inline void bind_port(struct fixture *fixture)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;

	fixture->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, len), 0);
	getsockname(fixture->listener, (struct sockaddr *)&address, &len);
	fixture->port = ntohs(address.sin_port);
}

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);
	const char *base = getenv("TMPDIR");

	*state = fixture;
	snprintf(fixture->directory, sizeof fixture->directory, "%s/ntd-unit-XXXXXX",
		 base && strlen(base) < 40 ? base : "/tmp");
	assert_non_null(mkdtemp(fixture->directory));
	make_keys(fixture);
	configure(fixture, fixture->host_key, "");
	fixture->stop = eventfd(0, EFD_CLOEXEC);
	bind_port(fixture);
	sem_init(&fixture->ready, 0, 0);
	sem_init(&fixture->lost, 0, 0);
	sem_init(&fixture->refused, 0, 0);
	fixture->loop = ntd_loop_new(NULL);
	fixture->report = ntd_report_new(NULL);
	fixture->recorder = (struct ntd_sink){.event = record, .close = stop_recording};
	ntd_report_add(fixture->report, &fixture->recorder);
	fixture->ssh = ntd_ssh_new(fixture->loop, fixture->report, "server");
	fixture->channel = ntd_ssh_channel(fixture->ssh);
	fixture->channel->owner =
		(struct ntd_channel_owner){on_ready, on_lost, on_refused, fixture};
	ntd_ssh_set_login(fixture->ssh, &(struct ntd_ssh_login){.key = fixture->user_key});
	return 0;
}

static inline void close_ssh(void *arg)
{
	struct fixture *fixture = arg;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	fixture->channel->ops->close(fixture->channel, why);
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, close_ssh, fixture);
	if (fixture->server) {
		eventfd_write(fixture->stop, 1);
		pthread_join(fixture->server, NULL);
	}
	close(fixture->listener);
	close(fixture->stop);
	for (int i = 0; i < MOST_SESSIONS; i++)
		if (fixture->silent[i])
			close(fixture->silent[i]);
	for (int i = 0; i < fixture->sessions; i++) {
		kill(fixture->pids[i], SIGKILL);
		waitpid(fixture->pids[i], NULL, 0);
	}
	ntd_ssh_free(fixture->ssh);
	ntd_report_free(fixture->report);
	ntd_loop_free(fixture->loop);
	ntd_buf_free(&fixture->log);
	ntd_error_free(fixture->refusal);
	ntd_tree_remove(fixture->directory, NULL);
	sem_destroy(&fixture->ready);
	sem_destroy(&fixture->lost);
	sem_destroy(&fixture->refused);
	free(fixture);
	return 0;
}

static inline void open_ssh(void *arg)
{
	struct fixture *fixture = arg;

	ntd_ssh_open(fixture->ssh, "127.0.0.1", fixture->port, NULL);
}

/* Starts the server and connects to it. */
static inline int set_up_connected(void **state)
{
	struct fixture *fixture;

	set_up(state);
	fixture = *state;
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	return 0;
}

/* ---- commands */

static inline struct ntd_channel *channel_of(struct fixture *fixture)
{
	return fixture->channel;
}

/* A command on a thread of its own. */
struct background {
	struct fixture *fixture;
	struct ntd_command command;
	struct ntd_result result;
	struct ntd_error *error;
	pthread_t thread;
};

static inline void *run_background(void *arg)
{
	struct background *background = arg;

	run(background->fixture, &background->command, &background->result, &background->error);
	return NULL;
}

static inline void begin(struct fixture *fixture, struct background *background, const char *text)
{
	*background = (struct background){.fixture = fixture, .command = command_of(text)};
	pthread_create(&background->thread, NULL, run_background, background);
}

static inline void end(struct background *background)
{
	pthread_join(background->thread, NULL);
	ntd_result_free(&background->result);
	ntd_error_free(ntd_steal(&background->error));
}

/* Waits until a command in the guest has made a file. */
static inline void await_file(const char *path)
{
	int64_t limit = ntd_after(LONG * NTD_SECOND);

	while (access(path, F_OK) < 0) {
		assert_true(ntd_now() < limit);
		poll(NULL, 0, 10);
	}
}

/* Waits until no process has the word in its command line. */
static inline void await_absence(const char *word)
{
	_cleanup_free_ char *text = ntd_asprintf("pgrep -f '[%c]%s' > /dev/null", *word, word + 1);
	int64_t limit = ntd_after(LONG * NTD_SECOND);

	while (system(text) == 0) { /* NOLINT(cert-env33-c): the test's own command */
		assert_true(ntd_now() < limit);
		poll(NULL, 0, 50);
	}
}

/* ---- what sshd wants of the host */

static inline bool append_line(const char *from, const char *to, const char *root, const char *line)
{
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	char buffer[1024];

	if (!in || !out)
		return false;
	while (fgets(buffer, sizeof buffer, in))
		fputs(root && strncmp(buffer, "root:", 5) == 0 ? root : buffer, out);
	fputs(line, out);
	fclose(in);
	return fclose(out) == 0 && mount(to, from, NULL, MS_BIND, NULL) == 0;
}

/* Gives this process a /run of its own, a password of root, and a user. */
static inline bool make_host(void)
{
	static const char secret[] = ":" PASSWORD_HASH ":19000:0:99999:7:::\n";
	char root[256], guest[256], account[128];

	snprintf(root, sizeof root, "root%s", secret);
	snprintf(guest, sizeof guest, "guest%s", secret);
	snprintf(account, sizeof account, "guest:x:%d:%d::/tmp:/bin/sh\n", GUEST_UID, GUEST_UID);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, "mode=0755") < 0 || mkdir("/run/sshd", 0755) < 0)
		return false;
	return append_line("/etc/shadow", "/run/shadow", root, guest) &&
	       append_line("/etc/passwd", "/run/passwd", NULL, account);
}

static inline int run_ssh_tests(int (*tests)(void))
{
	if (!make_host()) {
		print_error("root is needed, for a mount namespace: %s\n", strerror(errno));
		return 1;
	}
	return tests();
}

#define ssh_test(name) cmocka_unit_test_setup_teardown(name, set_up_connected, tear_down)
#define ssh_test_later(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
