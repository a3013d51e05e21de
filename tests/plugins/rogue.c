/* A plugin with one stage, `rogue/rogue`, which does what the header `x-do` of a request says: what no plugin should. */
#include "millgate_plugin.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const MgHost *host;
/* The token of an exchange before. */
static uint64_t stale;

static MgSlice text(const char *words) {
  MgSlice slice = { (const uint8_t *)words, strlen(words) };
  return slice;
}

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **made) {
  (void)setup, (void)name, (void)config;
  *made = malloc(1);
  return MG_NEXT;
}

static void destroy(void *stage) { free(stage); }

static uint32_t hooks(const void *stage) {
  (void)stage;
  return MG_HOOK_REQUEST | MG_HOOK_CHUNK | MG_HOOK_END | 0x40000000;
}

/* How often `on_request` was called. */
static void *begin(const void *stage) {
  (void)stage;
  return calloc(1, sizeof(unsigned));
}

static int does(MgExchange *exchange, const char *what) {
  MgSlice value = { NULL, 0 };
  return host->get(exchange, MG_FIELD_REQUEST_HEADER, text("x-do"), &value) && value.len == strlen(what) &&
         memcmp(value.ptr, what, value.len) == 0;
}

/* Answers with numbers. */
static MgStatus tell(MgExchange *exchange, const char *form, unsigned one, unsigned two, unsigned three) {
  char words[64];
  snprintf(words, sizeof words, form, one, two, three);
  host->emit(exchange, text(words));
  return MG_REPLY;
}

static MgStatus on_request(const void *stage, void *state, MgExchange *exchange) {
  unsigned calls = ++*(unsigned *)state;
  (void)stage;
  if (does(exchange, "unknown status")) return 4242;
  if (does(exchange, "chunk status")) return MG_REPLACE;
  if (does(exchange, "emit")) {
    host->emit(exchange, text("nobody asked"));
    return MG_NEXT;
  }
  if (does(exchange, "reply nothing")) return MG_REPLY;
  if (does(exchange, "reject nothing")) return MG_REJECT;
  if (does(exchange, "fail")) return MG_FAILED;
  if (does(exchange, "panic")) return MG_PANICKED;
  if (does(exchange, "wait for nothing")) return MG_WAIT;
  if (does(exchange, "never wake")) {
    stale = host->token(exchange);
    return MG_WAIT;
  }
  if (does(exchange, "wake twice")) {
    if (calls > 1) return tell(exchange, "%u calls", calls, 0, 0);
    host->wake(stale);
    stale = host->token(exchange);
    host->wake(stale);
    host->wake(stale);
    host->wake(0);
    return MG_WAIT;
  }
  if (does(exchange, "line feeds")) {
    MgSlice value = TEXT("a\r\nx-smuggled: b");
    return tell(exchange, "%u %u %u",
                host->set(exchange, MG_FIELD_REQUEST_HEADER, text("x-a"), value),
                host->set(exchange, MG_FIELD_REPLY_HEADER, text("x-a"), value),
                host->set(exchange, MG_FIELD_REPLY_HEADER, text("x-a\r\nx-b"), text("c")));
  }
  if (does(exchange, "frame")) {
    return tell(exchange, "%u %u %u",
                host->set(exchange, MG_FIELD_UPSTREAM_HEADER, text("transfer-encoding"), text("chunked")),
                host->set(exchange, MG_FIELD_UPSTREAM_HEADER, text("content-length"), text("1")),
                host->set(exchange, MG_FIELD_UPSTREAM_HEADER, text("x-a"), text("1")));
  }
  if (does(exchange, "null")) {
    MgSlice nothing = { NULL, 7 };
    MgSlice endless = { (const uint8_t *)"a", SIZE_MAX };
    return tell(exchange, "%u %u %u", host->get(exchange, MG_FIELD_REQUEST_HEADER, nothing, NULL),
                host->set(exchange, MG_FIELD_MODEL, endless, nothing),
                host->set(NULL, MG_FIELD_MODEL, text(""), text("m")));
  }
  if (does(exchange, "block")) usleep(1500000);
  return MG_NEXT;
}

static MgStatus on_chunk(const void *stage, void *state, MgExchange *exchange, MgSlice chunk) {
  (void)stage, (void)state, (void)chunk;
  if (does(exchange, "emit amid a stream")) {
    host->emit(exchange, text("nobody asked"));
    return MG_NEXT;
  }
  if (does(exchange, "wait amid a stream")) return MG_WAIT;
  return MG_NEXT;
}

static void end(void *state) { free(state); }

static const MgStageType rogue = {
  .size = sizeof(MgStageType),
  .name = TEXT("rogue"),
  .create = create,
  .destroy = destroy,
  .hooks = hooks,
  .begin = begin,
  .on_request = on_request,
  .on_chunk = on_chunk,
  .end = end,
};

static const MgStageType *const stages[] = { &rogue };

const MgManifest millgate_plugin_v1 = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .name = TEXT("rogue"),
  .version = TEXT("1.0.0"),
  .sdk = TEXT("C"),
  .init = init,
  .stages = stages,
  .stage_count = 1,
};
