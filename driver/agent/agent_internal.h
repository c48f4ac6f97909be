/* What the files of the agent itself share: its structure, and a turn of its loop. */
#pragma once

#include "agent/agent.h"
#include "base/vec.h"

struct ntd_agent_loop {
	struct ntd_list sources, timers, children;
	/* The descriptors of the present turn, and whose they are; NULL: the source is gone. */
	ntd_vec(struct pollfd) polled;
	ntd_vec(struct ntd_agent_source *) owners;
	struct ntd_agent_source signals; /* a signalfd: see ntd_agent_loop_init() */
};

struct ntd_agent {
	struct ntd_agent_setup setup;
	struct ntd_agent_loop loop;
	struct ntd_agent_source port;
	struct ntd_buf in, out;
	struct ntd_list streams;
	size_t stream_count;
	bool leaving; /* the agent was asked to end, and begins nothing any more */
	bool left;    /* it has said that it ends */
	bool ended;
	int status; /* of the program */
};

/* The loop takes SIGCHLD, and SIGTERM if the agent lingers. */
void ntd_agent_loop_init(struct ntd_agent *agent);
void ntd_agent_loop_free(struct ntd_agent *agent);
/* Waits until something happens, and calls whom it concerns. */
void ntd_agent_loop_turn(struct ntd_agent *agent);
