/* Tests of an agent that is saved with its guest and goes on with it, agent_channel/saved.c and
 * refresh.c, and of mounts, which follow then, agent_channel/mount.c. The test plays the agent, the
 * port and the root shell.
 */
#include "agent_call_fixture.h"

#include "agent/refresh.h"

#include <semaphore.h>

#define PATIENCE (600 * NTD_SECOND)

/* ---- the port */

static struct port {
	struct ntd_port port;
	struct ntd_port_user user;
	int closed;
	sem_t opened;
} port;

static void open_port(struct ntd_port *of, const struct ntd_port_user *user)
{
	port.user = *user;
	sem_post(&port.opened);
}

static void close_port(struct ntd_port *of)
{
	port.closed++;
}

static void give_port(void *arg)
{
	static const struct ntd_port_ops ops = {.open = open_port, .close = close_port};

	port = (struct port){.port.ops = &ops};
	sem_init(&port.opened, 0, 0);
	((struct fixture *)arg)->agent->port = &port.port;
}

/* QEMU gives the port, whose other end is the peer from now on. */
static void plugged(void *arg)
{
	struct fixture *fixture = arg;
	int fd;

	ntd_close_fd(&fixture->peer);
	ntd_buf_clear(&fixture->in);
	make_pair(&fd, &fixture->peer);
	port.user.opened(port.user.owner, fd, "name");
}

static void refuse_port(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "the number is taken");

	port.user.failed(port.user.owner, why);
}

/* ---- the machine's side */

static struct ntd_agent_saved saved;
static struct ntd_report *report; /* which nobody reads */
static bool rests;

static void look(void *arg)
{
	rests = ntd_agent_channel_rests(((struct fixture *)arg)->agent, &saved);
}

static void forget(void *arg)
{
	ntd_agent_channel_forget(((struct fixture *)arg)->agent, NULL);
}

static void resume(void *arg)
{
	ntd_agent_channel_resume(((struct fixture *)arg)->agent, &saved);
}

/* A thread that does one thing of a restore. */
struct step {
	struct fixture *fixture;
	const char *shares; /* to be mounted; NULL: none are */
	int64_t refreshes;  /* with this patience; 0: it plugs */
	pthread_t thread;
	struct ntd_error *error;
	int returned;
};

static void *step_main(void *arg)
{
	struct step *step = arg;
	struct ntd_agent_channel *agent = step->fixture->agent;
	struct ntd_channel *channel = ntd_agent_channel_of(agent);

	if (step->shares)
		step->returned = channel->ops->mount(channel, step->shares, NULL, &step->error);
	else if (step->refreshes)
		step->returned =
			ntd_agent_channel_refresh(agent, step->refreshes, NULL, &step->error);
	else
		step->returned = ntd_agent_channel_plug(agent, &saved, NULL, &step->error);
	return NULL;
}

static void step_begin(struct fixture *fixture, struct step *step)
{
	step->fixture = fixture;
	assert_int_equal(pthread_create(&step->thread, NULL, step_main, step), 0);
}

static void step_returns(struct step *step, int returned)
{
	pthread_join(step->thread, NULL);
	assert_no_error(step->error);
	assert_int_equal(step->returned, returned);
}

static void step_fails(struct step *step, enum ntd_errc code, const char *message)
{
	pthread_join(step->thread, NULL);
	assert_int_equal(step->returned, -1);
	assert_error(step->error, code, message);
}

/* The guest has a root shell, and an agent on a port, which has answered seven calls. */
static int set_up_saved(void **state)
{
	int result = set_up_connected(state);
	struct fixture *fixture = *state;

	report = ntd_report_new(NULL);
	ntd_loop_call(fixture->loop, give_port, fixture);
	ntd_agent_channel_set_report(fixture->agent, report);
	fixture->agent->streams = 7;
	ntd_loop_call(fixture->loop, look, fixture);
	assert_true(rests);
	saved.port = 5;
	return result;
}

/* Goes back to the saved state, in which an agent may wait. */
static void go_back(struct fixture *fixture)
{
	struct step plug = {0};

	ntd_loop_call(fixture->loop, forget, fixture);
	assert_int_equal(port.closed, 1);
	step_begin(fixture, &plug);
	sem_wait(&port.opened);
	assert_int_equal(port.user.number, 5);
	ntd_loop_call(fixture->loop, plugged, fixture);
	step_returns(&plug, 0);
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	settle(fixture->loop);
	ntd_loop_call(fixture->loop, resume, fixture);
}

static void agent_refreshes(struct fixture *fixture, uint32_t stream)
{
	struct ntd_frame frame = peer_receive(fixture);

	assert_int_equal(frame.kind, NTD_FRAME_REFRESH);
	assert_int_equal(frame.stream, stream);
	peer_text(fixture, stream, NTD_FRAME_DONE, "");
}

/* ---- tests */

static void only_an_agent_without_work_is_saved(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	assert_int_equal(saved.streams, 7);
	assert_int_equal(saved.version, NTD_AGENT_VERSION);
	probe_begin(fixture, &probe, NULL, "");
	peer_expects(fixture, 8, NTD_FRAME_RUN, "");
	ntd_loop_call(fixture->loop, look, fixture);
	assert_false(rests);
	peer_text(fixture, 8, NTD_FRAME_DONE, "");
	probe_succeeds(&probe, "<done>");
	ntd_loop_call(fixture->loop, look, fixture);
	assert_true(rests);
	assert_int_equal(saved.streams, 8);
	peer_say(fixture->peer, "a part of a frame");
	settle(fixture->loop);
	ntd_loop_call(fixture->loop, look, fixture);
	assert_false(rests);
	ntd_loop_call(fixture->loop, forget, fixture);
	ntd_loop_call(fixture->loop, look, fixture);
	assert_false(rests);
}

