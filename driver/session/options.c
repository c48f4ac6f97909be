/* getopt_long finds options, their prefixes and their values. It is told to return other words in
 * place, so that a word goes to the list option before it, if one is open, and else is the test
 * script. What argparse does and getopt_long does not: a separate value may not look like an
 * option, -o=X means X, and an unknown or ambiguous option is explained.
 */
#include "session/options.h"

#include "base/text.h"
#include "session/option_table.h"

#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <string.h>

#define MAX_OPTIONS 64
/* getopt's value of a row is LONG_VALUE + its index, so that every row counts as different. */
#define LONG_VALUE 256
#define SPACE " \t\n\v\f\r"

struct parser {
	struct ntd_options *options;
	const struct ntd_option *list; /* takes the next plain word; NULL: none is open */
	bool given[MAX_OPTIONS];       /* by table row */
	struct option longs[MAX_OPTIONS + 1];
	char letters[2 * MAX_OPTIONS + 3];
};

static void *field_of(struct ntd_options *options, const struct ntd_option *option)
{
	return (char *)options + option->field;
}

static const struct ntd_option *positional(void)
{
	return ntd_option_table;
}

static void prepare(struct parser *p)
{
	static const int has_arg[] = {
		[NTD_NO_WORD] = no_argument,
		[NTD_ONE_WORD] = required_argument,
		[NTD_WORDS] = optional_argument,
	};
	static_assert(sizeof has_arg / sizeof *has_arg == NTD_WORDS + 1, "getopt knows each kind");
	char *letter = p->letters;

	assert(ntd_option_count <= MAX_OPTIONS && !positional()->name);
	*letter++ = '-'; /* return plain words in place */
	*letter++ = ':'; /* say ':' for a missing value, print nothing */
	for (size_t i = 1; i < ntd_option_count; i++) {
		const struct ntd_option *option = &ntd_option_table[i];

		p->longs[i - 1] = (struct option){
			.name = option->name,
			.has_arg = has_arg[option->type->takes],
			.val = LONG_VALUE + (int)i,
		};
		if (option->letter)
			*letter++ = option->letter;
		if (option->letter && option->type->takes == NTD_ONE_WORD)
			*letter++ = ':';
	}
}

/* The row of what getopt returned. */
static const struct ntd_option *option_of(int c)
{
	if (c >= LONG_VALUE)
		return &ntd_option_table[c - LONG_VALUE];
	for (size_t i = 1; i < ntd_option_count; i++)
		if (ntd_option_table[i].letter == c)
			return &ntd_option_table[i];
	return NULL;
}

static int argument_error(const struct ntd_option *option, struct ntd_error **err, const char *what)
{
	_cleanup_free_ char *name = ntd_option_name(option);

	return ntd_error_set(err, NTD_E_USAGE, "argument %s: %s", name, what);
}

static int store(struct parser *p, const struct ntd_option *option, const char *word,
		 struct ntd_error **err)
{
	_cleanup_free_ char *name = NULL;

	p->given[option - ntd_option_table] = true;
	if (!option->type->add(field_of(p->options, option), word, err))
		return 0;
	name = ntd_option_name(option);
	return ntd_error_wrap(err, "argument %s", name);
}

static bool field_given(const struct parser *p, size_t field)
{
	for (size_t i = 0; i < ntd_option_count; i++)
		if (p->given[i] && ntd_option_table[i].field == field)
			return true;
	return false;
}

/* A plain word. */
static int take_word(struct parser *p, const char *word, struct ntd_error **err)
{
	if (p->list)
		return store(p, p->list, word, err);
	if (field_given(p, positional()->field))
		return ntd_error_set(err, NTD_E_USAGE, "unrecognized argument: %s", word);
	return store(p, positional(), word, err);
}

static bool looks_like_option(const char *word)
{
	return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]) && !strchr(word, ' ');
}

/* `value` is NULL where there was none; `separate`: it was a word of its own. */
static int take_option(struct parser *p, const struct ntd_option *option, const char *value,
		       bool separate, struct ntd_error **err)
{
	const struct ntd_option_type *type = option->type;

	p->list = NULL;
	if (type->takes != NTD_WORDS) {
		if (value && separate && looks_like_option(value))
			return argument_error(option, err, "expected one argument");
		return store(p, option, value, err);
	}
	type->clear(field_of(p->options, option));
	p->given[option - ntd_option_table] = true;
	if (value)
		return store(p, option, value, err);
	p->list = option;
	return 0;
}

