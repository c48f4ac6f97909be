/* A root shell whose other end is a real bash of this host, started as a guest's is: standard input
 * and output are the channel. The test keeps the guest's end open, too, and sends on it the text of
 * a guest's firmware or init.
 */
#pragma once

#include "command_fixture.h"

#include "channel/shell.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BANNER "Spawning backdoor root shell...\n"

struct fixture {
	struct ntd_loop *loop;
	struct ntd_shell *shell;
	int socket, guest;
	pid_t bash;
	sem_t announced, disconnected;
	char said[256];
	pthread_t thread; /* runs a command in the background */
	bool running;
	struct ntd_command background;
	struct ntd_result result;
	struct ntd_error *error;
	int returned;
};

static inline void on_ready(void *owner, struct ntd_channel *channel, const char *said, size_t len)
{
	struct fixture *fixture = owner;

	snprintf(fixture->said, sizeof fixture->said, "%.*s", (int)len, said);
	sem_post(&fixture->announced);
}

static inline void on_lost(void *owner, struct ntd_channel *channel)
{
	sem_post(&((struct fixture *)owner)->disconnected);
}

static inline void open_shell(void *arg)
{
	struct fixture *fixture = arg;

	ntd_shell_open(fixture->shell, fixture->socket, NULL);
}

static inline void close_shell(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	struct ntd_channel *channel = ntd_shell_channel(((struct fixture *)arg)->shell);

	channel->ops->close(channel, why);
}

/* Starts a bash in a process group of its own, with `path` before PATH. */
static inline void start_bash(struct fixture *fixture, const char *path)
{
	_cleanup_free_ char *variable = ntd_asprintf("PATH=%s:%s", path, getenv("PATH"));
	char *const argv[] = {(char *)"bash", (char *)"--norc", NULL};
	char *const env[] = {variable, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, fixture->guest, 0);
	posix_spawn_file_actions_adddup2(&files, fixture->guest, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	assert_int_equal(posix_spawnp(&fixture->bash, "bash", &files, &attributes, argv, env), 0);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
}

static inline void end_bash(struct fixture *fixture)
{
	if (fixture->bash) {
		kill(-fixture->bash, SIGKILL);
		waitpid(fixture->bash, NULL, 0);
	}
	fixture->bash = 0;
}

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket = pair[0];
	fixture->guest = pair[1];
	fixture->loop = ntd_loop_new(NULL);
	fixture->shell = ntd_shell_new(fixture->loop, "server");
	ntd_shell_channel(fixture->shell)->owner =
		(struct ntd_channel_owner){.ready = on_ready, .lost = on_lost, .owner = fixture};
	ntd_shell_set_grace(fixture->shell, 1);
	sem_init(&fixture->announced, 0, 0);
	sem_init(&fixture->disconnected, 0, 0);
	ntd_loop_call(fixture->loop, open_shell, fixture);
	start_bash(fixture, "/");
	*state = fixture;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	end_bash(fixture);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	if (fixture->running)
		pthread_join(fixture->thread, NULL);
	ntd_result_free(&fixture->result);
	ntd_error_free(fixture->error);
	ntd_shell_free(fixture->shell);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->guest);
	sem_destroy(&fixture->announced);
	sem_destroy(&fixture->disconnected);
	free(fixture);
	return 0;
}

static inline struct ntd_channel *channel_of(struct fixture *fixture)
{
	return ntd_shell_channel(fixture->shell);
}

/* Returns the command that keeps the shell busy, a new string, or NULL. */
static inline char *busy(struct fixture *fixture)
{
	struct ntd_channel *channel = channel_of(fixture);

	return channel->ops->busy(channel);
}

#define shell_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