/* As in another process, which has asked for nothing yet. */
static void it_is_asked_on_streams_that_are_new_to_it(void **state)
{
	struct fixture *fixture = *state;
	struct step refresh = {.refreshes = PATIENCE};

	fixture->agent->streams = 0;
	go_back(fixture);
	assert_true(fixture->agent->channel.ready);
	assert_false(fixture->agent->launch.may_help);
	step_begin(fixture, &refresh);
	agent_refreshes(fixture, 8);
	step_returns(&refresh, 0);
	assert_int_equal(port.closed, 1);
	assert_int_equal(sem_trywait(&port.opened), -1);
	/* It is one as any other then. */
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	settle(fixture->loop);
	assert_false(fixture->agent->channel.ready);
	assert_true(fixture->agent->launch.may_help);
	assert_int_equal(port.closed, 2);
}

/* The port that was added for it goes, and comes again for another. */
static void another_is_launched(struct fixture *fixture, int64_t patience, bool answers)
{
	struct step refresh = {.refreshes = patience};

	go_back(fixture);
	step_begin(fixture, &refresh);
	assert_int_equal(peer_receive(fixture).kind, NTD_FRAME_REFRESH);
	if (answers)
		peer_text(fixture, 8, NTD_FRAME_FAILED, "no");
	sem_wait(&port.opened);
	assert_true(port.closed >= 2); /* the launch may be given up already */
	assert_int_equal(port.user.number, 0);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	step_fails(&refresh, NTD_E_DEAD, "QEMU has ended");
}

static void another_is_launched_in_the_place_of_one_that_fails(void **state)
{
	another_is_launched(*state, PATIENCE, true);
}

static void another_is_launched_in_the_place_of_one_that_is_silent(void **state)
{
	another_is_launched(*state, 50 * NTD_MS, false);
}

static void one_of_another_version_is_not_asked(void **state)
{
	struct fixture *fixture = *state;

	saved.version++;
	go_back(fixture);
	assert_false(fixture->agent->channel.ready);
	assert_true(fixture->agent->launch.may_help);
	assert_int_equal(port.closed, 2);
}

static void a_port_that_qemu_does_not_give(void **state)
{
	struct fixture *fixture = *state;
	struct step plug = {0}, again = {0};

	ntd_loop_call(fixture->loop, forget, fixture);
	step_begin(fixture, &plug);
	sem_wait(&port.opened);
	ntd_loop_call(fixture->loop, refuse_port, fixture);
	step_fails(&plug, NTD_E_MACHINE, "the number is taken");
	step_begin(fixture, &again);
	sem_wait(&port.opened);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	step_fails(&again, NTD_E_DEAD, "QEMU has ended");
	assert_int_equal(port.closed, 3);
}

/* QEMU ends before it has loaded the state. */
static void a_port_for_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct step plug = {0};
	char byte;

	ntd_loop_call(fixture->loop, forget, fixture);
	step_begin(fixture, &plug);
	sem_wait(&port.opened);
	ntd_loop_call(fixture->loop, plugged, fixture);
	step_returns(&plug, 0);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	assert_int_equal(recv(fixture->peer, &byte, 1, 0), 0);
	assert_int_equal(port.closed, 2);
	ntd_loop_call(fixture->loop, resume, fixture);
	assert_false(fixture->agent->channel.ready);
}

static void a_state_without_an_agent_has_no_port(void **state)
{
	struct fixture *fixture = *state;
	struct step plug = {0};

	saved.port = 0;
	step_begin(fixture, &plug);
	step_returns(&plug, 0);
	assert_int_equal(sem_trywait(&port.opened), -1);
}

/* ---- mounts */

static void the_agent_mounts(void **state)
{
	static const char list[] = "shared /tmp/shared 9p rw\n";
	struct fixture *fixture = *state;
	struct step good = {.shares = list}, bad = {.shares = list}, late = {.shares = list};

	step_begin(fixture, &good);
	peer_expects(fixture, 8, NTD_FRAME_MOUNT, list);
	peer_text(fixture, 8, NTD_FRAME_DONE, "");
	step_returns(&good, 0);
	step_begin(fixture, &bad);
	peer_expects(fixture, 9, NTD_FRAME_MOUNT, list);
	peer_text(fixture, 9, NTD_FRAME_FAILED, "it is gone");
	step_fails(&bad, NTD_E_MACHINE, "machine 'server': it is gone");
	ntd_loop_call(fixture->loop, forget, fixture);
	step_begin(fixture, &late);
	step_returns(&late, 1);
}

static int tear_down_saved(void **state)
{
	int result = tear_down(state);

	ntd_report_free(report);
	return result;
}

#define saved_test(name) cmocka_unit_test_setup_teardown(name, set_up_saved, tear_down_saved)

int main(void)
{
	const struct CMUnitTest tests[] = {
		saved_test(only_an_agent_without_work_is_saved),
		saved_test(it_is_asked_on_streams_that_are_new_to_it),
		saved_test(another_is_launched_in_the_place_of_one_that_fails),
		saved_test(another_is_launched_in_the_place_of_one_that_is_silent),
		saved_test(one_of_another_version_is_not_asked),
		saved_test(a_port_that_qemu_does_not_give),
		saved_test(a_port_for_nothing),
		saved_test(a_state_without_an_agent_has_no_port),
		saved_test(the_agent_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
