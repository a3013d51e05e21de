/* A plugin as it was built against version 1.0 of the interface, whose header lies beside it. Neither is ever changed: that
 * they still load is what is promised. It uses what 1.0 has: see the README. */
#include "millgate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const MgHost *host;

typedef struct {
  char greeting[64];
  uint64_t requests, sizes, tally;
} Stage;

/* Of one exchange. */
typedef struct {
  uint32_t has_waited, chunks;
} State;

static MgSlice slice(const char *text) {
  MgSlice slice = { (const uint8_t *)text, strlen(text) };
  return slice;
}

static MgStatus init(const MgHost *given) {
  host = given;
  if (host->logs(MG_LEVEL_INFO, slice("fixture")))
    host->log(MG_LEVEL_INFO, slice("fixture"), slice("the fixture of version 1.0 is loaded"));
  return MG_NEXT;
}

static void schema(MgOutput *output) {
  host->write(output, slice("{\"type\":\"object\",\"additionalProperties\":false,"));
  host->write(output, slice("\"properties\":{\"greeting\":{\"type\":\"string\"}}}"));
}

/* The one member that the table can have. */
static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **made) {
  Stage *stage = calloc(1, sizeof *stage);
  char table[256];
  (void)name;
  snprintf(table, sizeof table, "%.*s", (int)config.len, (const char *)config.ptr);
  if (sscanf(table, "{\"greeting\":\"%63[^\"]\"}", stage->greeting) != 1) {
    host->refuse(setup, slice("[\"greeting\"]"), slice("the fixture wants something to say"));
    free(stage);
    return MG_FAILED;
  }
  stage->requests = host->metric(MG_METRIC_COUNTER, slice("fixture_requests_total"), slice("{\"version\":\"1.0\"}"));
  stage->sizes = host->metric(MG_METRIC_HISTOGRAM, slice("fixture_request_bytes"), slice("{}"));
  stage->tally = host->tally(slice("fixture"));
  if (host->shadow(setup))
    host->log(MG_LEVEL_INFO, slice("fixture"), slice("in shadow mode"));
  *made = stage;
  return MG_NEXT;
}

static void destroy(void *stage) { free(stage); }

static uint32_t hooks(const void *stage) {
  (void)stage;
  return MG_HOOK_REQUEST_HEAD | MG_HOOK_REQUEST | MG_HOOK_RESPONSE | MG_HOOK_CHUNK | MG_HOOK_END;
}

static uint32_t place(const void *stage) {
  (void)stage;
  return MG_PLACE_ABOVE_ROUTE;
}

static uint32_t needs_store(const void *stage) {
  (void)stage;
  return 0;
}

static void adopt(const void *stage, const void *old) { (void)stage, (void)old; }

static void *begin(const void *stage) {
  (void)stage;
  return calloc(1, sizeof(State));
}

static uint32_t count(void *user, MgSlice key, MgSlice value) {
  (void)key, (void)value;
  ++*(unsigned *)user;
  return 1;
}

static MgStatus on_request_head(const void *stage, void *state, MgExchange *exchange) {
  MgSlice value;
  unsigned headers = 0;
  char text[32];
  (void)stage, (void)state;
  host->each(exchange, MG_FIELD_REQUEST_HEADER, count, &headers);
  snprintf(text, sizeof text, "%s", headers > 0 ? "some" : "none");
  host->set(exchange, MG_FIELD_VAR, slice("fixture-headers"), slice(text));
  if (!host->get(exchange, MG_FIELD_REQUEST_HEADER, slice("x-refuse"), &value))
    return MG_NEXT;
  MgRefusal refusal = {
    .size = sizeof refusal,
    .kind = MG_REFUSAL_RATE_LIMITED,
    .retry_after = 3000,
    .message = slice("The fixture refuses, as it was asked to."),
    .code = slice("fixture_refused"),
    .param = slice("x-refuse"),
    .error_type = slice("fixture_error"),
  };
  host->reject(exchange, &refusal);
  return MG_REJECT;
}

