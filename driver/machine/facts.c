/* Asking QEMU what it emulates, and comparing that with what was recorded. On script threads; what
 * is pure, on any.
 *
 * A state can only be loaded where the same devices are, in the same order. They are those in the
 * two parts of QEMU's tree that have what the command line has added: with a name, and without
 * one, numbered. A fact that this QEMU cannot tell is empty, and equals one that the other could
 * not tell.
 */
#include "machine/facts.h"

#include "base/text.h"
#include "machine/qemu_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { DEVICES_MAX = 1000, TEXT_MAX = 200 };

const char *const ntd_fact_names[NTD_FACTS] = {
	[NTD_FACT_QEMU] = "qemu",
	[NTD_FACT_MACHINE] = "machine type",
	[NTD_FACT_ACCELERATOR] = "accelerator",
	[NTD_FACT_CPU] = "cpu model",
	[NTD_FACT_PROCESSORS] = "processors",
	[NTD_FACT_MEMORY] = "memory",
	[NTD_FACT_DEVICES] = "devices",
};

/* ---- asking */

/* Where the questions go, and the last error that means that QEMU cannot be asked any more. */
struct asking {
	struct ntd_machine *machine;
	struct ntd_waiter *waiter;
	struct ntd_error *error;
};

/* The reply, which has `return`; NULL: QEMU does not know the command, or there is an error. */
static cJSON *ask(struct asking *asking, const char *command, cJSON *arguments)
{
	struct ntd_error *error = NULL;
	cJSON *reply;

	if (asking->error) {
		cJSON_Delete(arguments);
		return NULL;
	}
	reply = ntd_qemu_execute(asking->machine, command, arguments, asking->waiter, &error);
	if (reply)
		return reply;
	if (error->code == NTD_E_MACHINE)
		ntd_error_free(error);
	else
		asking->error = error;
	return NULL;
}

static const cJSON *value_of(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(value_of(object, key));

	return text ? text : "";
}

static int number_of(const cJSON *object, const char *key)
{
	const cJSON *value = value_of(object, key);

	return cJSON_IsNumber(value) ? value->valueint : 0;
}

static char *version(struct asking *asking)
{
	_cleanup_cjson_ cJSON *reply = ask(asking, "query-version", NULL);
	const cJSON *result = value_of(reply, "return"), *qemu = value_of(result, "qemu");
	const char *package = text_of(result, "package");

	if (!qemu)
		return NULL;
	return ntd_asprintf("%d.%d.%d%s%.*s%s", number_of(qemu, "major"), number_of(qemu, "minor"),
			    number_of(qemu, "micro"), *package ? " (" : "", TEXT_MAX, package,
			    *package ? ")" : "");
}

/* The type of an object in QEMU's tree. */
static char *type_of(struct asking *asking, const char *path)
{
	cJSON *arguments = cJSON_CreateObject();
	_cleanup_cjson_ cJSON *reply = NULL;
	const char *type;

	cJSON_AddStringToObject(arguments, "path", path);
	cJSON_AddStringToObject(arguments, "property", "type");
	reply = ask(asking, "qom-get", arguments);
	type = cJSON_GetStringValue(value_of(reply, "return"));
	return type ? ntd_strndup(type, strnlen(type, TEXT_MAX)) : NULL;
}

static char *accelerator(struct asking *asking)
{
	_cleanup_cjson_ cJSON *reply = ask(asking, "query-kvm", NULL);
	const cJSON *enabled = value_of(value_of(reply, "return"), "enabled");

	return cJSON_IsBool(enabled) ? ntd_strdup(cJSON_IsTrue(enabled) ? "kvm" : "tcg") : NULL;
}

static void ask_processors(struct asking *asking, struct ntd_facts *facts)
{
	_cleanup_cjson_ cJSON *reply = ask(asking, "query-cpus-fast", NULL);
	const cJSON *list = value_of(reply, "return"), *first = cJSON_GetArrayItem(list, 0);

	if (!first)
		return;
	facts->values[NTD_FACT_PROCESSORS] = ntd_asprintf("%d", cJSON_GetArraySize(list));
	facts->values[NTD_FACT_CPU] = type_of(asking, text_of(first, "qom-path"));
}

static char *memory(struct asking *asking)
{
	_cleanup_cjson_ cJSON *reply = ask(asking, "query-memory-size-summary", NULL);
	const cJSON *size = value_of(value_of(reply, "return"), "base-memory");

	return cJSON_IsNumber(size) ? ntd_asprintf("%.0f bytes", size->valuedouble) : NULL;
}

/* ---- devices */

