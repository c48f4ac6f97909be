/* Allocation and arrays of strings. Any thread. */
#include "base/mem.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static void *checked(void *pointer)
{
	if (!pointer) {
		fputs("nixos-test-driver: out of memory\n", stderr);
		abort();
	}
	return pointer;
}

void *ntd_malloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *ntd_calloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *ntd_realloc(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1));
}

char *ntd_strdup(const char *text)
{
	return checked(strdup(text));
}

char *ntd_strndup(const char *text, size_t len)
{
	return checked(strndup(text, len));
}

/* newlocale() returns the C library's own object for the locale "C", which needs no freelocale().
 */
char *ntd_vasprintf(const char *fmt, va_list args)
{
	locale_t scripts = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	uselocale(scripts);
	return checked(text);
}

double ntd_strtod(const char *text, char **end)
{
	locale_t scripts = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
	double number = strtod(text, end);

	uselocale(scripts);
	return number;
}

char *ntd_asprintf(const char *fmt, ...)
{
	return ntd_formatted(fmt);
}

void ntd_strv_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

size_t ntd_strv_count(char *const *strings)
{
	size_t count = 0;

	while (strings && strings[count])
		count++;
	return count;
}

void ntd_strv_give(char ***strings, char *string)
{
	size_t count = ntd_strv_count(*strings);

	*strings = ntd_realloc(*strings, (count + 2) * sizeof **strings);
	(*strings)[count] = string;
	(*strings)[count + 1] = NULL;
}

void ntd_strv_add(char ***strings, const char *string)
{
	ntd_strv_give(strings, ntd_strdup(string));
}

char **ntd_strv_copy(char *const *strings)
{
	size_t count = ntd_strv_count(strings);
	char **copy = strings ? ntd_calloc(count + 1, sizeof *copy) : NULL;

	for (size_t i = 0; copy && i < count; i++)
		copy[i] = ntd_strdup(strings[i]);
	return copy;
}
