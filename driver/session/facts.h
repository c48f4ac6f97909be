/* What a timeline says of the run as a whole. The main thread calls this. */
#pragma once

#include "session/session.h"

/* Tells how the driver was called: command line, version, host, script, and the files that lie in
 * the directory of the report. Nothing happens unless a sink wants a timeline. */
void ntd_session_tell_facts(struct ntd_session *session, char *const *argv, const char *version);
