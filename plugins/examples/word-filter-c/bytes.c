#include "bytes.h"

#include <stdlib.h>
#include <string.h>

void add(Buffer *buffer, const char *bytes, size_t length) {
  if (length == 0 || buffer->failed)
    return;
  if (buffer->room - buffer->length < length) {
    size_t room = (buffer->length + length) * 2;
    char *data = realloc(buffer->data, room);
    if (!data) {
      buffer->failed = true;
      return;
    }
    buffer->data = data;
    buffer->room = room;
  }
  memcpy(buffer->data + buffer->length, bytes, length);
  buffer->length += length;
}

void add_text(Buffer *buffer, const char *text) { add(buffer, text, strlen(text)); }

void add_span(Buffer *buffer, Span span) { add(buffer, span.at, length_of(span)); }

void clear(Buffer *buffer) {
  free(buffer->data);
  *buffer = (Buffer){ 0 };
}

Span span_of(const Buffer *buffer) {
  return (Span){ buffer->data, buffer->data ? buffer->data + buffer->length : NULL };
}

size_t length_of(Span span) { return span.at ? (size_t)(span.end - span.at) : 0; }

bool equals(Span span, const char *text) {
  return length_of(span) == strlen(text) && (!*text || !memcmp(span.at, text, strlen(text)));
}
