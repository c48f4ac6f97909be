/* Tests of the sinks that write files: the XML log and the JSON lines of events. */
#include "sink_fixture.h"

#include "base/buf.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- the XML log */

static void the_xml_log_has_every_kind_of_event(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr log;

	add(fixture, ntd_xml_sink);
	emit(fixture, (struct ntd_event){.text = "plain", .level = NTD_LEVEL_DEBUG});
	emit(fixture, (struct ntd_event){.text = "<of> & \"\xc3\xa9\"", .machine = "server"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "step", .machine = "m"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = "boot", .machine = "m"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "step", .seconds = 1.5});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = "s"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END, .text = "s", .failed = true});
	ntd_log_test_error(fixture->report, "one\ntwo");
	end(fixture);
	log = parse(fixture);
	expect(log, "count(/logfile/*)", "6");
	expect(log, "/logfile/line[1]", "plain");
	expect(log, "count(/logfile/line[1]/@*)", "0");
	expect(log, "/logfile/line[@machine='server']", "<of> & \"\xc3\xa9\"");
	expect(log, "count(/logfile/nest)", "2");
	expect(log, "/logfile/nest[1]/head[@machine='m']", "step");
	expect(log, "/logfile/nest[1]/line[@machine='m'][@type='serial']", "boot");
	expect(log, "/logfile/nest[1]/line[2]", "(finished: step, in 1.50 seconds)");
	expect(log, "/logfile/nest[2]/head", "subtest: s");
	expect(log, "count(/logfile/nest[2]/line)",
	       "0"); /* the step has failed, so there is no line that it has finished */
	expect(log, "/logfile/line[3]", "one");
	expect(log, "/logfile/line[4]", "two");
	xmlFreeDoc(log);
}

static void the_xml_log_drops_control_characters(void **state)
{
	static const char dirty[] = "a\x01\x1b[1m\0\x7f\xc2\x85z\tq\nr\xef\xbf\xbf\xff.";
	struct fixture *fixture = *state;
	struct ntd_event event = {.text = dirty, .text_len = sizeof dirty - 1};
	xmlDocPtr log;

	add(fixture, ntd_xml_sink);
	emit(fixture, event);
	event.kind = NTD_EVENT_SERIAL;
	event.machine = "a\x02\"<";
	emit(fixture, event);
	end(fixture);
	log = parse(fixture);
	expect(log, "/logfile/line[1]", "a[1mz\tq\nr\xef\xbf\xbd.");
	expect(log, "/logfile/line[2]", "a[1mzqr\xef\xbf\xbd.");
	expect(log, "/logfile/line[2]/@machine", "a\"<");
	xmlFreeDoc(log);
}

static void the_xml_log_takes_attributes_of_scripts(void **state)
{
	char *attributes[] = {"image", "a<b",   "no name", "x",     "a:b", "y",
			      "image", "again", "machine", "other", NULL};
	struct fixture *fixture = *state;
	xmlDocPtr log;

	add(fixture, ntd_xml_sink);
	emit(fixture, (struct ntd_event){.text = "1", .machine = "m", .attributes = attributes});
	emit(fixture, (struct ntd_event){.text = "2", .attributes = attributes});
	end(fixture);
	log = parse(fixture);
	expect(log, "count(/logfile/line[1]/@*)", "2");
	expect(log, "/logfile/line[1]/@image", "a<b");
	expect(log, "/logfile/line[1]/@machine", "m");
	expect(log, "/logfile/line[2]/@machine", "other");
	xmlFreeDoc(log);
}

static void the_xml_log_is_closed_whatever_is_open(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr log;

	add(fixture, ntd_xml_sink);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "of nothing"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "a"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "b"});
	emit(fixture, (struct ntd_event){.text = "inside"});
	end(fixture);
	log = parse(fixture);
	expect(log, "/logfile/nest/nest[head='b']/line", "inside");
	xmlFreeDoc(log);
}

static void files_that_cannot_be_written_are_errors(void **state)
{
	static struct ntd_sink *(*const makers[])(const char *, struct ntd_error **) = {
		ntd_xml_sink, ntd_junit_sink, ntd_events_sink};

	for (size_t i = 0; i < unit_count(makers); i++) {
		struct ntd_error *err = NULL;

		assert_null(makers[i]("/nonexistent/report", &err));
		assert_error(err, NTD_E_SYS, "cannot write /nonexistent/report: No such file");
	}
}