/* "child<virtio-net-pci>" without what is around the type; a new string. NULL: it is no device. */
static char *child_type(const char *type)
{
	static const char before[] = "child<";
	size_t len = strlen(type), skip = sizeof before - 1;

	if (len < skip + 2 || len > TEXT_MAX || strncmp(type, before, skip) != 0)
		return NULL;
	return ntd_strndup(type + skip, len - skip - 1);
}

static int by_text(const void *left, const void *right)
{
	/* device[2] comes before device[10] */
	return strverscmp(*(char *const *)left, *(char *const *)right);
}

/* Appends "NAME TYPE" of the children of an object, sorted by their names; but not the driver's own
 * ports, which come and go. */
static void list_children(struct asking *asking, const char *path, char ***children)
{
	cJSON *arguments = cJSON_CreateObject();
	_cleanup_cjson_ cJSON *reply = NULL;
	size_t before = ntd_strv_count(*children), count = before;
	const cJSON *each;

	cJSON_AddStringToObject(arguments, "path", path);
	reply = ask(asking, "qom-list", arguments);
	cJSON_ArrayForEach (each, value_of(reply, "return")) {
		_cleanup_free_ char *type = child_type(text_of(each, "type"));

		if (!type || count == DEVICES_MAX ||
		    ntd_has_prefix(text_of(each, "name"), NTD_DATA_PORT_PREFIX))
			continue;
		ntd_strv_give(children,
			      ntd_asprintf("%.*s %s", TEXT_MAX, text_of(each, "name"), type));
		count++;
	}
	if (count > before)
		qsort(*children + before, count - before, sizeof **children, by_text);
}

static char *devices(struct asking *asking)
{
	_cleanup_strv_ char **children = NULL;
	struct ntd_buf text = {0};

	list_children(asking, "/machine/peripheral-anon", &children);
	list_children(asking, "/machine/peripheral", &children);
	for (char **child = children; child && *child; child++)
		ntd_buf_printf(&text, "%s%s", text.len ? ", " : "", strrchr(*child, ' ') + 1);
	return ntd_buf_take_string(&text);
}

int ntd_facts_ask(struct ntd_machine *machine, struct ntd_facts *facts, struct ntd_waiter *waiter,
		  struct ntd_error **err)
{
	struct asking asking = {.machine = machine, .waiter = waiter};

	*facts = (struct ntd_facts){0};
	facts->values[NTD_FACT_QEMU] = version(&asking);
	facts->values[NTD_FACT_MACHINE] = type_of(&asking, "/machine");
	facts->values[NTD_FACT_ACCELERATOR] = accelerator(&asking);
	ask_processors(&asking, facts);
	facts->values[NTD_FACT_MEMORY] = memory(&asking);
	facts->values[NTD_FACT_DEVICES] = devices(&asking);
	return asking.error ? ntd_error_move(err, asking.error) : 0;
}

/* ---- comparing; pure */

static const char *shown(const struct ntd_facts *facts, size_t i)
{
	return facts->values[i] ? facts->values[i] : "";
}

/* Of two lists of devices, only where they begin to differ is of interest. */
static void add_devices(struct ntd_buf *text, const char *recorded, const char *here)
{
	size_t same = 0, number = 1;

	for (size_t i = 0; recorded[i] && recorded[i] == here[i]; i++)
		if (recorded[i] == ' ') {
			same = i + 1;
			number++;
		}
	ntd_buf_printf(text, "\n    devices, from number %zu on: recorded %s, here %s", number,
		       recorded[same] ? recorded + same : "none",
		       here[same] ? here + same : "none");
}

char *ntd_facts_differences(const struct ntd_facts *recorded, const struct ntd_facts *here)
{
	struct ntd_buf text = {0};

	for (size_t i = 0; i < NTD_FACTS; i++) {
		const char *then = shown(recorded, i), *now = shown(here, i);

		if (!strcmp(then, now))
			continue;
		if (i == NTD_FACT_DEVICES)
			add_devices(&text, then, now);
		else
			ntd_buf_printf(&text, "\n    %s: recorded %s, here %s", ntd_fact_names[i],
				       *then ? then : "unknown", *now ? now : "unknown");
	}
	return ntd_buf_take_string(&text);
}

char *ntd_facts_hash(const struct ntd_facts *facts)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < NTD_FACTS; i++) {
		const char *value = shown(facts, i);

		/* with the NUL, which keeps the values apart */
		for (size_t j = 0; j <= strlen(value); j++)
			hash = (hash ^ (unsigned char)value[j]) * 0x100000001b3;
	}
	return ntd_asprintf("%016" PRIx64, hash);
}

void ntd_facts_free(struct ntd_facts *facts)
{
	for (size_t i = 0; i < NTD_FACTS; i++)
		free(facts->values[i]);
	*facts = (struct ntd_facts){0};
}
