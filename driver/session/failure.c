/* Evidence of all machines is collected at the same time, by a thread for each machine: collecting
 * it from one machine is a sequence of waits. The calling thread waits for them by a request that
 * completes when the last has ended; if that wait is interrupted, an eventfd cancels the waits of
 * the threads.
 */
#include "session/failure.h"

#include "base/text.h"
#include "base/thread.h"
#include "guest/evidence.h"
#include "guest/unit_evidence.h"
#include "session/kept.h"

#include <dirent.h>
#include <string.h>
#include <sys/eventfd.h>

struct collection {
	struct ntd_request request; /* is complete when no thread runs any more */
	struct ntd_loop *loop;
	struct ntd_waiter limits; /* what is the same for all threads */
	size_t running;           /* loop thread */
	bool begun;
};

struct collector {
	struct collection *collection;
	struct ntd_machine *machine;
	char *directory;
	pthread_t thread;
	bool started;
};

/* ---- where to */

static char *failure_directory(const char *output_dir)
{
	return ntd_asprintf("%s/failure", output_dir);
}

/* Named after the machine, unless that name would lead elsewhere, or to the kept state; machines of
 * one name get numbers. */
static char *machine_directory(const struct ntd_failure *failure, size_t index)
{
	const char *name = ntd_machine_name(failure->machines[index]);
	_cleanup_free_ char *base = failure_directory(failure->output_dir);
	const char *dot = *name == '.' || !strcmp(name, "snapshot") ? "_" : "";
	size_t same = 1;

	for (size_t i = 0; i < index; i++)
		same += !strcmp(ntd_machine_name(failure->machines[i]), name);
	if (same > 1)
		return ntd_asprintf("%s/%s%s-%zu", base, dot, name, same);
	return ntd_asprintf("%s/%s%s", base, dot, name);
}

/* ---- the threads */

static void ended(void *arg)
{
	struct collection *collection = arg;

	if (!--collection->running && collection->begun)
		ntd_request_complete(&collection->request, NULL);
}

static void begin(struct ntd_request *request)
{
	struct collection *collection = ntd_container_of(request, struct collection, request);

	collection->begun = true;
	if (!collection->running)
		ntd_request_complete(request, NULL);
}

static void abandon(struct ntd_request *request)
{
	ntd_container_of(request, struct collection, request)->begun = false;
}

static void *collector_main(void *arg)
{
	struct collector *collector = arg;
	struct ntd_waiter limits = collector->collection->limits;

	limits.deadline = ntd_after(ntd_machine_collect_patience(collector->machine));
	ntd_machine_collect(collector->machine, collector->directory, 0, &limits);
	ntd_loop_call(collector->collection->loop, ended, collector->collection);
	return NULL;
}

/* Makes a collector for each machine that was started, *count in all. */
static struct collector *assign(const struct ntd_failure *failure, struct collection *collection,
				size_t *count)
{
	struct collector *collectors = ntd_calloc(failure->count, sizeof *collectors);

	*count = 0;
	for (size_t i = 0; i < failure->count; i++)
		if (ntd_machine_was_started(failure->machines[i]))
			collectors[(*count)++] =
				(struct collector){.collection = collection,
						   .machine = failure->machines[i],
						   .directory = machine_directory(failure, i)};
	return collectors;
}

static int run_collectors(struct collection *collection, struct collector *collectors, size_t count,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	collection->running = count;
	for (size_t i = 0; i < count; i++) {
		collectors[i].started = ntd_thread_start(&collectors[i].thread, "collect",
							 collector_main, &collectors[i], NULL) == 0;
		if (!collectors[i].started)
			ntd_loop_call(collection->loop, ended, collection);
	}
	result = ntd_request_run(collection->loop, &collection->request, NTD_FOREVER, waiter, err);
	eventfd_write(collection->limits.cancel_fd,
		      1); /* stops threads if this wait was interrupted */
	for (size_t i = 0; i < count; i++)
		if (collectors[i].started)
			pthread_join(collectors[i].thread, NULL);
	return result;
}

int ntd_failure_collect(const struct ntd_failure *failure, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	_cleanup_free_ char *directory = failure_directory(failure->output_dir);
	_cleanup_free_ struct collector *collectors = NULL;
	struct collection collection = {.request = {.begin = begin, .abandon = abandon},
					.loop = failure->loop};
	size_t count;
	int result = 0;

	collection.limits.cancel_fd = eventfd(0, EFD_CLOEXEC);
	collectors = assign(failure, &collection, &count);
	if (count && collection.limits.cancel_fd >= 0) {
		ntd_log(failure->report, NTD_LEVEL_INFO, NULL,
			"collecting what is known of the machines in %s", directory);
		result = run_collectors(&collection, collectors, count, waiter, err);
	}
	for (size_t i = 0; i < count; i++)
		free(collectors[i].directory);
	ntd_close_fd(&collection.limits.cancel_fd);
	return result;
}

/* ---- what an earlier run has left */

static void remove_log(const char *path)
{
	if (ntd_has_suffix(path, ".log"))
		unlink(path);
}

/* Calls `remove` for each entry of a directory, then removes the directory if it is empty. */
static void clear(const char *directory, void (*remove)(const char *path))
{
	DIR *entries = opendir(directory);
	const struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%s", directory, entry->d_name);

		if (*entry->d_name != '.')
			remove(path);
	}
	if (!entries)
		return;
	closedir(entries);
	rmdir(directory);
}

/* Removes evidence of a machine, or of a test, which has a directory for each machine. */
static void remove_evidence(const char *path)
{
	ntd_evidence_remove(path);
	clear(path, ntd_evidence_remove);
}

void ntd_failure_forget(const char *output_dir)
{
	_cleanup_free_ char *failure = failure_directory(output_dir);
	_cleanup_free_ char *kept = ntd_asprintf("%s/" NTD_KEPT_FAILURE, output_dir);
	_cleanup_free_ char *units = ntd_asprintf("%s/" NTD_UNIT_EVIDENCE, output_dir);
	_cleanup_free_ char *logs = ntd_asprintf("%s/console-logs", output_dir);

	ntd_kept_remove(kept);
	clear(failure, remove_evidence);
	clear(units, ntd_unit_evidence_remove);
	clear(logs, remove_log);
}
