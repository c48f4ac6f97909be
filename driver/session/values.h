/* Values as people write them on the command line, in the environment and in the configuration.
 * Functions of values alone, for any thread. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/vec.h"

#include <stdbool.h>

/* VLAN numbers are those of IEEE 802.1Q. */
#define NTD_VLAN_MAX 4095

/* A set of numbers, in the order in which they were added. */
struct ntd_numbers ntd_vec_members(int);

void ntd_numbers_free(struct ntd_numbers *numbers);
/* Adds a number unless it is in the set already. */
void ntd_numbers_add(struct ntd_numbers *numbers, int number);

/* A multiplier. */
struct ntd_factor {
	bool given;
	double factor; /* 0: "auto" */
};

/* One of `count` parts of a suite, counted from 1; 0 of 0: the whole. */
struct ntd_shard {
	int index, count;
};

/* All parsers return 0 and set the value, or return -1 with NTD_E_USAGE and a message that quotes
 * the text. */

/* A time above 0, in seconds: a decimal number, or an ISO 8601 duration of weeks, days, hours,
 * minutes and seconds such as PT1H30M, as pydantic writes a timedelta. */
int ntd_values_parse_seconds(const char *text, double *value, struct ntd_error **err);
/* The same check for a number of seconds that has been read already. */
int ntd_values_check_seconds(double number, double *value, struct ntd_error **err);
/* A decimal number from 0.001 to 1000000, or "auto". */
int ntd_values_parse_factor(const char *text, struct ntd_factor *value, struct ntd_error **err);
/* Digits only, 0 to `max`. */
int ntd_values_parse_number(const char *text, int max, int *value, struct ntd_error **err);
/* Adds the numbers of VLANs in an array of JSON. */
int ntd_values_read_vlans(const struct ntd_json *array, struct ntd_numbers *vlans,
			  struct ntd_error **err);
/* "K/N", 1 <= K <= N. */
int ntd_values_parse_shard(const char *text, struct ntd_shard *shard, struct ntd_error **err);