/* Levenshtein distance of `a` and `b`, both shorter than 64. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[64];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0]++;

		for (size_t j = 1; j <= b_len; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

/* The option whose name, whole or cut short, is close to what was written, or NULL. */
static const char *nearest(const char *word, size_t len)
{
	size_t best = (len + 1) / 3 + 1; /* one slip in three letters */
	const char *name = NULL;

	for (size_t i = 1; i < ntd_option_count && len < 64; i++) {
		const char *candidate = ntd_option_table[i].name;
		size_t whole = strlen(candidate), cut = whole < len ? whole : len;
		size_t there = distance(word, len, candidate, whole);

		if (there > best)
			there = distance(word, len, candidate, cut);
		if (there < best) {
			best = there;
			name = candidate;
		}
	}
	return name;
}

/* What an error adds for those who have called pytest by itself before. */
static const char *pytest_hint(const struct parser *p)
{
	return p->options->pytest_session ? " (pytest's own options follow --)" : "";
}

/* A long option that getopt did not take: several begin like it, or none. */
static int refuse_long(const struct parser *p, const char *word, struct ntd_error **err)
{
	size_t len = strcspn(word, "="), count = 0;
	_cleanup_buf_ struct ntd_buf names = {0};
	const char *close;

	for (size_t i = 1; i < ntd_option_count; i++)
		if (!strncmp(ntd_option_table[i].name, word + 2, len - 2))
			ntd_buf_printf(&names, "%s--%s", count++ ? ", " : "",
				       ntd_option_table[i].name);
	if (count)
		return ntd_error_set(err, NTD_E_USAGE, "ambiguous option: %.*s could be %.*s",
				     (int)len, word, (int)names.len, ntd_buf_bytes(&names));
	close = nearest(word + 2, len - 2);
	if (close)
		return ntd_error_set(err, NTD_E_USAGE, "unknown option: %.*s (did you mean --%s?)",
				     (int)len, word, close);
	return ntd_error_set(err, NTD_E_USAGE, "unknown option: %.*s%s", (int)len, word,
			     pytest_hint(p));
}

/* What getopt answered with '?': `option` is its optopt, `word` the last word it looked at. */
static int refuse(struct parser *p, int option, const char *word, struct ntd_error **err)
{
	if (option >= LONG_VALUE)
		return argument_error(option_of(option), err, "takes no value");
	if (!option)
		return refuse_long(p, word, err);
	if (isdigit(option) && p->list && store(p, p->list, word, err) < 0)
		return -1; /* --vlans -1 */
	return ntd_error_set(err, NTD_E_USAGE, "unknown option: -%c%s", option, pytest_hint(p));
}

/* One step of getopt: returns 0, -1 with *err set, or 1 at the end of the options. */
static int parse_word(struct parser *p, int argc, char *const *argv, struct ntd_error **err)
{
	const char *word = argv[optind ? optind : 1]; /* getopt may not leave it yet: -KI */
	int c = getopt_long(argc, argv, p->letters, p->longs, NULL);
	bool separate = optarg && optarg != word && optarg == argv[optind - 1];

	switch (c) {
	case -1:
		return 1;
	case '?':
		return refuse(p, optopt, word, err);
	case ':':
		return argument_error(option_of(optopt), err, "expected one argument");
	case 1:
		return take_word(p, optarg, err);
	default:
		if (c < LONG_VALUE && !separate && optarg && *optarg == '=')
			optarg++; /* -o=X */
		return take_option(p, option_of(c), optarg, separate, err);
	}
}

static int parse_words(struct parser *p, int argc, char *const *argv, struct ntd_error **err)
{
	int status = 0;

	optind = 0; /* start anew */
	while (!status && !p->options->help && !p->options->version)
		status = parse_word(p, argc, argv, err);
	while (status == 1 && optind < argc)
		ntd_strv_add(&p->options->pytest_arguments, argv[optind++]);
	return status;
}

