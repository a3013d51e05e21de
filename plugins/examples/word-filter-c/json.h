/* As much JSON (RFC 8259) as it takes to find texts in a document and to put others in their place. Documents are not
 * believed: what cannot be read is nothing, and nothing is read beyond the end. */
#ifndef JSON_H
#define JSON_H

#include "bytes.h"

/* The value that a text begins with, without the space around it; nothing where there is none, or not all of it. */
Span json_value(Span text);

/* The value of an object's member; nothing where it is no object or has none. */
Span json_member(Span object, const char *key);

/* The next element of an array. Begin with `*place` zero; false after the last, and where it is no array. */
bool json_element(Span array, const char **place, Span *element);

/* The next string of any kind behind `*place`, where it is a value and not a key. Begin with the document's begin. */
bool json_next_text(Span document, const char **place, Span *string);

/* What a string says, as UTF-8, added to `text`; nothing where it is no string. Half a surrogate pair is U+FFFD. */
void json_read(Span string, Buffer *text);

/* UTF-8 as a string with its quotes. */
void json_write(Buffer *document, Span text);

#endif
