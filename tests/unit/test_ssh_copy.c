/* Tests of copies over SSH. */
#include "ssh_fixture.h"

static int copy(struct fixture *fixture, bool put, const char *source, const char *target,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_channel_ops *ops = fixture->channel->ops;

	return (put ? ops->put : ops->get)(fixture->channel, source, target, waiter, err);
}

static void assert_copied(struct fixture *fixture, bool put, const char *source, const char *target)
{
	struct ntd_error *err = NULL;

	copy(fixture, put, source, target, NULL, &err);
	assert_no_error(err);
}

static void files_are_copied(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *source = ntd_asprintf("%s/source", fixture->directory);
	_cleanup_free_ char *there = ntd_asprintf("%s/new/there", fixture->directory);
	_cleanup_free_ char *back = ntd_asprintf("%s/back", fixture->directory);
	_cleanup_free_ char *make = ntd_asprintf(
		"mkdir -p %s/sub; head -c 30000000 /dev/urandom > %s/sub/large; echo x > %s/small;"
		"chmod 750 %s/small; ln -s small %s/link",
		source, source, source, source, source);
	_cleanup_free_ char *compare = ntd_asprintf(
		"diff -r --no-dereference %s %s; stat -c %%a %s/small", source, back, back);

	assert_run(fixture, make, 0, "");
	assert_copied(fixture, true, source, there);
	assert_copied(fixture, false, there, back);
	assert_run(fixture, compare, 0, "750\n");
	assert_fails(copy(fixture, false, "/no/such", back, NULL, &err), NTD_E_MACHINE, "/no/such");
}

/* A copy that waits for the session's next look for life takes nearly a second; a host with much
 * else to do may delay a few of them as long. */
static void a_small_copy_waits_for_nothing(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *source = ntd_asprintf("%s/source", fixture->directory);
	_cleanup_free_ char *target = ntd_asprintf("%s/target", fixture->directory);
	_cleanup_free_ char *make = ntd_asprintf("echo x > %s", source);
	int slow = 0;

	assert_run(fixture, make, 0, "");
	for (int i = 0; i < 20; i++) {
		int64_t began = ntd_now();

		assert_copied(fixture, true, source, target);
		slow += ntd_now() - began > NTD_SECOND / 2;
	}
	assert_true(slow < 5);
}

/* The file at the target appears when it is whole, so it never does. */
static void a_copy_that_is_given_up_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *source = ntd_asprintf("%s/large", fixture->directory);
	_cleanup_free_ char *target = ntd_asprintf("%s/there", fixture->directory);
	_cleanup_free_ char *make =
		ntd_asprintf("head -c 300000000 /dev/urandom > %s; mkdir %s", source, target);
	_cleanup_free_ char *gone = ntd_asprintf(
		"until [ -z \"$(ls -A %s)\" ]; do sleep 0.1; done; echo empty", target);
	_cleanup_free_ char *file = ntd_asprintf("%s/file", target);
	struct ntd_waiter waiter = {0};

	assert_run(fixture, make, 0, "");
	waiter.deadline = ntd_after(300 * NTD_MS);
	assert_fails(copy(fixture, true, source, file, &waiter, &err), NTD_E_TIMEOUT, "timed out");
	assert_run(fixture, gone, 0, "empty\n");
}

struct lost_copy {
	struct fixture *fixture;
	char *source, *target;
	struct ntd_error *error;
};

static void *run_lost_copy(void *arg)
{
	struct lost_copy *lost = arg;

	copy(lost->fixture, true, lost->source, lost->target, NULL, &lost->error);
	return NULL;
}

