/* A stage for millgate: it says in a header of the reply how many times it has said so. */
#include "millgate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* What the gateway does for the plugin. */
static const MgHost *host;

/* A stage: one object for all exchanges, on many threads at once. */
typedef struct {
  uint64_t tally;
} Stage;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

/* What its table in the config may say, beside the keys of every stage: nothing yet. The gateway holds the table against
 * this, and tells the operator where in the file it is wrong. */
static void schema(MgOutput *output) {
  host->write(output, slice("{\"type\": \"object\", \"properties\": {}, \"additionalProperties\": false}"));
}

/* `config` is the table as JSON. Where it is wrong: host->refuse(setup, …), and MG_FAILED. */
static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **made) {
  (void)setup, (void)name, (void)config;
  Stage *stage = calloc(1, sizeof *stage);
  if (!stage)
    return MG_FAILED;
  stage->tally = host->tally(slice("replies"));
  *made = stage;
  return MG_NEXT;
}

static void destroy(void *stage) { free(stage); }

/* The hooks that it wants called. */
static uint32_t hooks(const void *stage) {
  (void)stage;
  return MG_HOOK_RESPONSE;
}

static MgStatus on_response(const void *made, void *state, MgExchange *exchange) {
  (void)state;
  const Stage *stage = made;
  char count[32];
  snprintf(count, sizeof count, "hello %lld", (long long)host->tally_add(stage->tally, 1));
  if (host->set(exchange, MG_FIELD_REPLY_HEADER, slice("x-my-plugin"), slice(count)) != MG_NEXT) {
    host->fail(exchange, slice("the header cannot be set"));
    return MG_FAILED;
  }
  return MG_NEXT;
}

/* `kind = "my-plugin/stage"` in the config. What is not named here is null: there is no such hook, and no state. */
static const MgStageType type = {
  .size = sizeof type,
  .name = TEXT("stage"),
  .schema = schema,
  .create = create,
  .destroy = destroy,
  .hooks = hooks,
  .on_response = on_response,
};

static const MgStageType *const stages[] = { &type };

/* The one thing that the gateway looks for, and that others see of this library. */
MILLGATE_PLUGIN = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .minor = MG_MINOR,
  .name = TEXT("my-plugin"),
  .version = TEXT("0.1.0"),
  .sdk = TEXT("C"),
  .init = init,
  .stages = stages,
  .stage_count = sizeof stages / sizeof *stages,
};
