/* The plugin, driven as a gateway drives it: through its manifest, with a host of the test's own. */
#include "json.h"
#include "millgate_plugin.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

extern const MgManifest millgate_plugin_v1;

/* What the plugin has told the host since the test began. */
static struct {
  const char *body;
  uint64_t endpoint;
  Buffer emitted, code, refused_path, failure;
  double hits;
} seen;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

static void keep(Buffer *buffer, MgSlice slice) { add(buffer, (const char *)slice.ptr, slice.len); }

static uint32_t get(const MgExchange *exchange, uint32_t field, MgSlice key, MgSlice *value) {
  (void)exchange, (void)key;
  if (field != MG_FIELD_REQUEST_BODY || !seen.body)
    return 0;
  *value = slice(seen.body);
  return 1;
}

static uint32_t number(const MgExchange *exchange, uint32_t field, uint64_t *value) {
  (void)exchange;
  *value = seen.endpoint;
  return field == MG_FIELD_ENDPOINT;
}

static void emit(MgExchange *exchange, MgSlice bytes) {
  (void)exchange;
  keep(&seen.emitted, bytes);
}

static void reject(MgExchange *exchange, const MgRefusal *refusal) {
  (void)exchange;
  assert(refusal->kind == MG_REFUSAL_UNPROCESSABLE && refusal->message.len > 0);
  keep(&seen.code, refusal->code);
}

static void fail(MgExchange *exchange, MgSlice message) {
  (void)exchange;
  keep(&seen.failure, message);
}

static void refuse(MgSetup *setup, MgSlice path, MgSlice message) {
  (void)setup, (void)message;
  keep(&seen.refused_path, path);
}

static void write_bytes(MgOutput *output, MgSlice bytes) { keep((Buffer *)(void *)output, bytes); }

static uint64_t metric(uint32_t kind, MgSlice name, MgSlice labels) {
  assert(kind == MG_METRIC_COUNTER && name.len > 0 && labels.len > 0);
  return 7;
}

static void record(uint64_t metric, double value) {
  assert(metric == 7);
  seen.hits += value;
}

static const MgHost host = {
  .size = sizeof host,
  .get = get,
  .number = number,
  .emit = emit,
  .reject = reject,
  .fail = fail,
  .refuse = refuse,
  .write = write_bytes,
  .metric = metric,
  .record = record,
};

static void forget(void) {
  clear(&seen.emitted);
  clear(&seen.code);
  clear(&seen.refused_path);
  clear(&seen.failure);
  memset(&seen, 0, sizeof seen);
  seen.endpoint = MG_ENDPOINT_CHAT;
}

static const MgStageType *type(void) { return millgate_plugin_v1.stages[0]; }

static void *make(const char *config) {
  forget();
  void *stage = NULL;
  MgStatus status = type()->create(NULL, slice("test"), slice(config), &stage);
  assert((status == MG_NEXT) == (stage != NULL));
  return stage;
}

/* What `on_request` says of a body. */
static MgStatus ask(const char *words, const char *body) {
  void *stage = make(words);
  assert(type()->hooks(stage) & MG_HOOK_REQUEST);
  seen.body = body;
  MgStatus status = type()->on_request(stage, NULL, NULL);
  type()->destroy(stage);
  return status;
}

/* A reply on its way through a stage. */
typedef struct {
  void *stage, *state;
  Buffer out;
} Visit;

static Visit enter(const char *config) {
  Visit visit = { make(config), NULL, { 0 } };
  visit.state = type()->begin(visit.stage);
  return visit;
}

static MgStatus chunk(Visit *visit, const char *text) {
  clear(&seen.emitted);
  MgStatus status = type()->on_chunk(visit->stage, visit->state, NULL, slice(text));
  if (status == MG_NEXT)
    add_text(&visit->out, text);
  else if (status == MG_REPLACE)
    add_span(&visit->out, span_of(&seen.emitted));
  return status;
}

static void leave(Visit *visit) {
  type()->end(visit->state);
  type()->destroy(visit->stage);
  clear(&visit->out);
}

/* An event that brings a choice so much of a text. */
static MgStatus delta(Visit *visit, int choice, const char *text, size_t length) {
  Buffer event = { 0 };
  char head[64];
  snprintf(head, sizeof head, "data: {\"id\":\"1\",\"choices\":[{\"index\":%d,\"delta\":{\"content\":", choice);
  add_text(&event, head);
  json_write(&event, (Span){ text, text + length });
  add_text(&event, "},\"finish_reason\":null}]}\n\n");
  add(&event, "", 1);
  MgStatus status = chunk(visit, event.data);
  clear(&event);
  return status;
}

static MgStatus finish(Visit *visit, int choice) {
  char event[128];
  snprintf(event, sizeof event, "data: {\"id\":\"1\",\"choices\":[{\"index\":%d,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
           choice);
  return chunk(visit, event);
}

