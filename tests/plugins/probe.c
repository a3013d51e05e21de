/* A plugin with one stage, `probe/echo`, which says in headers of the reply what it is made from, and which of its kind it
 * is. Macros make something wrong with it: each test sets its own. */
#include "millgate_plugin.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NAME
#define NAME "probe"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef KIND
#define KIND "echo"
#endif
#ifndef MAGIC
#define MAGIC MG_MAGIC
#endif
#ifndef SIZE
#define SIZE sizeof(MgManifest)
#endif
#ifndef STAGE_SIZE
#define STAGE_SIZE sizeof(MgStageType)
#endif
#ifndef MIN_HOST
#define MIN_HOST 0
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef STAGES
#define STAGES { &echo }
#endif
#ifndef STAGE_COUNT
#define STAGE_COUNT (sizeof stages / sizeof *stages)
#endif
#ifndef INIT
#define INIT MG_NEXT
#endif

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const MgHost *host;

static MgSlice text(const char *words) {
  MgSlice slice = { (const uint8_t *)words, strlen(words) };
  return slice;
}

static MgStatus init(const MgHost *given) {
  host = given;
  host->log(MG_LEVEL_INFO, text("probe"), text("version " VERSION " is there"));
#ifdef HANGS
  for (;;) pause();
#endif
  return INIT;
}

#ifdef SCHEMA
#define WRITE_SCHEMA schema
static void schema(MgOutput *output) { host->write(output, text(SCHEMA)); }
#else
#define WRITE_SCHEMA NULL
#endif

typedef struct {
  /* The text of its header. */
  char *said;
  /* How many had been made when it was, itself included. */
  unsigned number;
  /* The number of the one that it took over from. */
  unsigned adopted;
} Stage;

static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **made) {
  static const char unloved[] = "\"word\":\"unloved\"";
  static unsigned count;
  Stage *stage = calloc(1, sizeof *stage);
  (void)name;
  stage->said = calloc(1, config.len + sizeof VERSION + 1);
  sprintf(stage->said, "%s %.*s", VERSION, (int)config.len, (const char *)config.ptr);
  stage->number = ++count;
  host->log(MG_LEVEL_INFO, text("probe"), text(stage->said));
  *made = stage;
  if (strstr(stage->said, unloved)) {
    free(stage->said);
    free(stage);
    host->refuse(setup, text("[\"word\"]"), text("nobody likes this word"));
    return MG_FAILED;
  }
  return MG_NEXT;
}

static void destroy(void *stage) {
  free(((Stage *)stage)->said);
  free(stage);
}

static uint32_t hooks(const void *stage) {
  (void)stage;
  return MG_HOOK_RESPONSE | MG_HOOK_CHUNK;
}

static void adopt(const void *stage, const void *old) {
  ((Stage *)stage)->adopted = ((const Stage *)old)->number;
}

static MgStatus on_response(const void *stage, void *state, MgExchange *exchange) {
  const Stage *self = stage;
  char made[64];
  (void)state;
  sprintf(made, "%u after %u", self->number, self->adopted);
  host->set(exchange, MG_FIELD_REPLY_HEADER, text("x-probe"), text(self->said));
  host->set(exchange, MG_FIELD_REPLY_HEADER, text("x-probe-made"), text(made));
  return MG_NEXT;
}

/* Each chunk of a stream comes behind a comment. */
static MgStatus on_chunk(const void *stage, void *state, MgExchange *exchange, MgSlice chunk) {
  (void)stage;
  (void)state;
  if (chunk.len < 5 || memcmp(chunk.ptr, "data:", 5) != 0) return MG_NEXT;
  host->emit(exchange, text(": " VERSION "\n\n"));
  host->emit(exchange, chunk);
  return MG_REPLACE;
}

static const MgStageType echo = {
  .size = STAGE_SIZE,
  .name = TEXT(KIND),
  .schema = WRITE_SCHEMA,
  .create = CREATE,
  .destroy = destroy,
  .hooks = hooks,
  .adopt = adopt,
  .on_response = on_response,
  .on_chunk = on_chunk,
};

/* Where a test leaves a function out, somebody refers to it all the same. */
const void *const all[] = { (void *)create, &echo };

static const MgStageType *const stages[] = STAGES;

#if defined FUNCTION
void millgate_plugin_v1(void) {}
const void *const unused[] = { stages, (void *)init };
#else
#ifndef SYMBOL
#define SYMBOL millgate_plugin_v1
#endif
const MgManifest SYMBOL = {
  .magic = MAGIC,
  .size = SIZE,
  .min_host_minor = MIN_HOST,
  .flags = FLAGS,
  .name = TEXT(NAME),
  .version = TEXT(VERSION),
  .sdk = TEXT("C"),
  .init = init,
  .stages = stages,
  .stage_count = STAGE_COUNT,
};
#endif
