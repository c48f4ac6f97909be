/* Tests of what a guest is told when it has gone back to an earlier state: the payload and the
 * service of the agent, agent/refresh.c. What the service asks of the kernel is noted here and not
 * done: it would be done to the host.
 */
#include "agent_fixture.h"

#include "agent/refresh.h"

#include <errno.h>
#include <sys/mman.h>

/* Shared with the agent's process. */
static struct notes {
	struct timespec time;
	char seed[NTD_REFRESH_SEED_MOST];
	size_t seed_len;
	int clock, random; /* what the kernel answers */
} * notes;

int ntd_agent_set_clock(const struct timespec *time)
{
	notes->time = *time;
	return notes->clock;
}

int ntd_agent_stir_random(const char *seed, size_t len)
{
	memcpy(notes->seed, seed, len);
	notes->seed_len = len;
	return notes->random;
}

/* ---- the payload */

static bool unpacks(int64_t seconds, long nanoseconds, size_t seed_len)
{
	static const char seed[NTD_REFRESH_SEED_MOST + 1];
	const struct ntd_refresh refresh = {
		.time = {seconds, nanoseconds}, .seed = seed, .seed_len = seed_len};
	_cleanup_buf_ struct ntd_buf payload = {0};
	struct ntd_refresh read;

	ntd_refresh_pack(&payload, &refresh);
	return ntd_refresh_unpack(ntd_buf_bytes(&payload), payload.len, &read) &&
	       read.time.tv_sec == seconds && read.time.tv_nsec == nanoseconds &&
	       read.seed_len == seed_len;
}

static void test_limits(void **state)
{
	assert_true(unpacks(0, 0, 1));
	assert_true(unpacks(UINT32_MAX, 999999999, NTD_REFRESH_SEED_MOST));
	assert_false(unpacks(-1, 0, 1));
	assert_false(unpacks(INT64_C(1) << 32, 0, 1));
	assert_false(unpacks(INT64_MAX, 0, 1));
	assert_false(unpacks(1, 1000000000, 1));
	assert_false(unpacks(1, -1, 1));
	assert_false(unpacks(1, 1, 0));
	assert_false(unpacks(1, 1, NTD_REFRESH_SEED_MOST + 1));
}

/* Every beginning of a payload, and one with a byte more, is none. */
static void test_lengths(void **state)
{
	_cleanup_buf_ struct ntd_buf payload = {0};
	struct ntd_refresh refresh = {.time = {1, 2}, .seed = "seed", .seed_len = 4};

	ntd_refresh_pack(&payload, &refresh);
	for (size_t len = 0; len < payload.len; len++)
		assert_false(ntd_refresh_unpack(ntd_buf_bytes(&payload), len, &refresh));
	assert_true(ntd_refresh_unpack(ntd_buf_bytes(&payload), payload.len, &refresh));
	assert_memory_equal(refresh.seed, "seed", 4);
	ntd_pack_u8(&payload, 0);
	assert_false(ntd_refresh_unpack(ntd_buf_bytes(&payload), payload.len, &refresh));
}

/* ---- the service */

static void ask(struct agent *agent, uint32_t stream)
{
	const struct ntd_refresh refresh = {
		.time = {1234567890, 987654321}, .seed = "\0seed", .seed_len = 5};
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_refresh_pack(&payload, &refresh);
	tell(agent, NTD_FRAME_REFRESH, stream, &payload);
}

static void test_the_kernel_is_asked(void **state)
{
	struct agent agent = start_agent();

	ask(&agent, 1);
	assert_int_equal(hear_kind(&agent, NTD_FRAME_DONE, 1).len, 0);
	assert_int_equal(notes->time.tv_sec, 1234567890);
	assert_int_equal(notes->time.tv_nsec, 987654321);
	assert_int_equal(notes->seed_len, 5);
	assert_memory_equal(notes->seed, "\0seed", 5);
	stop_agent(&agent);
}

/* One does not keep the other from being done. */
static void test_the_kernel_refuses(void **state)
{
	struct agent agent = start_agent();

	notes->clock = EPERM;
	ask(&agent, 1);
	hear_failure(&agent, 1, "the clock cannot be set: Operation not permitted");
	assert_int_equal(notes->seed_len, 5);
	notes->clock = 0;
	notes->random = ENOTTY;
	ask(&agent, 2);
	hear_failure(&agent, 2, "random numbers cannot be renewed: Inappropriate ioctl for device");
	assert_int_equal(notes->time.tv_sec, 1234567890);
	stop_agent(&agent);
}

static void test_what_is_none(void **state)
{
	struct agent agent = start_agent();

	tell_bytes(&agent, NTD_FRAME_REFRESH, 1, "\1\2\3", 3);
	hear_failure(&agent, 1, "not a time and a seed");
	assert_int_equal(notes->seed_len, 0);
	ask(&agent, 2);
	hear_kind(&agent, NTD_FRAME_DONE, 2);
	stop_agent(&agent);
}

static int forget(void **state)
{
	*notes = (struct notes){0};
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test_setup(test_the_kernel_is_asked, forget),
		cmocka_unit_test_setup(test_the_kernel_refuses, forget),
		cmocka_unit_test_setup(test_what_is_none, forget),
	};

	notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return notes == MAP_FAILED || cmocka_run_group_tests(tests, NULL, NULL);
}
