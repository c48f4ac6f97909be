/* Arrays that grow, of items of any type.
 *
 *	ntd_vec(int) numbers = {0};
 *
 *	ntd_vec_push(&numbers, 4);
 *	for (size_t i = 0; i < numbers.count; i++)
 *		use(numbers.items[i]);
 *	ntd_vec_free(&numbers);
 *
 * Memory of zeros is an empty array. An array owns the memory of its items, but not what they point
 * to. Pushing may move the items, so a pointer to an item is valid until the next push. The macros
 * take no lock.
 */
#pragma once

#include "base/mem.h"

#include <assert.h>
#include <string.h>

/* The type of an array, of which the first `count` items are in use. The array that a function
 * takes has a named type: `struct numbers ntd_vec_members(int);` declares one. */
/* NOLINTBEGIN(bugprone-macro-parentheses): the parameter is a type */
#define ntd_vec_members(type)                                                                      \
	{                                                                                          \
		type *items;                                                                       \
		size_t count, capacity;                                                            \
	}
/* NOLINTEND(bugprone-macro-parentheses) */
#define ntd_vec(type) struct ntd_vec_members(type)

/* Room for `count` items of `size` bytes in the array at `items`: twice as many as before when it
 * has to grow, so that appending costs amortised constant time. Returns where the items are. */
static inline void *ntd_vec_grown(void *items, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 4;

	if (count <= *capacity)
		return items;
	*capacity = wanted > count ? wanted : count;
	return ntd_realloc(items, *capacity * size);
}

/* Makes room for `total` items, so that pushing up to there moves nothing. */
#define ntd_vec_reserve(vec, total)                                                                \
	({                                                                                         \
		__typeof__(vec) reserved_ = (vec);                                                 \
		reserved_->items = ntd_vec_grown(reserved_->items, (total), &reserved_->capacity,  \
						 sizeof *reserved_->items);                        \
	})

/* Appends a value, which may be a compound literal; returns where it is now. */
#define ntd_vec_push(vec, ...)                                                                     \
	({                                                                                         \
		__typeof__(vec) vec_ = (vec);                                                      \
		__typeof__(*vec_->items) value_ = __VA_ARGS__;                                     \
		ntd_vec_reserve(vec_, vec_->count + 1);                                            \
		vec_->items[vec_->count] = value_;                                                 \
		&vec_->items[vec_->count++];                                                       \
	})

/* Takes the last item out of an array that has one, and returns it. */
#define ntd_vec_pop(vec)                                                                           \
	({                                                                                         \
		__typeof__(vec) vec_ = (vec);                                                      \
		assert(vec_->count);                                                               \
		vec_->items[--vec_->count];                                                        \
	})

/* Takes the item at an index out; those after it move up. */
#define ntd_vec_remove(vec, index)                                                                 \
	({                                                                                         \
		__typeof__(vec) vec_ = (vec);                                                      \
		size_t index_ = (index);                                                           \
		assert(index_ < vec_->count);                                                      \
		vec_->count--;                                                                     \
		memmove(vec_->items + index_, vec_->items + index_ + 1,                            \
			(vec_->count - index_) * sizeof *vec_->items);                             \
	})

/* Frees the items; the array is empty afterwards and can be used again. */
#define ntd_vec_free(vec)                                                                          \
	({                                                                                         \
		__typeof__(vec) vec_ = (vec);                                                      \
		free(vec_->items);                                                                 \
		vec_->items = NULL;                                                                \
		vec_->count = vec_->capacity = 0;                                                  \
	})