static void wake(void *user, const MgHttpAnswer *answer) {
  (void)answer;
  host->wake((uint64_t)(uintptr_t)user);
}

static MgStatus on_request(const void *made, void *memory, MgExchange *exchange) {
  const Stage *stage = made;
  State *state = memory;
  MgSlice body, asked;
  if (host->get(exchange, MG_FIELD_REQUEST_HEADER, slice("x-reply"), &asked)) {
    host->set(exchange, MG_FIELD_REPLY_STATUS, slice(""), slice("203"));
    host->set(exchange, MG_FIELD_REPLY_HEADER, slice("content-type"), slice("text/plain"));
    host->emit(exchange, slice("a reply of "));
    host->emit(exchange, slice("the fixture's"));
    return MG_REPLY;
  }
  if (!state->has_waited) {
    uint64_t token = host->token(exchange);
    state->has_waited = 1;
    if (token != 0) {
      host->timer(5, wake, (void *)(uintptr_t)token);
      return MG_WAIT;
    }
  }
  host->record(stage->requests, 1);
  host->tally_add(stage->tally, 1);
  if (host->get(exchange, MG_FIELD_REQUEST_BODY, slice(""), &body))
    host->record(stage->sizes, (double)body.len);
  return MG_NEXT;
}

static MgStatus on_response(const void *made, void *memory, MgExchange *exchange) {
  const Stage *stage = made;
  const State *state = memory;
  uint64_t status = 0;
  MgSlice headers = { NULL, 0 };
  char text[160];
  host->number(exchange, MG_FIELD_REPLY_STATUS, &status);
  host->get(exchange, MG_FIELD_VAR, slice("fixture-headers"), &headers);
  snprintf(text, sizeof text, "%s; status %u; waited %u; headers %.*s", stage->greeting, (unsigned)status,
           (unsigned)state->has_waited, (int)headers.len, headers.len ? (const char *)headers.ptr : "");
  if (host->set(exchange, MG_FIELD_REPLY_HEADER, slice("x-fixture"), slice(text)) != MG_NEXT) {
    host->fail(exchange, slice("the header cannot be set"));
    return MG_FAILED;
  }
  return MG_NEXT;
}

/* The first piece is kept, the second dropped, the third becomes two, and the rest is kept. */
static MgStatus on_chunk(const void *stage, void *memory, MgExchange *exchange, MgSlice chunk) {
  State *state = memory;
  (void)stage;
  switch (++state->chunks) {
  case 2:
    return MG_DROP;
  case 3:
    host->emit(exchange, slice(": the fixture was here\n\n"));
    host->emit(exchange, chunk);
    return MG_REPLACE;
  default:
    return MG_NEXT;
  }
}

static MgStatus on_end(const void *stage, void *memory, MgExchange *exchange, uint32_t outcome) {
  char line[64];
  (void)stage, (void)memory, (void)exchange;
  snprintf(line, sizeof line, "the fixture's exchange ended with %u", (unsigned)outcome);
  host->log(MG_LEVEL_INFO, slice("fixture"), slice(line));
  return MG_NEXT;
}

static void end(void *state) { free(state); }

static const MgStageType stage = {
  .size = sizeof stage,
  .name = TEXT("stage"),
  .schema = schema,
  .create = create,
  .destroy = destroy,
  .hooks = hooks,
  .place = place,
  .needs_store = needs_store,
  .adopt = adopt,
  .begin = begin,
  .on_request_head = on_request_head,
  .on_request = on_request,
  .on_response = on_response,
  .on_chunk = on_chunk,
  .on_end = on_end,
  .end = end,
};

/* Two providers: one that asks, one that answers. */

static char nothing;

static MgStatus make(MgSetup *setup, MgSlice name, MgSlice config, void **provider) {
  (void)setup, (void)name, (void)config;
  *provider = &nothing;
  return MG_NEXT;
}

