/* The document of a JUnit report. It runs on the report's thread, and at the start on the thread
 * that makes the sink.
 */
#include "report/junit_internal.h"

#include <string.h>

static void write_attribute(xmlTextWriterPtr writer, const char *name, const char *value)
{
	_cleanup_free_ char *text = ntd_outfile_text(value, strlen(value), NTD_CONTROLS_LAYOUT);

	xmlTextWriterWriteAttribute(writer, BAD_CAST name, BAD_CAST text);
}

static void write_time(xmlTextWriterPtr writer, double seconds)
{
	_cleanup_free_ char *text = ntd_asprintf("%.3f", seconds);

	xmlTextWriterWriteAttribute(writer, BAD_CAST "time", BAD_CAST text);
}

static void write_output(xmlTextWriterPtr writer, const struct ntd_junit_output *output)
{
	_cleanup_free_ char *text = ntd_outfile_text(ntd_buf_bytes(&output->text), output->text.len,
						     NTD_CONTROLS_LAYOUT);

	if (output->cut)
		xmlTextWriterWriteFormatString(writer, "[%zu bytes before this left out]\n",
					       output->cut);
	xmlTextWriterWriteString(writer, BAD_CAST text);
}

static void write_stream(xmlTextWriterPtr writer, const char *name,
			 const struct ntd_junit_output *output)
{
	if (!output->text.len)
		return;
	xmlTextWriterStartElement(writer, BAD_CAST name);
	write_output(writer, output);
	xmlTextWriterEndElement(writer);
}

static void write_properties(xmlTextWriterPtr writer, char *const *properties)
{
	if (!properties)
		return;
	xmlTextWriterStartElement(writer, BAD_CAST "properties");
	for (; *properties; properties += 2) {
		xmlTextWriterStartElement(writer, BAD_CAST "property");
		write_attribute(writer, "name", properties[0]);
		write_attribute(writer, "value", properties[1]);
		xmlTextWriterEndElement(writer);
	}
	xmlTextWriterEndElement(writer);
}

static void write_case(xmlTextWriterPtr writer, const struct ntd_junit_case *test_case,
		       double seconds)
{
	xmlTextWriterStartElement(writer, BAD_CAST "testcase");
	write_attribute(writer, "name", test_case->title);
	write_time(writer, seconds);
	write_properties(writer, test_case->properties);
	if (ntd_junit_is_failure(test_case)) {
		xmlTextWriterStartElement(writer, BAD_CAST "failure");
		write_attribute(writer, "type", "failure");
		write_attribute(writer, "message", "test case failed");
		write_output(writer, &test_case->err);
		if (test_case->open)
			xmlTextWriterWriteString(writer, BAD_CAST "The run ended before this did.");
		xmlTextWriterEndElement(writer);
	} else if (test_case->skipped) {
		xmlTextWriterStartElement(writer, BAD_CAST "skipped");
		write_attribute(writer, "message", test_case->skipped);
		xmlTextWriterEndElement(writer);
	}
	write_stream(writer, "system-out", &test_case->out);
	write_stream(writer, "system-err", &test_case->err);
	xmlTextWriterEndElement(writer);
}

static void write_totals(xmlTextWriterPtr writer, const struct ntd_junit_cases *cases, int64_t now)
{
	size_t tests = ntd_junit_has_main(cases), failures = ntd_junit_is_failure(&cases->main),
	       skipped = 0;

	ntd_list_each (struct ntd_junit_case, each, &cases->list, link) {
		tests++;
		failures += ntd_junit_is_failure(each);
		skipped += !ntd_junit_is_failure(each) && each->skipped;
	}
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "tests", "%zu", tests);
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "failures", "%zu", failures);
	write_attribute(writer, "errors", "0");
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "skipped", "%zu", skipped);
	write_time(writer, ntd_seconds(now - cases->began));
}

void ntd_junit_write(const struct ntd_junit_cases *cases, struct ntd_outfile *file)
{
	xmlTextWriterPtr writer = ntd_outfile_xml(file);
	int64_t now = ntd_now();

	xmlTextWriterSetIndent(writer, 1);
	xmlTextWriterStartDocument(writer, NULL, "utf-8", NULL);
	xmlTextWriterStartElement(writer, BAD_CAST "testsuites");
	write_totals(writer, cases, now);
	xmlTextWriterStartElement(writer, BAD_CAST "testsuite");
	write_attribute(writer, "name", "NixOS integration test");
	write_totals(writer, cases, now);
	write_properties(writer, cases->properties);
	write_stream(writer, "system-out", &cases->out);
	write_stream(writer, "system-err", &cases->err);
	ntd_list_each (struct ntd_junit_case, each, &cases->list, link)
		write_case(writer, each, ntd_junit_case_seconds(each, now));
	if (ntd_junit_has_main(cases))
		write_case(writer, &cases->main, ntd_junit_main_seconds(cases, now));
	xmlTextWriterEndDocument(writer);
	xmlFreeTextWriter(writer);
}