/* What a reader of the stream makes of a choice; `reason` is how it says that it ended. */
static Buffer read_choice(const Visit *visit, unsigned long index, Buffer *reason) {
  Buffer text = { 0 };
  const char *at = visit->out.data, *end = at + visit->out.length;
  for (; at < end; at++) {
    if (end - at < 6 || memcmp(at, "data: ", 6))
      continue;
    Span document = json_value((Span){ at + 6, end }), choice;
    assert(document.at && !memcmp(document.end, "\n\n", 2));
    const char *place = NULL;
    while (json_element(json_member(document, "choices"), &place, &choice)) {
      if (*json_member(choice, "index").at != (char)('0' + index))
        continue;
      json_read(json_member(json_member(choice, "delta"), "content"), &text);
      json_read(json_member(choice, "finish_reason"), reason);
    }
    at = document.end;
  }
  return text;
}

static void expect(const Visit *visit, unsigned long index, const char *text, const char *reason) {
  Buffer said = { 0 };
  Buffer read = read_choice(visit, index, &said);
  if (!equals(span_of(&read), text) || !equals(span_of(&said), reason)) {
    fprintf(stderr, "expected `%s` (%s), got `%.*s` (%.*s)\n", text, reason, (int)read.length, read.data,
            (int)said.length, said.data);
    assert(false);
  }
  clear(&read);
  clear(&said);
}

static void requests_that_hold_a_word_are_refused(void) {
  const char *words = "{\"words\":[\"secret\",\"비밀\"]}";
  assert(ask(words, "{\"messages\":[{\"content\":\"a Secret, please\"}]}") == MG_REJECT);
  assert(equals(span_of(&seen.code), "word_refused") && seen.hits == 1);
  assert(ask(words, "{\"messages\":[{\"content\":\"\\u0073ecret\"}]}") == MG_REJECT);
  assert(ask(words, "{\"messages\":[{\"content\":\"그 비밀은\"}]}") == MG_REJECT);
  assert(ask(words, "{\"messages\":[{\"content\":\"a secretary\"}]}") == MG_NEXT);
  assert(ask(words, "{\"secret\":\"a key is none of it\"}") == MG_NEXT);
  assert(ask(words, "") == MG_NEXT);
  assert(ask(words, "{\"broken\":\"secret") == MG_NEXT);
  forget();
}

static void whole_replies_lose_the_word(void) {
  Visit visit = enter("{\"words\":[\"secret\"],\"replacement\":\"[\\u2026]\"}");
  const char *before = "{\"id\": \"1\", \"choices\": [{\"index\": 0, \"message\": {\"role\": \"assistant\", \"content\": "
                       "\"one\\nSECRET, one secretary\"}, \"finish_reason\": \"stop\"}], \"usage\": {\"total_tokens\": 3}}";
  const char *after = "{\"id\": \"1\", \"choices\": [{\"index\": 0, \"message\": {\"role\": \"assistant\", \"content\": "
                      "\"one\\n[\xE2\x80\xA6], one secretary\"}, \"finish_reason\": \"stop\"}], \"usage\": {\"total_tokens\": 3}}";
  assert(chunk(&visit, before) == MG_REPLACE && equals(span_of(&visit.out), after));
  leave(&visit);

  visit = enter("{\"words\":[\"secret\"]}");
  seen.endpoint = MG_ENDPOINT_COMPLETIONS;
  assert(chunk(&visit, "{\"choices\":[{\"index\":0,\"text\":\"secret\",\"finish_reason\":\"stop\"}]}") == MG_REPLACE);
  assert(equals(span_of(&visit.out), "{\"choices\":[{\"index\":0,\"text\":\"***\",\"finish_reason\":\"stop\"}]}"));
  leave(&visit);
}

static void what_holds_no_word_is_not_touched(void) {
  static const char *const pieces[] = {
    "{\"error\":{\"message\":\"secret\"}}",
    "{\"choices\":[{\"index\":0,\"message\":{\"content\":null,\"tool_calls\":[]},\"finish_reason\":\"tool_calls\"}]}",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n",
    "data: {\"choices\":[1,{\"delta\":[]},{\"delta\":{\"content\":[\"secret\"]}}]}\n\n",
    ": ping\n\n",
    "data: [DONE]\n\n",
  };
  for (size_t at = 0; at < sizeof pieces / sizeof *pieces; at++) {
    Visit visit = enter("{\"words\":[\"secret\"]}");
    assert(chunk(&visit, pieces[at]) == MG_NEXT);
    leave(&visit);
  }
}

