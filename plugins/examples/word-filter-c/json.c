#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const Span NOTHING = { NULL, NULL };

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
    at++;
  return at;
}

/* Behind the string that begins here; null where it does not end. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (*at == '\\')
      at++;
    else if (*at == '"')
      return at + 1;
  }
  return NULL;
}

/* Behind the value that begins here; null where it does not end. Flat, however deep the document is. */
static const char *skip_value(const char *at, const char *end) {
  size_t depth = 0;
  do {
    if (at == end)
      return NULL;
    if (*at == '"') {
      at = skip_string(at, end);
      if (!at)
        return NULL;
    } else if (*at == '{' || *at == '[') {
      depth++;
      at++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0)
        return NULL;
      depth--;
      at++;
    } else if (depth > 0) {
      at++;
    } else {
      /* A number, true, false or null. */
      while (at < end && !strchr(",]}: \t\n\r", *at))
        at++;
    }
  } while (depth > 0);
  return at;
}

Span json_value(Span text) {
  if (!text.at)
    return NOTHING;
  const char *at = skip_space(text.at, text.end);
  const char *end = skip_value(at, text.end);
  return end && end > at ? (Span){ at, end } : NOTHING;
}

Span json_member(Span object, const char *key) {
  if (!object.at || *object.at != '{')
    return NOTHING;
  const char *at = skip_space(object.at + 1, object.end);
  while (at < object.end && *at == '"') {
    const char *after = skip_string(at, object.end);
    if (!after)
      return NOTHING;
    Span name = { at + 1, after - 1 };
    at = skip_space(after, object.end);
    if (at >= object.end || *at != ':')
      return NOTHING;
    Span value = json_value((Span){ at + 1, object.end });
    if (!value.at)
      return NOTHING;
    if (equals(name, key))
      return value;
    at = skip_space(value.end, object.end);
    if (at >= object.end || *at != ',')
      return NOTHING;
    at = skip_space(at + 1, object.end);
  }
  return NOTHING;
}

bool json_element(Span array, const char **place, Span *element) {
  if (!array.at || *array.at != '[')
    return false;
  const char *at = *place ? skip_space(*place, array.end) : array.at + 1;
  if (*place) {
    if (at >= array.end || *at != ',')
      return false;
    at++;
  }
  *element = json_value((Span){ at, array.end });
  *place = element->end;
  return element->at != NULL;
}

bool json_next_text(Span document, const char **place, Span *string) {
  for (const char *at = *place; at < document.end; at++) {
    if (*at != '"')
      continue;
    const char *end = skip_string(at, document.end);
    if (!end)
      return false;
    *string = (Span){ at, end };
    at = skip_space(end, document.end);
    if (at >= document.end || *at != ':') {
      *place = end;
      return true;
    }
  }
  return false;
}

static void add_character(Buffer *text, uint32_t code) {
  char bytes[4];
  size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
  for (size_t at = length; at-- > 1; code >>= 6)
    bytes[at] = (char)(0x80 | (code & 0x3F));
  bytes[0] = (char)(leads[length] | code);
  add(text, bytes, length);
}

/* The four digits behind `\u`; -1 where there are none. */
static int32_t unit(const char *at, const char *end) {
  if (end - at < 4)
    return -1;
  int32_t code = 0;
  for (int digit = 0; digit < 4; digit++) {
    const char *digits = "0123456789abcdef";
    const char *found = at[digit] ? strchr(digits, at[digit] | ('A' <= at[digit] && at[digit] <= 'F' ? 32 : 0)) : NULL;
    if (!found)
      return -1;
    code = code * 16 + (int32_t)(found - digits);
  }
  return code;
}

/* Reads the escape whose `\` is at `at`; returns what is behind it. */
static const char *read_escape(const char *at, const char *end, Buffer *text) {
  const char *kinds = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t";
  char kind = at[1];
  if (kind != 'u') {
    const char *found = kind ? strchr(kinds, kind) : NULL;
    add(text, found ? meant + (found - kinds) : at + 1, 1);
    return at + 2;
  }
  int32_t code = unit(at + 2, end);
  at = code < 0 ? at + 2 : at + 6;
  if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
    int32_t low = unit(at + 2, end);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at += 6;
    }
  }
  add_character(text, code < 0 || (code >= 0xD800 && code < 0xE000) ? 0xFFFD : (uint32_t)code);
  return at;
}

void json_read(Span string, Buffer *text) {
  if (length_of(string) < 2 || *string.at != '"')
    return;
  const char *at = string.at + 1, *end = string.end - 1;
  while (at < end) {
    const char *escape = memchr(at, '\\', (size_t)(end - at));
    const char *plain = escape ? escape : end;
    add(text, at, (size_t)(plain - at));
    at = escape && escape + 1 < end ? read_escape(escape, end, text) : end;
  }
}

void json_write(Buffer *document, Span text) {
  add_text(document, "\"");
  for (const char *at = text.at; at != text.end; at++) {
    unsigned char byte = (unsigned char)*at;
    char escaped[8];
    if (byte == '"' || byte == '\\')
      snprintf(escaped, sizeof escaped, "\\%c", byte);
    else if (byte == '\n')
      snprintf(escaped, sizeof escaped, "\\n");
    else if (byte < 0x20)
      snprintf(escaped, sizeof escaped, "\\u%04x", byte);
    else {
      add(document, at, 1);
      continue;
    }
    add_text(document, escaped);
  }
  add_text(document, "\"");
}
