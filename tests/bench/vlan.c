/* Measures a VLAN of the driver, and vde_switch --hub beside it where it is installed: frames of
 * 1514 bytes through two ports as fast as they go, what of them is lost, and the round trip of a
 * frame of 64 bytes. Switch, sender and receiver are processes of their own, as they are with QEMU;
 * the clients send and receive frame by frame, as QEMU does.
 *
 * usage: vlan [ROUNDS]     the switches take turns for ROUNDS rounds (3); the table shows medians
 */
#include "net/vlan.h"
#include "../unit/test_net_client.h"

#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { FULL_FRAME = 1514, SMALL_FRAME = 64, TRIPS = 20000, ROUNDS_MAX = 99 };

#define FLOOD_SPAN (1 * NTD_SECOND)

enum measure { FRAMES_PER_SECOND, LOST, ROUND_TRIP, MEASURE_COUNT };

static const struct {
	const char *name;
	int precision;
	double factor;
} measures[MEASURE_COUNT] = {
	[FRAMES_PER_SECOND] = {"1514-byte frames received, 1000/s", 1, 1e-3},
	[LOST] = {"  of those sent, lost, %", 2, 100},
	[ROUND_TRIP] = {"round trip of a 64-byte frame, us", 1, 1e6},
};

/* ---- the switches, each a child process that serves `directory` */

static void serve_ours(const char *directory)
{
	struct ntd_error *error = NULL;
	struct ntd_loop *loop = ntd_loop_new(&error);
	struct ntd_report *report = ntd_report_new(&error);

	if (!ntd_vlan_new(loop, report, 1, directory, &error))
		errx(1, "%s", error->message);
	for (;;)
		pause();
}

static void serve_vde_switch(const char *directory)
{
	int input[2];

	/* vde_switch ends at the end of its standard input. */
	if (pipe(input) < 0 || dup2(input[0], 0) < 0 || !freopen("/dev/null", "w", stdout))
		err(1, "vde_switch");
	execlp("vde_switch", "vde_switch", "--sock", directory, "--dirmode", "0700", "--hub", NULL);
	_exit(127);
}

static const struct {
	const char *name;
	void (*serve)(const char *directory);
} switches[] = {{"driver", serve_ours}, {"vde_switch --hub", serve_vde_switch}};

enum { OURS, VDE_SWITCH, SWITCH_COUNT };

static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Waits until the switch listens; false if it ended instead. */
static bool wait_for_switch(pid_t pid, const char *directory)
{
	for (;;) {
		int fd = connect_control(directory);

		if (fd >= 0) {
			close(fd);
			return true;
		}
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return false;
		usleep(1000);
	}
}

/* ---- the measurements */

static void flood(int fd, _Atomic uint64_t *sent)
{
	static const unsigned char frame[FULL_FRAME];
	uint64_t count = 0;

	for (int64_t end = ntd_after(FLOOD_SPAN); ntd_now() < end;)
		for (int i = 0; i < 64; i++)
			count += send(fd, frame, sizeof frame, 0) == sizeof frame;
	atomic_store(sent, count);
}

static uint64_t count_frames(int fd)
{
	const struct timeval quiet = {.tv_usec = 200000};
	unsigned char frame[FULL_FRAME];
	uint64_t count = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof quiet);
	while (recv(fd, frame, sizeof frame, 0) == sizeof frame)
		count++;
	return count;
}

