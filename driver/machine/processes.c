/* The processes that a machine has had, one for each start, counted from 1. The driver keeps what
 * it knows of a process as long as the machine's structure, for scripts that have kept the object
 * of a process that has ended. The list belongs to the loop thread; script threads ask it by calls
 * and requests.
 */
#include "machine/internal.h"

struct query {
	struct ntd_machine *machine;
	unsigned number;
	int signal;
	struct ntd_machine_process found;
};

/* ---- loop */

static struct ntd_machine_process *present(struct ntd_machine *machine)
{
	size_t count = machine->processes.count;

	return count ? &machine->processes.items[count - 1] : NULL;
}

void ntd_processes_add(struct ntd_machine *machine, pid_t pid)
{
	char *line = machine->order.line ? ntd_strdup(machine->order.line) : NULL;

	ntd_vec_push(&machine->processes, (struct ntd_machine_process){.pid = pid, .line = line});
}

void ntd_processes_end(struct ntd_machine *machine, int wait_status)
{
	if (!machine->processes.count)
		return;
	present(machine)->ended = true;
	present(machine)->wait_status = wait_status;
}

void ntd_processes_free(struct ntd_machine *machine)
{
	for (size_t i = 0; i < machine->processes.count; i++)
		free(machine->processes.items[i].line);
	ntd_vec_free(&machine->processes);
}

bool ntd_processes_has_ended(const struct ntd_machine *machine, unsigned number)
{
	return !number || number > machine->processes.count ||
	       machine->processes.items[number - 1].ended;
}

static void find(void *arg)
{
	struct query *query = arg;

	if (query->number && query->number <= query->machine->processes.count)
		query->found = query->machine->processes.items[query->number - 1];
}

static void send_signal(void *arg)
{
	struct query *query = arg;

	if (query->number == query->machine->processes.count && query->machine->process &&
	    !ntd_processes_has_ended(query->machine, query->number))
		ntd_process_signal(query->machine->process, query->signal);
}

/* ---- any other thread */

struct ntd_machine_process ntd_machine_process(struct ntd_machine *machine, unsigned number)
{
	struct query query = {.machine = machine, .number = number};

	ntd_loop_call(machine->context.loop, find, &query);
	return query.found;
}

void ntd_machine_signal_process(struct ntd_machine *machine, unsigned number, int signal)
{
	struct query query = {.machine = machine, .number = number, .signal = signal};

	ntd_loop_call(machine->context.loop, send_signal, &query);
}
