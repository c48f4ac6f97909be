/* Allocation that aborts when memory is gone, and ownership in declarations.
 *
 * A pointer or descriptor declared with one of the cleanup attributes is released at the end of its
 * scope; ntd_steal() and ntd_steal_fd() hand it on instead. Sizes that come from a guest or a file
 * are limited by the caller before they get here.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Has the compiler check a format: argument number `fmt` of the function, its values from number
 * `args` on. */
#define ntd_printf(fmt, args) __attribute__((format(printf, fmt, args)))

/* Tells the compiler that the function never returns NULL. */
#define ntd_returns __attribute__((returns_nonnull))

void *ntd_malloc(size_t size) ntd_returns;
void *ntd_calloc(size_t count, size_t size) ntd_returns;
void *ntd_realloc(void *old, size_t size) ntd_returns;
char *ntd_strdup(const char *text) ntd_returns;
char *ntd_strndup(const char *text, size_t len) ntd_returns;
/* Formatting and reading of numbers use the decimal point, whatever locale a script has chosen. */
char *ntd_asprintf(const char *fmt, ...) ntd_printf(1, 2) ntd_returns;
char *ntd_vasprintf(const char *fmt, va_list args) ntd_printf(1, 0) ntd_returns;
double ntd_strtod(const char *text, char **end);
/* In a function whose last parameters are the format `fmt` and its values: their text, a new
 * string. */
#define ntd_formatted(fmt)                                                                         \
	({                                                                                         \
		va_list args_;                                                                     \
		char *text_;                                                                       \
		va_start(args_, fmt);                                                              \
		text_ = ntd_vasprintf(fmt, args_);                                                 \
		va_end(args_);                                                                     \
		text_;                                                                             \
	})

/* Arrays of strings that end with NULL. Freeing also frees the strings; NULL is allowed. */
void ntd_strv_free(char **strings);
size_t ntd_strv_count(char *const *strings); /* 0 for NULL */
/* Appends a copy of the string to the array, which may be NULL. */
void ntd_strv_add(char ***strings, const char *string);
/* Appends the string itself, which belongs to the array from then on. */
void ntd_strv_give(char ***strings, char *string);
char **ntd_strv_copy(char *const *strings); /* NULL for NULL */

static inline void ntd_cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void ntd_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void ntd_cleanup_strv(char ***strings)
{
	ntd_strv_free(*strings);
}

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _cleanup_free_ _cleanup_(ntd_cleanup_free)
#define _cleanup_fd_ _cleanup_(ntd_cleanup_fd)
#define _cleanup_strv_ _cleanup_(ntd_cleanup_strv)

/* Takes the value out of an owning variable, so that its cleanup does nothing. */
#define ntd_steal(pointer)                                                                         \
	({                                                                                         \
		__typeof__(*(pointer)) stolen_ = *(pointer);                                       \
		*(pointer) = NULL;                                                                 \
		stolen_;                                                                           \
	})

static inline int ntd_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Closes the descriptor unless it is negative, and makes it -1. */
static inline void ntd_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The structure of `type` of which `pointer` is the address of `member`. */
#define ntd_container_of(pointer, type, member)                                                    \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))
