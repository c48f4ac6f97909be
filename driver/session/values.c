/* Parsers of values. They take less than strtod() and strtol() do: no white space, no hexadecimal
 * numbers, no infinity.
 */
#include "session/values.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

void ntd_numbers_free(struct ntd_numbers *numbers)
{
	ntd_vec_free(numbers);
}

void ntd_numbers_add(struct ntd_numbers *numbers, int number)
{
	for (size_t i = 0; i < numbers->count; i++)
		if (numbers->items[i] == number)
			return;
	ntd_vec_push(numbers, number);
}

/* Reads a decimal number at the start of `text`; *end is set to what follows it. */
static bool decimal(const char *text, double *value, char **end)
{
	size_t len = strspn(text, "0123456789.");

	if (!len || !isdigit((unsigned char)text[text[0] == '.']) || text[len] == 'x')
		return false;
	*value = ntd_strtod(text, end);
	return true;
}

struct unit {
	char name;
	double seconds;
};

/* Adds numbers with these units to *sum, each unit at most once and in this order; returns the text
 * after them. */
static const char *add_units(const char *at, const struct unit *units, size_t count, double *sum)
{
	double value;
	char *end;

	for (size_t i = 0; i < count; i++) {
		if (!decimal(at, &value, &end) || *end != units[i].name)
			continue;
		*sum += value * units[i].seconds;
		at = end + 1;
	}
	return at;
}

/* Reads an ISO 8601 duration after its P. Years and months are refused: they have no fixed length.
 */
static bool iso_duration(const char *at, double *seconds)
{
	static const struct unit days[] = {{'W', 604800}, {'D', 86400}};
	static const struct unit hours[] = {{'H', 3600}, {'M', 60}, {'S', 1}};

	at = add_units(at, days, 2, seconds);
	if (at[0] == 'T' && at[1])
		at = add_units(at + 1, hours, 3, seconds);
	return !*at;
}

int ntd_values_check_seconds(double number, double *value, struct ntd_error **err)
{
	if (!isfinite(number) || number <= 0)
		return ntd_error_set(err, NTD_E_USAGE, "%g is not a time above 0 seconds", number);
	*value = number;
	return 0;
}

int ntd_values_parse_seconds(const char *text, double *value, struct ntd_error **err)
{
	double number = 0;
	char *end;
	bool good;

	if (*text == 'P')
		good = iso_duration(text + 1, &number);
	else
		good = decimal(text, &number, &end) && !*end;
	if (!good || ntd_values_check_seconds(number, value, NULL) < 0)
		return ntd_error_set(err, NTD_E_USAGE,
				     "'%s' is not a time above 0: seconds, or a duration such "
				     "as PT1H",
				     text);
	return 0;
}

int ntd_values_parse_factor(const char *text, struct ntd_factor *value, struct ntd_error **err)
{
	double number = 0;
	char *end = NULL;

	if (strcmp(text, "auto") != 0 &&
	    (!decimal(text, &number, &end) || *end || number < 0.001 || number > 1e6))
		return ntd_error_set(
			err, NTD_E_USAGE,
			"'%s' is not a factor: a number from 0.001 to 1000000, or auto", text);
	*value = (struct ntd_factor){.given = true, .factor = number};
	return 0;
}

int ntd_values_parse_number(const char *text, int max, int *value, struct ntd_error **err)
{
	long number = LONG_MAX;

	errno = 0;
	if (*text && !text[strspn(text, "0123456789")])
		number = strtol(text, NULL, 10);
	if (errno || number > max)
		return ntd_error_set(err, NTD_E_USAGE, "'%s' is not a number from 0 to %d", text,
				     max);
	*value = (int)number;
	return 0;
}

int ntd_values_read_vlans(const struct ntd_json *array, struct ntd_numbers *vlans,
			  struct ntd_error **err)
{
	struct ntd_json item = {.parent = array};

	cJSON_ArrayForEach (item.value, array->value) {
		double number = item.value->valuedouble;

		if (ntd_json_expect(&item, cJSON_Number, err) < 0)
			return -1;
		if (!(number >= 0 && number <= NTD_VLAN_MAX) || number != (int)number)
			return ntd_json_error(&item, err, "%g is not a number from 0 to %d", number,
					      NTD_VLAN_MAX);
		ntd_numbers_add(vlans, (int)number);
		item.index++;
	}
	return 0;
}

int ntd_values_parse_shard(const char *text, struct ntd_shard *shard, struct ntd_error **err)
{
	const char *slash = strchr(text, '/');
	_cleanup_free_ char *index = slash ? ntd_strndup(text, (size_t)(slash - text)) : NULL;
	struct ntd_shard parsed = {0};

	if (!slash || ntd_values_parse_number(index, INT32_MAX, &parsed.index, NULL) < 0 ||
	    ntd_values_parse_number(slash + 1, INT32_MAX, &parsed.count, NULL) < 0 ||
	    !parsed.index || parsed.index > parsed.count)
		return ntd_error_set(err, NTD_E_USAGE,
				     "'%s' is not K/N, such as 1/4 for the first of four parts",
				     text);
	*shard = parsed;
	return 0;
}