static void devices_are_written_and_stay_devices(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	ntd_report_add(fixture->report, ntd_xml_sink("/dev/null", NULL));
	ntd_report_add(fixture->report, ntd_junit_sink("/dev/null", NULL));
	ntd_report_add(fixture->report, ntd_events_sink("/dev/null", NULL));
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = "s"});
	ntd_log_test_error(fixture->report, "no");
	end(fixture);
	assert_int_equal(stat("/dev/null", &status), 0);
	assert_true(S_ISCHR(status.st_mode));
}

/* Runs fn(fixture) and returns its output on standard error. */
static char *stderr_of(void (*fn)(struct fixture *), struct fixture *fixture)
{
	struct ntd_buf text = {0};
	int saved = dup(STDERR_FILENO), fds[2];
	ssize_t count;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	fn(fixture);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	while ((count = read(fds[0], ntd_buf_reserve(&text, 4096), 4096)) > 0)
		ntd_buf_added(&text, (size_t)count);
	close(fds[0]);
	return ntd_buf_take_string(&text);
}

static void a_full_disk_is_told_and_does_not_stop_the_run(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *told = NULL;

	ntd_report_add(fixture->report, ntd_events_sink("/dev/full", NULL));
	ntd_report_add(fixture->report, ntd_xml_sink("/dev/full", NULL));
	ntd_report_add(fixture->report, ntd_junit_sink("/dev/full", NULL));
	emit(fixture, (struct ntd_event){.text = "lost"});
	told = stderr_of(end, fixture);
	assert_string_equal(told,
			    "nixos-test-driver: cannot write /dev/full: No space left on device\n"
			    "nixos-test-driver: cannot write /dev/full: No space left on device\n"
			    "nixos-test-driver: cannot write /dev/full: No space left on device\n");
}

/* ---- JSON lines */

static char *read_file(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct ntd_buf text = {0};
	ssize_t count;

	while ((count = read(fd, ntd_buf_reserve(&text, 4096), 4096)) > 0)
		ntd_buf_added(&text, (size_t)count);
	return ntd_buf_take_string(&text);
}

/* Returns the lines of the file, each of which is a JSON object, as an array. */
static cJSON *read_events(struct fixture *fixture)
{
	_cleanup_free_ char *text = read_file(fixture->path);
	cJSON *events = cJSON_CreateArray();

	for (char *line = text, *end_of_line; *line; line = end_of_line + 1) {
		end_of_line = strchr(line, '\n');
		assert_non_null(end_of_line);
		*end_of_line = '\0';
		assert_true(cJSON_AddItemToArray(events, cJSON_ParseWithOpts(line, NULL, 1)));
	}
	return events;
}

/* Returns the file of an ended report without its first line, which is checked here. */
static char *read_lines(struct fixture *fixture)
{
	static const char format[] = "\"kind\":\"format\",\"format\":\"nixos-test-driver-events\","
				     "\"version\":1}\n";
	_cleanup_free_ char *text = read_file(fixture->path);
	char *end = strchr(text, '\n') + 1;

	assert_true((size_t)(end - text) > strlen(format));
	assert_memory_equal(end - strlen(format), format, strlen(format));
	return ntd_strdup(end);
}

