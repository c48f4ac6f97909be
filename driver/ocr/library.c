/* Loading libtesseract, on the thread of the script that is the first to need it; what is loaded is
 * the same for all threads.
 */
#include "ocr/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { OLDEST_MAJOR = 4, OLDEST_MINOR = 1, SEVERITY_NONE = 6 };

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define ENTRY(result, name, parameters) {#name, offsetof(struct ntd_ocr_library, name)},
	NTD_OCR_FUNCTIONS(ENTRY)
#undef ENTRY
};

static void *open_library(struct ntd_error **err)
{
	static const char *const names[] = {"libtesseract.so.5", "libtesseract.so.4"};
	_cleanup_free_ char *why = NULL;
	void *handle = NULL;

	for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++) {
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (!handle && !why) /* the error about the newest version */
			why = ntd_strdup(dlerror());
	}
	if (!handle)
		ntd_error_set(err, NTD_E_MACHINE, "cannot load %s", why);
	return handle;
}

/* dlsym() also looks in the libraries that this one is linked with, so leptonica's functions are
 * those that libtesseract itself uses. */
static bool find(void *handle, const char *name, void *slot)
{
	void *address = dlsym(handle, name);

	memcpy(slot, &address, sizeof address);
	return address;
}

/* Version 4.0 ends the process when the locale is not "C". */
static int check_version(const char *version, struct ntd_error **err)
{
	int major = 0, minor = 0;
	int fields = sscanf(version + (*version == 'v'), "%d.%d", &major, &minor);

	if (fields == 2 &&
	    (major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR)))
		return 0;
	return ntd_error_set(err, NTD_E_MACHINE, "libtesseract %s is older than %d.%d", version,
			     OLDEST_MAJOR, OLDEST_MINOR);
}

int ntd_ocr_library_load(struct ntd_ocr_library *library, struct ntd_error **err)
{
	void *handle = open_library(err);

	if (!handle)
		return -1;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (!find(handle, functions[i].name, (char *)library + functions[i].offset))
			return ntd_error_set(err, NTD_E_MACHINE,
					     "libtesseract comes without the function %s",
					     functions[i].name);
	find(handle, "omp_set_dynamic", &library->omp_set_dynamic);
	find(handle, "omp_set_num_threads", &library->omp_set_num_threads);
	library->setMsgSeverity(SEVERITY_NONE);
	return check_version(library->TessVersion(), err);
}
