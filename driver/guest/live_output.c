/* Hands the output of a running command from the loop thread to the script's thread. Each piece
 * that the script takes is also an event of the report.
 */
#include "guest/live_output.h"

#include <errno.h>
#include <sys/eventfd.h>

/* On the loop thread. */
static void arrive(void *owner, const char *bytes, size_t len)
{
	struct ntd_live_output *live = owner;

	pthread_mutex_lock(&live->mutex);
	ntd_buf_append(&live->arrived, bytes, len);
	pthread_mutex_unlock(&live->mutex);
	eventfd_write(live->errand.fd, 1);
}

static void collect(struct ntd_live_output *live)
{
	eventfd_t count;

	eventfd_read(live->errand.fd, &count);
	pthread_mutex_lock(&live->mutex);
	ntd_buf_append(&live->left, ntd_buf_bytes(&live->arrived), live->arrived.len);
	ntd_buf_clear(&live->arrived);
	pthread_mutex_unlock(&live->mutex);
}

static void report(const struct ntd_live_output *live, const char *bytes, size_t len)
{
	ntd_report_emit(ntd_machine_report(live->machine),
			&(struct ntd_event){.kind = NTD_EVENT_OUTPUT,
					    .machine = ntd_machine_name(live->machine),
					    .text = bytes,
					    .text_len = len});
}

/* -1 with *err when the script wants no more. */
static int hand_over(struct ntd_live_output *live, bool last, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	int taken;

	collect(live);
	if (!live->left.len)
		return 0;
	taken = live->take(live->owner, ntd_buf_bytes(&live->left), live->left.len, last, waiter,
			   err);
	if (taken < 0)
		return -1;
	if (taken)
		report(live, ntd_buf_bytes(&live->left), (size_t)taken);
	ntd_buf_consume(&live->left, (size_t)taken);
	return 0;
}

static bool woken(struct ntd_errand *errand, struct ntd_waiter *waiter)
{
	struct ntd_live_output *live = ntd_container_of(errand, struct ntd_live_output, errand);
	_cleanup_error_ struct ntd_error *error = NULL;

	return hand_over(live, false, waiter, &error) < 0;
}

int ntd_live_output_begin(struct ntd_live_output *live, struct ntd_command *command,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	live->errand =
		(struct ntd_errand){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .run = woken};
	if (live->errand.fd < 0)
		return ntd_error_sys(err, errno, "cannot wait for output");
	pthread_mutex_init(&live->mutex, NULL);
	command->on_output = arrive;
	command->output_owner = live;
	waiter->errand = &live->errand;
	return 0;
}

int ntd_live_output_end(struct ntd_live_output *live, int result, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	bool interrupted = result < 0 && (*err)->code == NTD_E_CANCELLED;

	waiter->errand = NULL;
	if (!interrupted && hand_over(live, true, waiter, &error) < 0 && result >= 0)
		result = ntd_error_move(err, ntd_steal(&error));
	ntd_close_fd(&live->errand.fd);
	ntd_buf_free(&live->arrived);
	ntd_buf_free(&live->left);
	pthread_mutex_destroy(&live->mutex);
	return result;
}