static void events_are_objects_a_line(void **state)
{
	static const char wanted[] =
		"{\"monotonic\":12.000000345,\"wall\":\"2001-09-09T01:46:40.000001Z\","
		"\"kind\":\"message\",\"id\":1,\"parent\":null,\"thread\":1,"
		"\"level\":\"warning\",\"machine\":\"m\","
		"\"text\":\"a \\\"b\\\"\\n\\u001b\xc3\xa9\xef\xbf\xbd\","
		"\"attributes\":{\"k\":\"v\"}}\n"
		"{\"monotonic\":1.000000000,\"wall\":\"1970-01-01T00:00:00.000000Z\","
		"\"kind\":\"subtest-begin\",\"id\":2,\"parent\":null,\"thread\":1,"
		"\"step\":\"test\",\"machine\":null,\"text\":\"title\"}\n"
		"{\"monotonic\":9000000.999999999,\"wall\":\"1970-01-01T00:00:00.999999Z\","
		"\"kind\":\"subtest-end\",\"id\":2,\"parent\":null,\"thread\":1,"
		"\"step\":\"test\",\"machine\":null,\"text\":\"title\","
		"\"seconds\":1.5,\"failed\":true}\n";
	char *attributes[] = {"k", "old", "k", "v", NULL};
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL;
	uint64_t id;

	add(fixture, ntd_events_sink);
	emit(fixture, (struct ntd_event){.level = NTD_LEVEL_WARNING,
					 .monotonic = 12 * NTD_SECOND + 345,
					 .wall = 1000000000 * NTD_SECOND + 1999,
					 .machine = "m",
					 .text = "a \"b\"\n\x1b\xc3\xa9\xff\0",
					 .text_len = 10,
					 .attributes = attributes});
	id = emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN,
					      .step = NTD_STEP_TEST,
					      .monotonic = NTD_SECOND,
					      .text = "title"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END,
					 .id = id,
					 .monotonic = 9000000 * NTD_SECOND + 999999999,
					 .wall = 999999999,
					 .text = "title",
					 .seconds = 1.5,
					 .failed = true});
	end(fixture);
	text = read_lines(fixture);
	assert_string_equal(text, wanted);
}

static void events_tell_of_states_and_commands(void **state)
{
	static const char wanted[] =
		"{\"monotonic\":1.000000000,\"wall\":\"1970-01-01T00:00:00.000000Z\","
		"\"kind\":\"state\",\"id\":1,\"parent\":null,\"thread\":1,\"machine\":\"m\","
		"\"text\":\"up\",\"from\":\"starting\",\"to\":\"up\"}\n"
		"{\"monotonic\":1.000000000,\"wall\":\"1970-01-01T00:00:00.000000Z\","
		"\"kind\":\"command-end\",\"id\":2,\"parent\":null,\"thread\":1,"
		"\"machine\":\"m\",\"text\":\"true\",\"seconds\":0.25,\"status\":0,"
		"\"bytes\":12}\n"
		"{\"monotonic\":1.000000000,\"wall\":\"1970-01-01T00:00:00.000000Z\","
		"\"kind\":\"command-end\",\"id\":3,\"parent\":null,\"thread\":1,"
		"\"machine\":\"m\",\"text\":\"true\",\"seconds\":0,\"status\":null,"
		"\"bytes\":0}\n";
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL;

	add(fixture, ntd_events_sink);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_STATE,
					 .monotonic = NTD_SECOND,
					 .machine = "m",
					 .text = "up",
					 .from = "starting",
					 .to = "up"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_COMMAND_END,
					 .monotonic = NTD_SECOND,
					 .machine = "m",
					 .text = "true",
					 .seconds = 0.25,
					 .bytes = 12});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_COMMAND_END,
					 .monotonic = NTD_SECOND,
					 .machine = "m",
					 .text = "true",
					 .status = -1});
	end(fixture);
	text = read_lines(fixture);
	assert_string_equal(text, wanted);
}

/* BUSY and IDLE are for people who look at the run while it goes on. */
static bool is_live(enum ntd_event_kind kind)
{
	return kind == NTD_EVENT_BUSY || kind == NTD_EVENT_IDLE;
}

