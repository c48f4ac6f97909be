/* The inside of a data port (qemu/data_port.h) and its openings, on the loop thread. */
#pragma once

#include "qemu/data_port.h"

enum ntd_opening_stage {
	NTD_OPENING_WAIT,
	NTD_OPENING_CHARDEV,
	NTD_OPENING_DEVICE,
	NTD_OPENING_OPEN,
	NTD_OPENING_UNPLUG,
	NTD_OPENING_REMOVE
};

struct ntd_opening {
	struct ntd_data_port *port;
	struct ntd_list_link link;
	enum ntd_opening_stage stage;
	unsigned number;          /* of the port on its bus; 0: any, or not known */
	char *name;               /* of the device, of the chardev, and in the guest */
	int listener, connection; /* -1: none */
	struct ntd_qmp_question question;
	struct ntd_timer timer; /* for what is awaited, in some stages */
};

struct ntd_data_port {
	struct ntd_port port;
	struct ntd_loop *loop;
	struct ntd_qmp *qmp;
	char *prefix; /* of names */
	char *path, *who;
	int64_t patience;
	unsigned count;              /* how often the port was opened */
	struct ntd_list openings;    /* the current one and those on their way out */
	struct ntd_opening *current; /* NULL: the port is closed, or has failed */
	struct ntd_port_user user;
	struct ntd_error *why; /* the port has failed, and the user has not been told yet */
	struct ntd_timer telling;
	struct ntd_qmp_listener deleted, changed;
	void (*gone)(void *owner); /* an opening is; NULL: nobody wants to know */
	void *gone_owner;
};

/* ---- data_port_opening.c */

/* Makes the port's next opening, which becomes the current one. */
void ntd_opening_begin(struct ntd_data_port *port);
/* The user has closed the port: whatever QEMU has of the opening is taken away. */
void ntd_opening_close(struct ntd_opening *opening);
/* QEMU has taken away a device, if `device` names one of the port's. */
void ntd_opening_deleted(struct ntd_data_port *port, const char *device);
/* Frees an opening of which QEMU has nothing. */
void ntd_opening_discard(struct ntd_opening *opening);
