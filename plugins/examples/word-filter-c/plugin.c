/* A plugin for millgate with one stage, `word-filter-c/filter`: refuses requests that hold certain words, and takes the words
 * out of replies, whole or streamed, also where a word is cut across events. */
#include "json.h"
#include "millgate_plugin.h"
#include "reply.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const MgHost *host;

/* A stage: its table. Nothing of it changes once it is made. */
typedef struct {
  Words words;
  Buffer replacement;
  bool refuses_requests, filters_replies;
  uint64_t hits;
} Filter;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

static MgSlice slice_of(const Buffer *bytes) { return (MgSlice){ (const uint8_t *)bytes->data, bytes->length }; }

static Span span(MgSlice slice) {
  const char *at = (const char *)slice.ptr;
  return (Span){ at, at ? at + slice.len : NULL };
}

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

static void schema(MgOutput *output) {
  host->write(output, slice(
    "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"words\"], \"properties\": {"
    "\"words\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", \"minLength\": 1},"
    " \"description\": \"The words.\"},"
    "\"requests\": {\"enum\": [\"refuse\", \"pass\"],"
    " \"description\": \"What to do with a request that holds one. Default: `\\\"refuse\\\"`.\"},"
    "\"replies\": {\"enum\": [\"replace\", \"block\", \"pass\"],"
    " \"description\": \"What to do with a word in a reply: replace it, or end the text before it. Default: `\\\"replace\\\"`.\"},"
    "\"replacement\": {\"type\": \"string\","
    " \"description\": \"What stands in for a word. Default: `\\\"***\\\"`.\"}}}"));
}

static void destroy(void *stage) {
  Filter *filter = stage;
  for (size_t index = 0; index < filter->words.count; index++)
    clear(&filter->words.list[index]);
  free(filter->words.list);
  clear(&filter->replacement);
  free(filter);
}

/* The table's words; false where there are none, or no memory. */
static bool read_words(Words *words, Span array) {
  const char *place = NULL;
  Span element;
  while (json_element(array, &place, &element)) {
    Buffer *list = realloc(words->list, (words->count + 1) * sizeof *list);
    if (!list)
      return false;
    words->list = list;
    Buffer *word = &list[words->count];
    *word = (Buffer){ 0 };
    json_read(element, word);
    if (word->length == 0)
      return false;
    words->count++;
  }
  return words->count > 0;
}

/* The schema was looked at before: what is wrong with the table now, no operator can have written. */
static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **stage) {
  Filter *filter = calloc(1, sizeof *filter);
  if (!filter)
    return MG_FAILED;
  Span table = json_value(span(config));
  Span requests = json_member(table, "requests"), replies = json_member(table, "replies");
  Span replacement = json_member(table, "replacement");
  filter->refuses_requests = !equals(requests, "\"pass\"");
  filter->filters_replies = !equals(replies, "\"pass\"");
  if (replacement.at)
    json_read(replacement, &filter->replacement);
  else
    add_text(&filter->replacement, "***");
  if (!equals(replies, "\"block\""))
    filter->words.replacement = filter->replacement.data ? span_of(&filter->replacement) : (Span){ "", "" };
  if (!read_words(&filter->words, json_member(table, "words"))) {
    host->refuse(setup, slice("[\"words\"]"), slice("these are no words to look for"));
    destroy(filter);
    return MG_FAILED;
  }
  Buffer labels = { 0 };
  add_text(&labels, "{\"stage\":");
  json_write(&labels, span(name));
  add_text(&labels, "}");
  filter->hits = host->metric(MG_METRIC_COUNTER, slice("word_filter_hits_total"), slice_of(&labels));
  clear(&labels);
  *stage = filter;
  return MG_NEXT;
}

static uint32_t hooks(const void *stage) {
  const Filter *filter = stage;
  return (filter->refuses_requests ? MG_HOOK_REQUEST : 0) | (filter->filters_replies ? MG_HOOK_CHUNK : 0);
}

static void *begin(const void *stage) {
  (void)stage;
  /* Without memory there is no state, and `on_chunk` says so. */
  return calloc(1, sizeof(Reply));
}

static void end(void *state) {
  reply_clear(state);
  free(state);
}

static MgStatus fail(MgExchange *exchange, const char *why) {
  host->fail(exchange, slice(why));
  return MG_FAILED;
}

static MgStatus on_request(const void *stage, void *state, MgExchange *exchange) {
  (void)state;
  const Filter *filter = stage;
  MgSlice body;
  if (!host->get(exchange, MG_FIELD_REQUEST_BODY, slice(""), &body))
    return MG_NEXT;
  Span document = span(body), string;
  const char *place = document.at;
  size_t hits = 0;
  bool failed = false;
  while (hits == 0 && !failed && document.at && json_next_text(document, &place, &string)) {
    Buffer text = { 0 }, passed = { 0 };
    Passage passage = { 0 };
    json_read(string, &text);
    hits = words_filter(&filter->words, &passage, span_of(&text), true, &passed);
    failed = text.failed || passed.failed;
    clear(&passage.held);
    clear(&passed);
    clear(&text);
  }
  if (failed)
    return fail(exchange, "no memory is left");
  if (hits == 0)
    return MG_NEXT;
  host->record(filter->hits, 1);
  MgRefusal refusal = {
    .size = sizeof refusal,
    .kind = MG_REFUSAL_UNPROCESSABLE,
    .message = slice("The request holds a word that is not allowed here. Say it in other words."),
    .code = slice("word_refused"),
  };
  host->reject(exchange, &refusal);
  return MG_REJECT;
}

static MgStatus on_chunk(const void *stage, void *state, MgExchange *exchange, MgSlice chunk) {
  const Filter *filter = stage;
  uint64_t endpoint = 0;
  host->number(exchange, MG_FIELD_ENDPOINT, &endpoint);
  if (endpoint != MG_ENDPOINT_CHAT && endpoint != MG_ENDPOINT_COMPLETIONS)
    return MG_NEXT;
  if (!state)
    return fail(exchange, "no memory is left");
  Buffer out = { 0 };
  size_t hits = 0;
  Passed passed = reply_filter(state, &filter->words, span(chunk), &out, &hits);
  if (hits > 0)
    host->record(filter->hits, (double)hits);
  MgStatus status = MG_NEXT;
  if (out.failed || passed == UNREADABLE) {
    status = fail(exchange, out.failed ? "no memory is left" : "the reply is no JSON that could be looked at as a whole");
  } else if (passed == CHANGED) {
    host->emit(exchange, slice_of(&out));
    status = MG_REPLACE;
  }
  clear(&out);
  return status;
}

static const MgStageType filter = {
  .size = sizeof(MgStageType),
  .name = TEXT("filter"),
  .schema = schema,
  .create = create,
  .destroy = destroy,
  .hooks = hooks,
  .begin = begin,
  .on_request = on_request,
  .on_chunk = on_chunk,
  .end = end,
};

static const MgStageType *const stages[] = { &filter };

/* The one thing that others see of this library: see the Makefile. */
MILLGATE_PLUGIN = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .minor = MG_MINOR,
  .name = TEXT("word-filter-c"),
  .version = TEXT("0.1.0"),
  .sdk = TEXT("C"),
  .init = init,
  .stages = stages,
  .stage_count = sizeof stages / sizeof *stages,
};