static void measure_flood(struct vde_client clients[static 2], double *results)
{
	_Atomic uint64_t *sent =
		mmap(NULL, sizeof *sent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t received;
	pid_t sender = spawn();

	if (sender == 0) {
		flood(clients[0].data, sent);
		_exit(0);
	}
	received = count_frames(clients[1].data);
	waitpid(sender, NULL, 0);
	results[FRAMES_PER_SECOND] = (double)received / ntd_seconds(FLOOD_SPAN);
	results[LOST] = 1 - (double)received / (double)*sent;
	munmap(sent, sizeof *sent);
}

static void echo(int fd)
{
	unsigned char frame[SMALL_FRAME];

	while (recv(fd, frame, sizeof frame, 0) == sizeof frame)
		send(fd, frame, sizeof frame, 0);
}

static void measure_trips(struct vde_client clients[static 2], double *results)
{
	unsigned char frame[SMALL_FRAME] = {0};
	pid_t other = spawn();
	int64_t began = ntd_now();

	if (other == 0) {
		echo(clients[1].data);
		_exit(0);
	}
	for (int i = 0; i < TRIPS; i++)
		if (send(clients[0].data, frame, sizeof frame, 0) < 0 ||
		    recv(clients[0].data, frame, sizeof frame, 0) != sizeof frame)
			err(1, "round trip %d", i);
	results[ROUND_TRIP] = ntd_seconds(ntd_now() - began) / TRIPS;
	stop(other);
}

/* Pins the processes, since a round trip takes three times as long or more when other ones of the
 * three share a CPU: the clients run on the first CPU and the switch on the second. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set); /* no effect on a host without that CPU */
}

typedef void measurement(struct vde_client clients[static 2], double *results);

/* Does one measurement with one switch; returns false if the switch is not installed. */
static bool measure(int which, const char *base, measurement *run, bool pinned, double *results)
{
	_cleanup_free_ char *directory = ntd_asprintf("%s/%d.ctl", base, which);
	_cleanup_free_ char *remove = ntd_asprintf("rm -rf '%s'", directory);
	struct vde_client clients[2];
	cpu_set_t before;
	pid_t pid = spawn();

	if (pid == 0) {
		if (pinned)
			pin(1);
		switches[which].serve(directory);
	}
	if (!wait_for_switch(pid, directory))
		return false;
	for (unsigned char i = 0; i < 2; i++)
		if (client_open(&clients[i], directory, i) < 0)
			err(1, "%s: client %u", switches[which].name, i);
	sched_getaffinity(0, sizeof before, &before);
	if (pinned)
		pin(0);
	run(clients, results);
	sched_setaffinity(0, sizeof before, &before);
	client_close(&clients[0]);
	client_close(&clients[1]);
	stop(pid);
	return system(remove) == 0;
}

static bool measure_all(int which, const char *base, double *results)
{
	return measure(which, base, measure_trips, true, results) &&
	       measure(which, base, measure_flood, false, results);
}

/* ---- the table */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double results[][MEASURE_COUNT], int rounds, enum measure measure)
{
	double values[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++)
		values[i] = results[i][measure];
	qsort(values, (size_t)rounds, sizeof *values, compare);
	return values[rounds / 2];
}

static void print_row(enum measure measure, const double *values, bool peer)
{
	int precision = measures[measure].precision;
	double factor = measures[measure].factor;

	printf("%-36s %10.*f", measures[measure].name, precision, values[OURS] * factor);
	if (peer)
		printf(" %18.*f", precision, values[VDE_SWITCH] * factor);
	if (peer && measure != LOST)
		printf(" %8.2f", values[OURS] / values[VDE_SWITCH]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static double results[SWITCH_COUNT][ROUNDS_MAX][MEASURE_COUNT];
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	char base[] = "/tmp/ntd-bench-XXXXXX";
	bool peer = true;

	if (rounds < 1 || rounds > ROUNDS_MAX || !mkdtemp(base))
		errx(2, "usage: vlan [ROUNDS], 1 to %d", ROUNDS_MAX);
	for (int i = 0; i < rounds; i++) {
		measure_all(OURS, base, results[OURS][i]);
		peer = peer && measure_all(VDE_SWITCH, base, results[VDE_SWITCH][i]);
	}
	rmdir(base);
	printf("%-36s %10s", "VLAN, two ports", switches[OURS].name);
	if (peer)
		printf(" %18s %8s\n", switches[VDE_SWITCH].name, "ratio");
	else
		printf("   (%s: not installed)\n", switches[VDE_SWITCH].name);
	for (enum measure m = 0; m < MEASURE_COUNT; m++) {
		double values[SWITCH_COUNT];

		for (int i = 0; i < SWITCH_COUNT; i++)
			values[i] = median(results[i], rounds, m);
		print_row(m, values, peer);
	}
	return 0;
}
