/* Doubly linked lists whose links are members of the items, so that an item joins and leaves a list
 * without allocation.
 *
 *	struct job {
 *		struct ntd_list_link link;
 *		...
 *	};
 *	struct ntd_list jobs = {0};
 *
 *	ntd_list_append(&jobs, &job->link);
 *	ntd_list_each (struct job, each, &jobs, link)
 *		...
 *	ntd_list_unlink(&job->link);
 *
 * Memory of zeros is an empty list, or a link that is in no list. A list that is not empty must not
 * be copied or moved in memory. The functions take no lock: a list belongs to one thread, or to the
 * mutex of the structure around it.
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

struct ntd_list_link {
	struct ntd_list *list; /* the list that the link is in, or NULL */
	struct ntd_list_link *before, *after;
};

struct ntd_list {
	struct ntd_list_link *first, *last; /* NULL when the list is empty */
};

static inline bool ntd_list_empty(const struct ntd_list *list)
{
	return !list->first;
}

/* Whether the link is in a list. */
static inline bool ntd_list_linked(const struct ntd_list_link *link)
{
	return link->list;
}

/* Puts a link that is in no list at the end. */
static inline void ntd_list_append(struct ntd_list *list, struct ntd_list_link *link)
{
	*link = (struct ntd_list_link){.list = list, .before = list->last};
	*(list->last ? &list->last->after : &list->first) = link;
	list->last = link;
}

/* Puts a link that is in no list at the beginning. */
static inline void ntd_list_prepend(struct ntd_list *list, struct ntd_list_link *link)
{
	*link = (struct ntd_list_link){.list = list, .after = list->first};
	*(list->first ? &list->first->before : &list->last) = link;
	list->first = link;
}

/* Takes the link out of its list; nothing happens to a link that is in none. */
static inline void ntd_list_unlink(struct ntd_list_link *link)
{
	struct ntd_list *list = link->list;

	if (!list)
		return;
	*(link->before ? &link->before->after : &list->first) = link->after;
	*(link->after ? &link->after->before : &list->last) = link->before;
	*link = (struct ntd_list_link){0};
}

/* Takes the first link out of the list and returns it; NULL when the list is empty. */
static inline struct ntd_list_link *ntd_list_unlink_first(struct ntd_list *list)
{
	struct ntd_list_link *link = list->first;

	if (!link)
		return NULL;
	list->first = link->after;
	*(link->after ? &link->after->before : &list->last) = NULL;
	*link = (struct ntd_list_link){0};
	return link;
}

/* Takes all links out of `from` and appends them to `to`, in their order. */
static inline void ntd_list_move(struct ntd_list *to, struct ntd_list *from)
{
	struct ntd_list_link *link;

	while ((link = ntd_list_unlink_first(from)))
		ntd_list_append(to, link);
}

/* The item of `type` whose link this is; NULL for NULL. `member` is the name of the link in the
 * item, here and below. */
#define ntd_list_item(link, type, member)                                                          \
	({                                                                                         \
		struct ntd_list_link *link_ = (link);                                              \
		link_ ? ntd_container_of(link_, type, member) : NULL;                              \
	})

/* The first item, or NULL. */
#define ntd_list_first(list, type, member) ntd_list_item((list)->first, type, member)

/* The first item, which is taken out of the list, or NULL. */
#define ntd_list_take(list, type, member) ntd_list_item(ntd_list_unlink_first(list), type, member)

/* A loop over the items of `type`, from the first to the last, each in a new variable `item`. The
 * body may unlink and free its own item, but not the one after it. What the body appends is visited
 * unless the body's item is the last. */
/* NOLINTBEGIN(bugprone-macro-parentheses): the parameters are a type and a new variable */
#define ntd_list_each(type, item, list, member)                                                    \
	for (type *item = ntd_list_first(list, type, member), *item##_after;                       \
	     item && ((item##_after = ntd_list_item(item->member.after, type, member)), true);     \
	     item = item##_after)
/* NOLINTEND(bugprone-macro-parentheses) */