static void events_have_every_kind_and_the_time_of_emission(void **state)
{
	struct fixture *fixture = *state;
	int64_t began = ntd_now();
	cJSON *events;
	int count = 0;

	add(fixture, ntd_events_sink);
	for (enum ntd_event_kind kind = 0; kind < NTD_EVENT_KIND_COUNT; kind++) {
		struct ntd_event event = {.kind = kind, .text = "t"};

		if (kind == NTD_EVENT_STATE) {
			event.from = "up";
			event.to = "dead";
		}
		emit(fixture, event);
	}
	end(fixture);
	events = read_events(fixture);
	for (enum ntd_event_kind i = 0; i < NTD_EVENT_KIND_COUNT; i++) {
		cJSON *event = is_live(i) ? NULL : cJSON_GetArrayItem(events, 1 + count++);
		double at = cJSON_GetNumberValue(cJSON_GetObjectItem(event, "monotonic"));

		if (!event)
			continue;
		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(event, "kind")),
				    ntd_event_kind_name(i));
		assert_true(at >= ntd_seconds(began) - 0.001 &&
			    at <= ntd_seconds(ntd_now()) + 0.001);
		assert_int_equal(cJSON_HasObjectItem(event, "level"), i == NTD_EVENT_MESSAGE);
		assert_int_equal(cJSON_HasObjectItem(event, "failed"),
				 i == NTD_EVENT_NEST_END || i == NTD_EVENT_SUBTEST_END ||
					 i == NTD_EVENT_RUN_END);
	}
	assert_int_equal(cJSON_GetArraySize(events), 1 + count);
	assert_int_equal(count, NTD_EVENT_KIND_COUNT - 2);
	cJSON_Delete(events);
}

static void every_kind_has_a_name_of_its_own(void **state)
{
	for (int i = 0; i < NTD_EVENT_KIND_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(ntd_event_kind_name((enum ntd_event_kind)i),
						ntd_event_kind_name((enum ntd_event_kind)j));
	for (int i = 0; i < NTD_STEP_COUNT; i++)
		assert_int_equal(ntd_step_parse(ntd_step_name((enum ntd_step)i)), i);
	assert_int_equal(ntd_step_parse("bootx"), -1);
	for (int i = 0; i < NTD_EVENT_KIND_COUNT; i++)
		assert_int_equal(ntd_event_kind_parse(ntd_event_kind_name((enum ntd_event_kind)i)),
				 i);
	for (int i = 0; i < NTD_DETAIL_COUNT; i++)
		assert_int_equal(ntd_detail_parse(ntd_detail_name((enum ntd_detail)i)), i);
	assert_int_equal(ntd_event_level_parse("always"), NTD_LEVEL_ALWAYS);
	for (int i = 0; i < NTD_LEVEL_ALWAYS; i++)
		assert_int_equal(ntd_level_parse(ntd_level_name((enum ntd_level)i)), i);
	assert_int_equal(ntd_level_parse("always"), -1);
}

/* ---- events that no log shows */

struct counter {
	struct ntd_sink sink;
	int count;
};

static void count_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	(void)event;
	ntd_container_of(sink, struct counter, sink)->count++;
}

static void keep_counter(struct ntd_sink *sink)
{
	(void)sink; /* on the test's stack */
}

static void only_sinks_that_want_it_get_the_timeline(void **state)
{
	struct fixture *fixture = *state;
	struct counter log = {.sink = {.event = count_event, .close = keep_counter}}, all = log;
	struct ntd_event state_event = {.kind = NTD_EVENT_STATE, .text = "up"};
	struct ntd_event command = {.kind = NTD_EVENT_COMMAND_END, .text = "true"};

	ntd_report_add(fixture->report, &log.sink);
	assert_int_equal(emit(fixture, state_event), 0);
	assert_int_equal(emit(fixture, (struct ntd_event){.text = "message"}), 1);
	ntd_report_settle(fixture->report);
	all.sink.timeline = true;
	ntd_report_add(fixture->report, &all.sink);
	assert_int_equal(emit(fixture, state_event), 2);
	assert_int_equal(emit(fixture, command), 3);
	assert_int_equal(emit(fixture, (struct ntd_event){.text = "message"}), 4);
	end(fixture);
	assert_int_equal(log.count, 2);
	assert_int_equal(all.count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_xml_log_has_every_kind_of_event),
		test(the_xml_log_drops_control_characters),
		test(the_xml_log_takes_attributes_of_scripts),
		test(the_xml_log_is_closed_whatever_is_open),
		test(files_that_cannot_be_written_are_errors),
		test(devices_are_written_and_stay_devices),
		test(a_full_disk_is_told_and_does_not_stop_the_run),
		test(events_are_objects_a_line),
		test(events_tell_of_states_and_commands),
		test(events_have_every_kind_and_the_time_of_emission),
		test(every_kind_has_a_name_of_its_own),
		test(only_sinks_that_want_it_get_the_timeline),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	xmlCleanupParser();
	return failed;
}
