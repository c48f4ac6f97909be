/* The log as XML, in upstream's format:
 *
 *   <logfile>
 *   <line machine="NAME">text</line>
 *   <line machine="NAME" type="serial">console line</line>
 *   <nest><head machine="NAME">step</head>
 *   ...
 *   <line>(finished: step, in 0.12 seconds)</line>
 *   </nest>
 *   </logfile>
 *
 * A step that has failed has no line "finished". Steps of several threads may overlap, but elements
 * cannot, so the end of any step closes the innermost <nest>. The log has every message, whatever
 * its level. Events of kinds that upstream does not know are left out.
 */
#include "report/outfile.h"
#include "report/sinks.h"

#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

struct xml {
	struct ntd_sink sink;
	struct ntd_outfile file;
	xmlTextWriterPtr writer;
	size_t depth; /* open <nest> elements */
};

static void write_attribute(struct xml *xml, const char *name, const char *value)
{
	_cleanup_free_ char *text = ntd_outfile_text(value, strlen(value), NTD_CONTROLS_LAYOUT);

	xmlTextWriterWriteAttribute(xml->writer, BAD_CAST name, BAD_CAST text);
}

/* Attributes come from scripts. A name is left out that XML does not allow or that the element has
 * already. */
static bool usable_name(const struct ntd_event *event, size_t index)
{
	const char *name = event->attributes[index];

	if (xmlValidateNCName(BAD_CAST name, 0))
		return false;
	if (event->machine && !strcmp(name, "machine"))
		return false;
	if (event->kind == NTD_EVENT_SERIAL && !strcmp(name, "type"))
		return false;
	for (size_t i = 0; i < index; i += 2)
		if (!strcmp(event->attributes[i], name))
			return false;
	return true;
}

static void write_attributes(struct xml *xml, const struct ntd_event *event)
{
	char **attributes = event->attributes;

	if (event->machine)
		write_attribute(xml, "machine", event->machine);
	if (event->kind == NTD_EVENT_SERIAL)
		write_attribute(xml, "type", "serial");
	for (size_t i = 0; attributes && attributes[i] && attributes[i + 1]; i += 2)
		if (usable_name(event, i))
			write_attribute(xml, attributes[i], attributes[i + 1]);
}

static void write_text(struct xml *xml, const struct ntd_event *event)
{
	enum ntd_controls controls =
		event->kind == NTD_EVENT_SERIAL ? NTD_CONTROLS_NONE : NTD_CONTROLS_LAYOUT;
	_cleanup_free_ char *text = ntd_outfile_text(event->text, event->text_len, controls);

	xmlTextWriterWriteString(xml->writer, BAD_CAST text);
}

static void end_element(struct xml *xml)
{
	xmlTextWriterEndElement(xml->writer);
	xmlTextWriterWriteString(xml->writer, BAD_CAST "\n");
}

static void write_line(struct xml *xml, const struct ntd_event *event)
{
	xmlTextWriterStartElement(xml->writer, BAD_CAST "line");
	write_attributes(xml, event);
	write_text(xml, event);
	end_element(xml);
}

static void begin_nest(struct xml *xml, const struct ntd_event *event, const char *title)
{
	xmlTextWriterStartElement(xml->writer, BAD_CAST "nest");
	xmlTextWriterStartElement(xml->writer, BAD_CAST "head");
	write_attributes(xml, event);
	xmlTextWriterWriteString(xml->writer, BAD_CAST title);
	write_text(xml, event);
	end_element(xml);
	xml->depth++;
}

static void end_nest(struct xml *xml, const struct ntd_event *event, const char *title)
{
	if (!event->failed) {
		_cleanup_free_ char *seconds = ntd_asprintf(", in %.2f seconds)", event->seconds);

		xmlTextWriterStartElement(xml->writer, BAD_CAST "line");
		xmlTextWriterWriteString(xml->writer, BAD_CAST "(finished: ");
		xmlTextWriterWriteString(xml->writer, BAD_CAST title);
		write_text(xml, event);
		xmlTextWriterWriteString(xml->writer, BAD_CAST seconds);
		end_element(xml);
	}
	if (xml->depth) {
		xml->depth--;
		end_element(xml);
	}
}

static void xml_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct xml *xml = ntd_container_of(sink, struct xml, sink);

	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
	case NTD_EVENT_SERIAL:
	case NTD_EVENT_TEST_ERROR:
		write_line(xml, event);
		break;
	case NTD_EVENT_NEST_BEGIN:
		begin_nest(xml, event, "");
		break;
	case NTD_EVENT_NEST_END:
		end_nest(xml, event, "");
		break;
	case NTD_EVENT_SUBTEST_BEGIN:
		begin_nest(xml, event, "subtest: ");
		break;
	case NTD_EVENT_SUBTEST_END:
		end_nest(xml, event, "subtest: ");
		break;
	case NTD_EVENT_RUN_END:
	case NTD_EVENT_STATE:
	case NTD_EVENT_COMMAND_END:
	case NTD_EVENT_OUTPUT:
	case NTD_EVENT_BUSY:
	case NTD_EVENT_IDLE:
	case NTD_EVENT_DETAIL:
	case NTD_EVENT_KIND_COUNT:
	default:
		break;
	}
}

static void xml_flush(struct ntd_sink *sink)
{
	xmlTextWriterFlush(ntd_container_of(sink, struct xml, sink)->writer);
}

static void xml_close(struct ntd_sink *sink)
{
	struct xml *xml = ntd_container_of(sink, struct xml, sink);
	struct ntd_error *error = NULL;

	xmlTextWriterEndDocument(xml->writer); /* closes what is open */
	xmlFreeTextWriter(xml->writer);
	ntd_outfile_close(&xml->file, &error);
	ntd_outfile_complain(error);
	free(xml);
}

struct ntd_sink *ntd_xml_sink(const char *path, struct ntd_error **err)
{
	struct xml *xml = ntd_calloc(1, sizeof *xml);

	if (ntd_outfile_open(&xml->file, path, err) < 0) {
		free(xml);
		return NULL;
	}
	xml->sink = (struct ntd_sink){.event = xml_event, .flush = xml_flush, .close = xml_close};
	xml->writer = ntd_outfile_xml(&xml->file);
	xmlTextWriterStartDocument(xml->writer, NULL, "utf-8", NULL);
	xmlTextWriterStartElement(xml->writer, BAD_CAST "logfile");
	xmlTextWriterWriteString(xml->writer, BAD_CAST "\n");
	return &xml->sink;
}
