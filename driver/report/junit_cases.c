/* The cases of a JUnit report: what each event of the report does to them. It runs on the report's
 * thread; the rules are in junit.c.
 */
#include "report/junit_internal.h"

#include <string.h>

enum { OUTPUT_LIMIT = 1 << 20 };

/* ---- output */

static void output_trim(struct ntd_junit_output *output)
{
	size_t excess = output->text.len - OUTPUT_LIMIT;
	const char *start = ntd_buf_bytes(&output->text) + excess;
	const char *newline = memchr(start, '\n', OUTPUT_LIMIT);

	if (newline)
		excess += (size_t)(newline - start) + 1;
	ntd_buf_consume(&output->text, excess);
	output->cut += excess;
}

static void output_line(struct ntd_junit_output *output, const char *machine, const char *separator,
			const char *before, const struct ntd_event *event, const char *after)
{
	struct ntd_buf *text = &output->text;

	if (machine) {
		ntd_buf_puts(text, machine);
		ntd_buf_puts(text, separator);
	}
	ntd_buf_puts(text, before);
	ntd_buf_append(text, event->text, event->text_len);
	ntd_buf_puts(text, after);
	ntd_buf_puts(text, "\n");
	if (text->len > OUTPUT_LIMIT)
		output_trim(output);
}

/* ---- questions */

bool ntd_junit_is_failure(const struct ntd_junit_case *test_case)
{
	return test_case->failed || test_case->open;
}

bool ntd_junit_has_main(const struct ntd_junit_cases *cases)
{
	return ntd_junit_is_failure(&cases->main) ||
	       (ntd_list_empty(&cases->list) && !cases->tests_only);
}

double ntd_junit_main_seconds(const struct ntd_junit_cases *cases, int64_t now)
{
	return cases->main.seconds +
	       (cases->open.count ? 0 : ntd_seconds(now - cases->outside_since));
}

double ntd_junit_case_seconds(const struct ntd_junit_case *test_case, int64_t now)
{
	double seconds =
		test_case->seconds + (test_case->open ? ntd_seconds(now - test_case->since) : 0);

	return seconds > 0 ? seconds : 0; /* subtests of several threads are not in each other */
}

/* ---- what happens */

static struct ntd_junit_case *current(struct ntd_junit_cases *cases)
{
	return cases->open.count ? cases->open.items[cases->open.count - 1].test_case
				 : &cases->main;
}

void ntd_junit_log_line(struct ntd_junit_cases *cases, const char *separator, const char *before,
			const struct ntd_event *event, const char *after)
{
	output_line(&cases->out, event->machine, separator, before, event, after);
	if (cases->open.count)
		output_line(&current(cases)->out, event->machine, separator, before, event, after);
}

static struct ntd_junit_case *find_or_add(struct ntd_junit_cases *cases, const char *title)
{
	struct ntd_junit_case *added;

	ntd_list_each (struct ntd_junit_case, each, &cases->list, link)
		if (!strcmp(each->title, title))
			return each;
	added = ntd_calloc(1, sizeof *added);
	added->title = ntd_strdup(title);
	ntd_list_append(&cases->list, &added->link);
	return added;
}

void ntd_junit_begin_subtest(struct ntd_junit_cases *cases, const struct ntd_event *event)
{
	struct ntd_junit_case *test_case = find_or_add(cases, event->text);

	cases->main.seconds = ntd_junit_main_seconds(cases, event->monotonic);
	ntd_vec_push(&cases->open, (struct ntd_junit_subtest){event->id, test_case});
	test_case->open++;
	test_case->since = event->monotonic;
}

static void add_property(char ***properties, char *const *pair)
{
	ntd_strv_add(properties, pair[0]);
	ntd_strv_add(properties, pair[1]);
}

/* Subtests of several threads may end in any order. */
void ntd_junit_end_subtest(struct ntd_junit_cases *cases, const struct ntd_event *event)
{
	size_t i = cases->open.count;
	struct ntd_junit_case *test_case;

	while (i && cases->open.items[i - 1].id != event->id)
		i--;
	if (!i)
		return;
	test_case = cases->open.items[i - 1].test_case;
	ntd_vec_remove(&cases->open, i - 1);
	if (!cases->open.count)
		cases->outside_since = event->monotonic;
	test_case->open--;
	test_case->seconds += event->seconds;
	if (i > 1)
		cases->open.items[i - 2].test_case->seconds -= event->seconds;
	test_case->failed |= event->failed;
	for (char **pair = event->attributes; pair && *pair; pair += 2)
		if (!strcmp(*pair, "skipped")) {
			free(test_case->skipped);
			test_case->skipped = ntd_strdup(pair[1]);
		} else if (event->step == NTD_STEP_TEST) {
			add_property(&test_case->properties, pair);
		}
}

/* What the end of the run's step tells of the run are properties of the suite. */
void ntd_junit_step_end(struct ntd_junit_cases *cases, const struct ntd_event *event)
{
	_cleanup_free_ char *after = ntd_asprintf(", in %.2f seconds)", event->seconds);

	for (char **pair = event->attributes; pair && *pair && event->step == NTD_STEP_RUN;
	     pair += 2)
		add_property(&cases->properties, pair);
	if (!event->failed)
		ntd_junit_log_line(cases, ": ", "(finished: ", event, after);
}

/* An error that a subtest has reported is a failure of the subtest, and not also of `main`. */
void ntd_junit_test_error(struct ntd_junit_cases *cases, const struct ntd_event *event)
{
	output_line(&cases->err, event->machine, ": ", "", event, "");
	if (!cases->open.count && event->failed)
		return;
	output_line(&current(cases)->err, event->machine, ": ", "", event, "");
	current(cases)->failed = true;
}

/* A failed case says more than an exit status, so `main` fails only when no case has failed. */
void ntd_junit_run_end(struct ntd_junit_cases *cases, const struct ntd_event *event)
{
	bool failed = cases->main.failed;

	ntd_list_each (struct ntd_junit_case, each, &cases->list, link)
		failed |= ntd_junit_is_failure(each);
	if (!event->failed || failed)
		return;
	output_line(&cases->main.err, NULL, "", "The run ended with ", event, ".");
	cases->main.failed = true;
}

/* ---- the end of all */

static void case_clear(struct ntd_junit_case *test_case)
{
	ntd_buf_free(&test_case->out.text);
	ntd_buf_free(&test_case->err.text);
	free(test_case->title);
	free(test_case->skipped);
	ntd_strv_free(test_case->properties);
}

void ntd_junit_cases_clear(struct ntd_junit_cases *cases)
{
	struct ntd_junit_case *each;

	while ((each = ntd_list_take(&cases->list, struct ntd_junit_case, link))) {
		case_clear(each);
		free(each);
	}
	case_clear(&cases->main);
	ntd_buf_free(&cases->out.text);
	ntd_buf_free(&cases->err.text);
	ntd_strv_free(cases->properties);
	ntd_vec_free(&cases->open);
}
