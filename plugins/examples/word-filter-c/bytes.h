/* Bytes: a span that somebody else owns, and a buffer that grows. */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* Borrowed bytes, from `at` up to `end`. Nothing where `at` is null. */
typedef struct {
  const char *at, *end;
} Span;

/* Bytes of one's own; all zero is an empty one. Where memory runs out it says `failed`, and grows no more. */
typedef struct {
  char *data;
  size_t length, room;
  bool failed;
} Buffer;

void add(Buffer *buffer, const char *bytes, size_t length);
void add_text(Buffer *buffer, const char *text);
void add_span(Buffer *buffer, Span span);
void clear(Buffer *buffer);

Span span_of(const Buffer *buffer);
size_t length_of(Span span);
bool equals(Span span, const char *text);

#endif