/* The guest cannot be told while there is no connection; so it is told by the next one. */
static void what_a_lost_copy_leaves_is_removed(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *source = ntd_asprintf("%s/large", fixture->directory);
	_cleanup_free_ char *target = ntd_asprintf("%s/it's there", fixture->directory);
	_cleanup_free_ char *make =
		ntd_asprintf("head -c 300000000 /dev/urandom > %s; mkdir \"%s\"", source, target);
	_cleanup_free_ char *begun = ntd_asprintf(
		"until [ -n \"$(ls -A \"%s\")\" ]; do sleep 0.01; done; ls -A \"%s\" | cut -c1-5",
		target, target);
	_cleanup_free_ char *gone = ntd_asprintf(
		"until [ -z \"$(ls -A \"%s\")\" ]; do sleep 0.1; done; echo empty", target);
	_cleanup_free_ char *file = ntd_asprintf("%s/file", target);
	struct lost_copy lost = {fixture, source, file, NULL};
	struct ntd_command wait = command_of(gone);
	pthread_t thread;

	assert_run(fixture, make, 0, "");
	pthread_create(&thread, NULL, run_lost_copy, &lost);
	assert_run(fixture, begun, 0, ".ntd-\n");
	kill(last_session(fixture), SIGKILL);
	pthread_join(thread, NULL);
	assert_error(lost.error, NTD_E_MACHINE, "the SSH connection to the guest has ended");
	await(&fixture->ready);
	wait.timeout = LONG;
	assert_command(fixture, wait, 0, "empty\n");
}

static int64_t processor_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * NTD_SECOND + time.tv_nsec;
}

struct slow_copy {
	struct fixture *fixture;
	char *source, *target;
};

static void *run_slow_copy(void *arg)
{
	struct slow_copy *slow = arg;

	assert_copied(slow->fixture, true, slow->source, slow->target);
	return NULL;
}

/* Makes the driver's sockets that lead to the server small. */
static void shrink_sockets(const struct fixture *fixture)
{
	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_in peer = {0};
		socklen_t len = sizeof peer;

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
		    ntohs(peer.sin_port) == fixture->port)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){32 << 10}, sizeof(int));
	}
}

/* sshd stands still in the middle, and the sockets take little, so that there are bytes for it that
 * cannot be sent. */
static void a_copy_waits_for_the_guest_at_rest(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *source = ntd_asprintf("%s/large", fixture->directory);
	_cleanup_free_ char *target = ntd_asprintf("%s/there", fixture->directory);
	_cleanup_free_ char *make = ntd_asprintf("head -c 50000000 /dev/urandom > %s", source);
	_cleanup_free_ char *begun =
		ntd_asprintf("until [ -s %s/.ntd-* ]; do sleep 0.01; done", fixture->directory);
	struct slow_copy slow = {fixture, source, target};
	int64_t used;
	pthread_t thread;

	setsockopt(fixture->listener, SOL_SOCKET, SO_RCVBUF, &(int){32 << 10}, sizeof(int));
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	shrink_sockets(fixture);
	assert_run(fixture, make, 0, "");
	pthread_create(&thread, NULL, run_slow_copy, &slow);
	assert_int_equal(system(begun), 0); /* NOLINT(cert-env33-c): the test's own command */
	kill(last_session(fixture), SIGSTOP);
	poll(NULL, 0, 500);
	used = processor_time();
	poll(NULL, 0, 1000);
	used = processor_time() - used;
	kill(last_session(fixture), SIGCONT);
	pthread_join(thread, NULL);
	if (used >= NTD_SECOND / 4)
		fail_msg("%lld ms of work in a second", (long long)(used / NTD_MS));
}

static void an_sshd_without_sftp_is_named(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = ntd_asprintf("%s/sshd_config", fixture->directory);
	_cleanup_free_ char *edit = ntd_asprintf("sed -i /^Subsystem/d %s", path);

	assert_int_equal(system(edit), 0); /* NOLINT(cert-env33-c): the test's own command */
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	assert_fails(copy(fixture, true, path, "/tmp/never", NULL, &err), NTD_E_MACHINE, "no SFTP");
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		ssh_test(files_are_copied),
		ssh_test(a_small_copy_waits_for_nothing),
		ssh_test(a_copy_that_is_given_up_leaves_nothing),
		ssh_test(what_a_lost_copy_leaves_is_removed),
		ssh_test_later(a_copy_waits_for_the_guest_at_rest),
		ssh_test_later(an_sshd_without_sftp_is_named),
	};

	return cmocka_run_group_tests_name("ssh_copy", all, NULL, NULL);
}

int main(void)
{
	return run_ssh_tests(tests);
}
