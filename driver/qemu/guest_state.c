/* Listeners for the events that tell of the guest, and the words for what they tell. On the loop
 * thread.
 */
#include "qemu/guest_state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- the events */

static void shut_down(void *owner, const cJSON *event)
{
	struct ntd_guest_state *state = owner;
	const char *reason = ntd_qmp_event_word(event, "reason");

	snprintf(state->end_reason, sizeof state->end_reason, "%s", reason ? reason : "");
}

static void was_reset(void *owner, const cJSON *event)
{
	struct ntd_guest_state *state = owner;

	state->reset_at = ntd_now();
	state->end_reason[0] = '\0';
	state->was_reset(state->owner);
}

static void stopped(void *owner, const cJSON *event)
{
	struct ntd_guest_state *state = owner;

	state->stopped = true;
}

/* Under -no-shutdown, QEMU and the guest can go on after a SHUTDOWN. */
static void resumed(void *owner, const cJSON *event)
{
	struct ntd_guest_state *state = owner;

	state->stopped = false;
	state->end_reason[0] = '\0';
}

static void panicked(void *owner, const cJSON *event)
{
	struct ntd_guest_state *state = owner;

	state->panic_told = true;
	state->panicked(state->owner);
}

static const struct {
	const char *name;
	void (*heard)(void *owner, const cJSON *event);
} events[] = {
	{"SHUTDOWN", shut_down}, {"RESET", was_reset},         {"STOP", stopped},
	{"RESUME", resumed},     {"GUEST_PANICKED", panicked},
};
static_assert(sizeof events / sizeof *events == NTD_GUEST_EVENTS, "every event has its listener");

void ntd_guest_state_listen(struct ntd_guest_state *state)
{
	for (size_t i = 0; i < NTD_GUEST_EVENTS; i++) {
		state->listeners[i] = (struct ntd_qmp_listener){
			.name = events[i].name, .heard = events[i].heard, .owner = state};
		ntd_qmp_on(state->qmp, &state->listeners[i]);
	}
}

void ntd_guest_state_clear(struct ntd_guest_state *state)
{
	state->stopped = state->panic_told = false;
	state->reset_at = 0;
	state->end_reason[0] = '\0';
}

static void status_told(void *owner, const cJSON *reply)
{
	struct ntd_guest_state *state = owner;
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(reply, "return");

	if (reply)
		state->stopped = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(status, "running"));
}

void ntd_guest_state_ask(struct ntd_guest_state *state)
{
	state->status = (struct ntd_qmp_question){.answered = status_told, .owner = state};
	ntd_qmp_ask(state->qmp, &state->status, "query-status", NULL);
}

/* ---- the words */

/* QEMU's ShutdownCause. */
static const struct {
	const char *reason, *text;
} reasons[] = {
	{"guest-shutdown", "the guest shut down"},
	{"guest-reset", "the guest rebooted, which ends QEMU without allow_reboot"},
	{"guest-panic", "QEMU ends when the guest panics"},
	{"host-qmp-quit", "QEMU was told to quit"},
	{"host-qmp-system-reset", "QEMU was told to reset, which ends it without allow_reboot"},
	{"host-signal", "a signal asked QEMU to end"},
	{"host-ui", "QEMU's window was closed"},
	{"host-error", "the host had an error"},
};

/* A new string: the reason of the last SHUTDOWN in parentheses, after a space; "" without one. */
static char *reason_text(const char *reason)
{
	if (!*reason)
		return ntd_strdup("");
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (!strcmp(reasons[i].reason, reason))
			return ntd_asprintf(" (%s)", reasons[i].text);
	return ntd_asprintf(" (QEMU's reason: %s)", reason);
}

char *ntd_guest_state_describe(const struct ntd_guest_state *state, const char *what,
			       bool panic_shown)
{
	_cleanup_free_ char *reason = reason_text(state->end_reason);

	return ntd_asprintf("%s%s%s", what, reason,
			    state->panic_told && !panic_shown
				    ? "; the guest's kernel panicked, as its panic device says"
				    : "");
}

char *ntd_guest_state_remark(const struct ntd_guest_state *state, int64_t since, bool panic_shown)
{
	if (state->stopped)
		return ntd_guest_state_describe(state, "the guest is stopped", panic_shown);
	return state->reset_at > since ? ntd_strdup("the guest was reset meanwhile") : NULL;
}
