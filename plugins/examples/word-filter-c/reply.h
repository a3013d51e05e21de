/* Replies of chat completions and completions: the texts in them, whole or event by event. */
#ifndef REPLY_H
#define REPLY_H

#include "bytes.h"
#include "words.h"

#include <stdint.h>

/* What is remembered of a reply: the text of each choice on its way through. All zero at its begin. */
typedef struct {
  struct Choice *choices;
  size_t count;
} Reply;

/* What became of a piece of a reply. */
typedef enum {
  /* It is to be passed on as it is. */
  KEPT,
  /* What was written is to be passed on instead. */
  CHANGED,
  /* It is a part of a document, or none. */
  UNREADABLE,
} Passed;

/* Filters the next piece: of a stream a whole event, else the whole document. Adds to `hits` how many words were found. */
Passed reply_filter(Reply *reply, const Words *words, Span piece, Buffer *out, size_t *hits);

void reply_clear(Reply *reply);

#endif
