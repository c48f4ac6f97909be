/* A fixture for tests of sinks that write files: a report, a file to write, and the file read back
 * by libxml2.
 */
#pragma once

#include "unit.h"

#include "report/sinks.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>

struct fixture {
	char directory[64], path[80];
	struct ntd_report *report;
};

static inline int set_up(void **state)
{
	static struct fixture fixture;
	const char *base = getenv("TMPDIR");

	snprintf(fixture.directory, sizeof fixture.directory, "%s/ntd-unit-XXXXXX",
		 base && strlen(base) < 40 ? base : "/tmp");
	if (!mkdtemp(fixture.directory))
		return -1;
	snprintf(fixture.path, sizeof fixture.path, "%s/report", fixture.directory);
	fixture.report = ntd_report_new(NULL);
	*state = &fixture;
	return fixture.report ? 0 : -1;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(ntd_steal(&fixture->report));
	unlink(fixture->path);
	return rmdir(fixture->directory); /* fails if a sink has left another file */
}

/* Ends the report, which closes the sinks. */
static inline void end(struct fixture *fixture)
{
	ntd_report_free(ntd_steal(&fixture->report));
}

static inline void add(struct fixture *fixture,
		       struct ntd_sink *(*make)(const char *path, struct ntd_error **err))
{
	struct ntd_error *err = NULL;
	struct ntd_sink *sink = make(fixture->path, &err);

	assert_no_error(err);
	ntd_report_add(fixture->report, sink);
}

/* Returns the event's id. */
static inline uint64_t emit(struct fixture *fixture, struct ntd_event event)
{
	event.text_len = event.text_len ? event.text_len : strlen(event.text);
	return ntd_report_emit(fixture->report, &event);
}

/* ---- XML read back */

static inline xmlDocPtr parse(struct fixture *fixture)
{
	xmlDocPtr document = xmlReadFile(fixture->path, NULL, XML_PARSE_NONET);

	assert_non_null(document);
	return document;
}

/* Asserts the value, as a string, of an XPath expression in the document. */
static inline void expect(xmlDocPtr document, const char *expression, const char *expected)
{
	xmlXPathContextPtr context = xmlXPathNewContext(document);
	_cleanup_free_ char *wrapped = ntd_asprintf("string(%s)", expression);
	xmlXPathObjectPtr value = xmlXPathEvalExpression(BAD_CAST wrapped, context);
	_cleanup_free_ char *text = NULL;

	assert_non_null(value);
	text = ntd_strdup((const char *)value->stringval);
	xmlXPathFreeObject(value);
	xmlXPathFreeContext(context);
	if (strcmp(text, expected) != 0)
		print_error("%s\n", expression);
	assert_string_equal(text, expected);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