static void what_cannot_be_looked_at_is_not_let_through(void) {
  static const char *const pieces[] = { "{\"choices\":[{\"index\":0,\"mess", "data: {\"choices\":[{\n\n" };
  for (size_t at = 0; at < sizeof pieces / sizeof *pieces; at++) {
    Visit visit = enter("{\"words\":[\"secret\"]}");
    assert(chunk(&visit, pieces[at]) == MG_FAILED && seen.failure.length > 0);
    leave(&visit);
  }
}

/* The same text, cut at every two places, also inside of characters' escapes and words. */
static void a_word_that_is_cut_across_events_is_found(const char *config, const char *text, const char *expected,
                                                      const char *reason) {
  size_t length = strlen(text);
  for (size_t first = 0; first <= length; first++) {
    for (size_t second = first; second <= length; second++) {
      Visit visit = enter(config);
      delta(&visit, 0, text, first);
      delta(&visit, 0, text + first, second - first);
      delta(&visit, 0, text + second, length - second);
      finish(&visit, 0);
      chunk(&visit, "data: [DONE]\n\n");
      expect(&visit, 0, expected, reason);
      leave(&visit);
    }
  }
}

static void texts_are_held_back_no_longer_than_needed(void) {
  Visit visit = enter("{\"words\":[\"secret plan\"]}");
  assert(delta(&visit, 0, "A sec", 5) == MG_REPLACE);
  expect(&visit, 0, "A ", "");
  assert(delta(&visit, 0, "ond", 3) == MG_REPLACE);
  expect(&visit, 0, "A second", "");
  assert(delta(&visit, 0, " one", 4) == MG_NEXT);
  expect(&visit, 0, "A second one", "");
  leave(&visit);
}

static void each_choice_has_a_text_of_its_own(void) {
  Visit visit = enter("{\"words\":[\"secret\"]}");
  delta(&visit, 0, "sec", 3);
  delta(&visit, 1, "sec", 3);
  delta(&visit, 0, "ret", 3);
  delta(&visit, 1, "ond", 3);
  finish(&visit, 1);
  finish(&visit, 0);
  expect(&visit, 0, "***", "stop");
  expect(&visit, 1, "second", "stop");
  assert(seen.hits == 1);
  leave(&visit);
}

static void a_stream_that_ends_without_a_reason_loses_nothing(void) {
  Visit visit = enter("{\"words\":[\"secret\"]}");
  delta(&visit, 0, "a sec", 5);
  assert(chunk(&visit, "data: [DONE]\n\n") == MG_REPLACE);
  assert(strstr(visit.out.data, "[DONE]"));
  /* Its last event is no JSON. */
  visit.out.length -= strlen("data: [DONE]\n\n");
  expect(&visit, 0, "a sec", "");
  leave(&visit);
}

static void a_client_that_leaves_leaves_nothing_behind(void) {
  Visit visit = enter("{\"words\":[\"secret\"]}");
  delta(&visit, 0, "sec", 3);
  leave(&visit);
}

static void tables_without_words_are_refused(void) {
  static const char *const tables[] = { "{}", "{\"words\":[]}", "{\"words\":[\"\"]}", "{\"words\":[1]}", "{\"words\":[\"a\"", "" };
  for (size_t at = 0; at < sizeof tables / sizeof *tables; at++) {
    assert(!make(tables[at]));
    assert(equals(span_of(&seen.refused_path), "[\"words\"]"));
  }
  forget();
}

static void the_schema_is_json(void) {
  Buffer schema = { 0 };
  type()->schema((MgOutput *)(void *)&schema);
  Span value = json_value(span_of(&schema));
  assert(length_of(value) == schema.length && json_member(json_member(value, "properties"), "words").at);
  clear(&schema);
}

int main(void) {
  assert(millgate_plugin_v1.magic == MG_MAGIC && millgate_plugin_v1.init(&host) == MG_NEXT);
  requests_that_hold_a_word_are_refused();
  whole_replies_lose_the_word();
  what_holds_no_word_is_not_touched();
  what_cannot_be_looked_at_is_not_let_through();
  const char *replaces = "{\"words\":[\"secret\",\"secret plan\",\"passé\"]}";
  a_word_that_is_cut_across_events_is_found(replaces, "Secret \"secretary\" secret plan passed: secret", "*** \"secretary\" *** passed: ***",
                                            "stop");
  a_word_that_is_cut_across_events_is_found("{\"words\":[\"aab\"],\"replacement\":\"\"}", "aaab aab aa", "aaab  aa", "stop");
  a_word_that_is_cut_across_events_is_found("{\"words\":[\"secret\"],\"replies\":\"block\"}", "one secret two secret", "one ",
                                            "content_filter");
  texts_are_held_back_no_longer_than_needed();
  each_choice_has_a_text_of_its_own();
  a_stream_that_ends_without_a_reason_loses_nothing();
  a_client_that_leaves_leaves_nothing_behind();
  tables_without_words_are_refused();
  the_schema_is_json();
  forget();
  puts("word-filter-c: all tests passed");
  return 0;
}
