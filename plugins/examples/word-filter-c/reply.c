#include "reply.h"

#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Choice {
  unsigned long index;
  Passage text;
  /* Whether it is a chat's, and not a completion's. */
  bool is_chat;
} Choice;

void reply_clear(Reply *reply) {
  if (!reply)
    return;
  for (size_t at = 0; at < reply->count; at++)
    clear(&reply->choices[at].text.held);
  free(reply->choices);
  *reply = (Reply){ 0 };
}

/* The choice with this index; null without memory. */
static Choice *choice_at(Reply *reply, unsigned long index) {
  for (size_t at = 0; at < reply->count; at++)
    if (reply->choices[at].index == index)
      return &reply->choices[at];
  Choice *choices = realloc(reply->choices, (reply->count + 1) * sizeof *choices);
  if (!choices)
    return NULL;
  reply->choices = choices;
  choices[reply->count] = (Choice){ .index = index };
  return &choices[reply->count++];
}

/* A place in a document and what is to stand there instead. */
typedef struct {
  Span place;
  Buffer text;
} Edit;

/* Puts a text where a choice has its own, or has none yet: `"content": null`, or no such member. */
static Edit edit_text(Span holder, const char *key, Span value, Span text) {
  Edit edit = { value, { 0 } };
  if (value.at) {
    json_write(&edit.text, text);
    return edit;
  }
  edit.place = (Span){ holder.at + 1, holder.at + 1 };
  add_text(&edit.text, "\"");
  add_text(&edit.text, key);
  add_text(&edit.text, "\":");
  json_write(&edit.text, text);
  if (length_of(json_value((Span){ edit.place.at, holder.end })) > 0)
    add_text(&edit.text, ",");
  return edit;
}

/* Copies the document up to an edit's place, and its text. */
static const char *apply(Edit *edit, const char *copied, Buffer *out) {
  if (edit->place.at) {
    add_span(out, (Span){ copied, edit->place.at });
    add_span(out, span_of(&edit->text));
    copied = edit->place.end;
  }
  out->failed |= edit->text.failed;
  clear(&edit->text);
  return copied;
}

/* Filters one choice of a document that is copied to `out` up to `copied`; returns up to where it is then. */
static const char *filter_choice(Reply *reply, const Words *words, Span choice, bool is_whole, const char *copied,
                                 Buffer *out, size_t *hits) {
  Span number = json_member(choice, "index");
  Choice *known = choice_at(reply, number.at ? strtoul(number.at, NULL, 10) : 0);
  if (!known) {
    out->failed = true;
    return copied;
  }
  Span holder = json_member(choice, is_whole ? "message" : "delta");
  known->is_chat = holder.at != NULL;
  if (!holder.at)
    holder = choice;
  const char *key = known->is_chat ? "content" : "text";
  Span value = json_member(holder, key), finish = json_member(choice, "finish_reason");
  bool is_last = is_whole || (finish.at && !equals(finish, "null"));
  if (*holder.at != '{' || (value.at && *value.at != '"' && !equals(value, "null")))
    return copied;

  Buffer came = { 0 }, passed = { 0 };
  json_read(value, &came);
  *hits += words_filter(words, &known->text, span_of(&came), is_last, &passed);
  Edit text = { 0 }, reason = { 0 };
  if (passed.length != came.length || (came.length && memcmp(passed.data, came.data, came.length)))
    text = edit_text(holder, key, value, span_of(&passed));
  if (is_last && known->text.blocked && finish.at) {
    reason.place = finish;
    add_text(&reason.text, "\"content_filter\"");
  }
  out->failed |= came.failed || passed.failed;
  clear(&came);
  clear(&passed);

  bool is_text_first = !reason.place.at || text.place.at < reason.place.at;
  copied = apply(is_text_first ? &text : &reason, copied, out);
  return apply(is_text_first ? &reason : &text, copied, out);
}

/* What is held back when a stream ends without having said why: an event for each choice. */
static Passed release(Reply *reply, const Words *words, Span event, Buffer *out, size_t *hits) {
  Passed passed = KEPT;
  for (size_t at = 0; at < reply->count; at++) {
    Choice *choice = &reply->choices[at];
    Buffer text = { 0 };
    *hits += words_filter(words, &choice->text, (Span){ NULL, NULL }, true, &text);
    if (text.length > 0) {
      char head[64];
      snprintf(head, sizeof head, "data: {\"choices\":[{\"index\":%lu,", choice->index);
      add_text(out, head);
      add_text(out, choice->is_chat ? "\"delta\":{\"content\":" : "\"text\":");
      json_write(out, span_of(&text));
      add_text(out, choice->is_chat ? "}}]}\n\n" : "}]}\n\n");
      passed = CHANGED;
    }
    out->failed |= text.failed;
    clear(&text);
  }
  if (passed == CHANGED)
    add_span(out, event);
  return passed;
}

/* The data of an event; nothing where it has none. */
static Span data_of(Span event) {
  for (const char *line = event.at; line && line < event.end;) {
    const char *end = memchr(line, '\n', (size_t)(event.end - line));
    if (!end)
      end = event.end;
    if (end - line > 5 && !memcmp(line, "data:", 5))
      return (Span){ line + 5, end };
    line = end + 1;
  }
  return (Span){ NULL, NULL };
}

/* Whether a piece begins as a JSON object does. */
static bool is_document(Span piece) {
  const char *at = piece.at;
  while (at < piece.end && strchr(" \t\r\n", *at))
    at++;
  return at < piece.end && *at == '{';
}

Passed reply_filter(Reply *reply, const Words *words, Span piece, Buffer *out, size_t *hits) {
  Span data = data_of(piece);
  bool is_whole = !data.at && is_document(piece);
  Span document = json_value(is_whole ? piece : data);
  if (!document.at)
    return is_whole || data.at ? UNREADABLE : KEPT;
  if (equals(document, "[DONE]"))
    return release(reply, words, piece, out, hits);
  const char *copied = piece.at, *place = NULL;
  Span choices = json_member(document, "choices"), choice;
  while (json_element(choices, &place, &choice))
    copied = filter_choice(reply, words, choice, is_whole, copied, out, hits);
  if (copied == piece.at)
    return KEPT;
  add_span(out, (Span){ copied, piece.end });
  return CHANGED;
}