static void unmake(void *provider) { (void)provider; }

static uint32_t features(const void *provider) {
  (void)provider;
  return MG_FEATURE_INCLUDE_USAGE | MG_FEATURE_IS_FREE;
}

static uint32_t serves(const void *provider, uint32_t endpoint) {
  (void)provider;
  return endpoint == MG_ENDPOINT_CHAT;
}

static void *begin_attempt(const void *provider) {
  (void)provider;
  return calloc(1, 1);
}

static MgStatus encode(const void *provider, void *state, const MgCall *call, MgOutput *output) {
  (void)provider, (void)state;
  host->request(output, MG_REQUEST_METHOD, slice(""), slice("POST"));
  host->request(output, MG_REQUEST_PATH, slice(""), call->path);
  host->request(output, MG_REQUEST_QUERY, slice(""), slice("fixture=1"));
  host->request(output, MG_REQUEST_HEADER, slice("x-fixture"), slice("1.0"));
  host->request(output, MG_REQUEST_BODY, slice(""), call->body);
  return MG_NEXT;
}

static MgStatus on_head(const void *provider, void *state, uint32_t status, MgSlice content_type) {
  (void)provider, (void)state, (void)content_type;
  return status == 200 ? MG_DECODE : MG_PASSTHROUGH;
}

static MgStatus on_data(const void *provider, void *state, MgSlice data, uint32_t last, MgOutput *output) {
  (void)provider, (void)state, (void)last;
  host->write(output, data);
  return MG_NEXT;
}

static MgStatus on_error(const void *provider, uint32_t status, MgSlice body, MgOutput *output) {
  (void)provider, (void)body;
  if (status != 418)
    return MG_NEXT;
  MgRefusal refusal = {
    .size = sizeof refusal,
    .kind = MG_REFUSAL_UNPROCESSABLE,
    .message = slice("The upstream is a teapot."),
    .code = slice("teapot"),
  };
  host->reject_output(output, &refusal);
  return MG_REJECT;
}

static const MgProviderType asks = {
  .size = sizeof asks,
  .name = TEXT("asks"),
  .base_path = TEXT("/v1"),
  .create = make,
  .destroy = unmake,
  .features = features,
  .serves = serves,
  .begin = begin_attempt,
  .encode = encode,
  .on_head = on_head,
  .on_data = on_data,
  .on_error = on_error,
  .end = end,
};

static MgStatus answer(const void *provider, const MgCall *call, MgReader *reader, MgOutput *output) {
  (void)provider, (void)output;
  if (host->pause(reader, 1) == MG_GONE)
    return MG_NEXT;
  if (!call->stream) {
    host->send(reader, slice("{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"fixture\",\"choices\":[{\"index\":0,"
                             "\"message\":{\"role\":\"assistant\",\"content\":\"Hello from 1.0.\"},\"finish_reason\":\"stop\"}]}"));
    return MG_NEXT;
  }
  static const char *const events[] = {
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lost \"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"from 1.0.\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
  };
  for (size_t at = 0; at < sizeof events / sizeof *events; at++)
    if (host->send(reader, slice(events[at])) == MG_GONE)
      break;
  return MG_NEXT;
}

static const MgProviderType answers = {
  .size = sizeof answers,
  .flags = MG_PROVIDER_ANSWERS,
  .name = TEXT("answers"),
  .create = make,
  .destroy = unmake,
  .serves = serves,
  .answer = answer,
};

static const MgStageType *const stages[] = { &stage };
static const MgProviderType *const providers[] = { &asks, &answers };

const MgManifest millgate_plugin_v1 = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .minor = MG_MINOR,
  .name = TEXT("fixture"),
  .version = TEXT("1.0.0"),
  .sdk = TEXT("C, millgate_plugin.h 1.0"),
  .init = init,
  .stages = stages,
  .stage_count = sizeof stages / sizeof *stages,
  .providers = providers,
  .provider_count = sizeof providers / sizeof *providers,
};
