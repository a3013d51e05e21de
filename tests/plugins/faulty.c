/* A plugin whose stage does in `on_request` what the macro DOES says, and as it is loaded what AT_LOAD says. */
#include "millgate_plugin.h"
#include <stdlib.h>
#include <string.h>

#ifndef DOES
#define DOES return MG_NEXT
#endif

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }
#define CRASH *(volatile int *)nowhere = 1

static const MgHost *host;
static char nothing;
static int *volatile nowhere;

#ifdef AT_LOAD
__attribute__((constructor)) static void at_load(void) { AT_LOAD; }
#endif

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **stage) {
  (void)setup, (void)name, (void)config;
  *stage = &nothing;
  return MG_NEXT;
}

static void destroy(void *stage) { (void)stage; }

static uint32_t hooks(const void *stage) {
  (void)stage;
  return MG_HOOK_REQUEST;
}

static MgStatus on_request(const void *stage, void *state, MgExchange *exchange) {
  (void)stage, (void)state, (void)exchange, (void)nowhere;
  DOES;
  return MG_NEXT;
}

static const MgStageType stage = {
  .size = sizeof stage,
  .name = TEXT("stage"),
  .create = create,
  .destroy = destroy,
  .hooks = hooks,
  .on_request = on_request,
};

static const MgStageType *const stages[] = { &stage };

const MgManifest millgate_plugin_v1 = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .name = TEXT("faulty"),
  .version = TEXT("0.1.0"),
  .sdk = TEXT("C"),
  .init = init,
  .stages = stages,
  .stage_count = sizeof stages / sizeof *stages,
};