static int store_variable(struct parser *p, const struct ntd_option *option, const char *value,
			  struct ntd_error **err)
{
	_cleanup_free_ char *copy = ntd_strdup(value);
	void *field = field_of(p->options, option);
	char *rest = copy, *word;
	int status = 0;

	p->given[option - ntd_option_table] = true;
	if (option->type->takes != NTD_WORDS)
		status = option->type->add(field, copy, err);
	else
		while (!status && (word = strsep(&rest, SPACE)))
			if (*word)
				status = option->type->add(field, word, err);
	if (status < 0)
		return ntd_error_wrap(err, "environment variable %s", option->variable);
	return 0;
}

static int apply_environment(struct parser *p, struct ntd_error **err)
{
	for (size_t i = 0; i < ntd_option_count; i++) {
		const struct ntd_option *option = &ntd_option_table[i];
		const char *value = option->variable ? getenv(option->variable) : NULL;

		if (!value || !*value || field_given(p, option->field))
			continue;
		if (p->options->config && option->with_config != NTD_UNRELATED)
			continue;
		if (p->options->pytest_session && option == positional())
			continue;
		if (store_variable(p, option, value, err) < 0)
			return -1;
	}
	return 0;
}

/* The options for kept states have meanings only alone. */
static int check_kept_states(const struct ntd_options *options, struct ntd_error **err)
{
	const char *name = options->reopen      ? "--reopen"
			   : options->save_boot ? "--save-boot"
			   : options->boot_from ? "--boot-from"
						: NULL;
	const struct {
		bool given;
		const char *name;
	} others[] = {
		{options->reopen && options->save_boot, "--save-boot"},
		{(options->reopen || options->save_boot) && options->boot_from, "--boot-from"},
		{options->keep_state, "-K/--keep-machine-state"},
		{options->pytest_session, "--pytest"},
		{options->save_boot && options->interactive, "-I/--interactive"},
	};

	if (options->boot_script && !options->save_boot)
		return ntd_error_set(err, NTD_E_USAGE,
				     "argument --boot-script: only --save-boot runs it");
	for (size_t i = 0; name && i < sizeof others / sizeof *others; i++)
		if (others[i].given)
			return ntd_error_set(err, NTD_E_USAGE, "argument %s: not allowed with %s",
					     name, others[i].name);
	return 0;
}

static int check_exclusions(const struct parser *p, struct ntd_error **err)
{
	for (size_t i = 0; i < ntd_option_count; i++)
		if (p->options->config && p->given[i] &&
		    ntd_option_table[i].with_config == NTD_EXCLUDED)
			return argument_error(&ntd_option_table[i], err,
					      "not allowed with argument -c/--config");
	if (check_kept_states(p->options, err) < 0)
		return -1;
	if (p->options->pytest_session && p->options->test_script)
		return ntd_error_set(err, NTD_E_USAGE,
				     "argument --pytest: there can be no test script (%s); what "
				     "pytest is to run follows --",
				     p->options->test_script);
	return 0;
}

/* What follows "--" is pytest's, but a first word that is no option is the test script where the
 * command line names none, as with argparse. */
static void split_rest(struct parser *p)
{
	char **rest = p->options->pytest_arguments;

	if (!rest || **rest == '-' || p->options->config || p->options->test_script ||
	    p->options->pytest_session)
		return;
	p->given[0] = true;
	p->options->test_script = rest[0];
	memmove(rest, rest + 1, ntd_strv_count(rest) * sizeof *rest);
	if (!*rest)
		free(ntd_steal(&p->options->pytest_arguments));
}

int ntd_options_parse(struct ntd_options *options, int argc, char *const *argv,
		      struct ntd_error **err)
{
	struct parser p = {.options = options};

	*options = (struct ntd_options){.log_level = NTD_LEVEL_INFO};
	prepare(&p);
	if (parse_words(&p, argc, argv, err) < 0)
		return -1;
	if (options->help || options->version)
		return 0;
	if (check_exclusions(&p, err) < 0)
		return -1;
	split_rest(&p);
	return apply_environment(&p, err);
}

void ntd_options_free(struct ntd_options *options)
{
	ntd_strv_free(options->pytest_arguments);
	for (size_t i = 0; i < ntd_option_count; i++)
		if (ntd_option_table[i].type->clear)
			ntd_option_table[i].type->clear(field_of(options, &ntd_option_table[i]));
}
