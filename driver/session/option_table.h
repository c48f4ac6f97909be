/* The table of options, which drives parsing, --help, the man page and clean-up. Within session/
 * only. */
#pragma once

#include "session/options.h"

enum ntd_option_takes {
	NTD_NO_WORD,
	NTD_ONE_WORD,
	NTD_WORDS, /* all up to the next option; --option=WORD takes just that one */
};

/* What an option's words become, in its field of struct ntd_options. */
struct ntd_option_type {
	enum ntd_option_takes takes;
	int (*add)(void *field, const char *word, struct ntd_error **err); /* of no word: NULL */
	void (*clear)(void *field); /* frees the field; needed by lists. NULL: nothing to free */
};

/* What --config FILE means for an option that belongs to a configuration without a file. */
enum ntd_with_config {
	NTD_UNRELATED, /* nothing */
	NTD_OVERRIDES, /* given explicitly it wins over the file; its variable is ignored */
	NTD_EXCLUDED,  /* given explicitly it is an error; its variable is ignored */
};

struct ntd_option {
	const char *name; /* without --; NULL for the positional argument */
	const struct ntd_option_type *type;
	size_t field;         /* offset in struct ntd_options; aliases share one */
	const char *value;    /* what the value is called in the help */
	const char *variable; /* environment variable with the default, or NULL */
	const char *fallback; /* the default as --help tells it, or NULL */
	const char *help;     /* NULL: not listed */
	const char *heading;  /* of a group of options that begins here, in the help; or NULL */
	enum ntd_with_config with_config;
	char letter; /* 0: none */
};

extern const struct ntd_option ntd_option_table[];
extern const size_t ntd_option_count;

/* "-o/--output_directory", as messages call it; a new string. */
char *ntd_option_name(const struct ntd_option *option);
