/* Tests of the directory of a VLAN: its lock, and sockets that other processes have left in it. */
#include "test_net_fixture.h"

#include <fcntl.h>
#include <sys/file.h>

/* Binds a socket and closes it, so that the process that has bound it seems to be gone. */
static int bind_socket(const struct fixture *fixture, int type, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", fixture->directory, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void takes_over_a_stale_directory(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client client;
	struct stat status;

	assert_int_equal(mkdir(fixture->directory, 0755), 0);
	close(bind_socket(fixture, SOCK_STREAM, "ctl"));
	close(bind_socket(fixture, SOCK_DGRAM, "001"));
	close(bind_socket(fixture, SOCK_DGRAM, ".123-00000"));
	start(fixture);
	assert_int_equal(stat(fixture->directory, &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0700);
	assert_false(exists(fixture, ".123-00000"));
	assert_int_equal(client_open(&client, fixture->directory, 0), 0);
	client_close(&client);
}

static void leaves_other_files_alone(void **state)
{
	struct fixture *fixture = *state;
	char path[100];

	snprintf(path, sizeof path, "%s/notes", fixture->directory);
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	start(fixture);
	stop(fixture);
	assert_true(exists(fixture, "notes"));
	assert_false(exists(fixture, "ctl"));
	expect_logged(fixture, "vde1.ctl: Directory not empty");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(fixture->directory), 0);
}

static void refuses_a_directory_in_use(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *message =
		ntd_asprintf("%s is in use by process %d", fixture->directory, getpid());
	struct vde_client clients[2];

	start(fixture);
	open_clients(fixture, clients, 2);
	expect_refusal(fixture, fixture->directory, message);
	expect_passage(&clients[0], &clients[1]);
	client_close(&clients[0]);
	assert_int_equal(client_open(&clients[0], fixture->directory, 0), 0);
	client_close(&clients[0]);
	client_close(&clients[1]);
}

/* Another server has the directory: one that does not lock, and one that has locked but does not
 * listen yet. */
static void refuses_a_directory_of_others(void **state)
{
	struct fixture *fixture = *state;
	int control, lock;

	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	control = bind_socket(fixture, SOCK_STREAM, "ctl");
	assert_int_equal(listen(control, 1), 0);
	expect_refusal(fixture, fixture->directory, "is in use by process");
	close(control);

	lock = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	expect_refusal(fixture, fixture->directory, "is in use by another process");
	assert_true(exists(fixture, "ctl"));
	close(lock);
	start(fixture);
}

static void refuses_bad_paths(void **state)
{
	struct fixture *fixture = *state;
	char path[NTD_VLAN_DIRECTORY_MAX + 2] = "/tmp/";
	struct ntd_error *error = NULL;

	memset(path + 5, 'd', NTD_VLAN_DIRECTORY_MAX - 4);
	expect_refusal(fixture, path, "has 93 bytes; at most 92");
	expect_refusal(fixture, "vde1.ctl", "the directory vde1.ctl is not absolute");

	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, "/nonexistent/1", &error));
	assert_error(error, NTD_E_SYS, "cannot make the directory /nonexistent/1: No such file");
	error = NULL;
	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, "/dev/null", &error));
	assert_error(error, NTD_E_SYS, "cannot open the directory /dev/null: Not a directory");
}

/* The longest possible directory leaves room for the names of its sockets. */
static void serves_in_the_longest_directory(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client client;
	size_t len = strlen(fixture->base);

	strcpy(fixture->directory, fixture->base);
	memset(fixture->directory + len, 'd', NTD_VLAN_DIRECTORY_MAX - len);
	fixture->directory[len] = '/';
	start(fixture);
	assert_int_equal(client_open(&client, fixture->directory, 0), 0);
	client_close(&client);
}

static void refuses_a_directory_of_another_user(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0) {
		print_message("SKIPPED: only root can give a directory away\n");
		skip();
	}
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	assert_int_equal(chown(fixture->directory, 1, 1), 0);
	expect_refusal(fixture, fixture->directory, "vde1.ctl belongs to user 1");
	assert_int_equal(rmdir(fixture->directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(takes_over_a_stale_directory),
		test(leaves_other_files_alone),
		test(refuses_a_directory_in_use),
		test(refuses_a_directory_of_others),
		test(refuses_bad_paths),
		test(serves_in_the_longest_directory),
		test(refuses_a_directory_of_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
