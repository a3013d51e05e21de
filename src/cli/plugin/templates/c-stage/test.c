/* The plugin, driven as a gateway drives it: through its manifest, with a host of the test's own. */
#include "millgate_plugin.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

extern const MgManifest millgate_plugin_v1;

static char header[64], schema[256];
static int64_t replies;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

static MgStatus set(MgExchange *exchange, uint32_t field, MgSlice key, MgSlice value) {
  (void)exchange;
  assert(field == MG_FIELD_REPLY_HEADER && key.len == strlen("x-my-plugin"));
  snprintf(header, sizeof header, "%.*s", (int)value.len, (const char *)value.ptr);
  return MG_NEXT;
}

static void write_bytes(MgOutput *output, MgSlice bytes) {
  (void)output;
  snprintf(schema, sizeof schema, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
}

static uint64_t tally(MgSlice key) { return key.len > 0; }

static int64_t tally_add(uint64_t handle, int64_t amount) {
  assert(handle == 1);
  return replies += amount;
}

static const MgHost host = {
  .size = sizeof host,
  .set = set,
  .write = write_bytes,
  .tally = tally,
  .tally_add = tally_add,
};

int main(void) {
  assert(millgate_plugin_v1.magic == MG_MAGIC && millgate_plugin_v1.stage_count == 1);
  assert(millgate_plugin_v1.init(&host) == MG_NEXT);
  const MgStageType *type = millgate_plugin_v1.stages[0];
  type->schema(NULL);
  assert(schema[0] == '{');

  void *stage = NULL;
  assert(type->create(NULL, slice("test"), slice("{}"), &stage) == MG_NEXT && stage);
  assert(type->hooks(stage) == MG_HOOK_RESPONSE);
  assert(type->on_response(stage, NULL, NULL) == MG_NEXT && !strcmp(header, "hello 1"));
  assert(type->on_response(stage, NULL, NULL) == MG_NEXT && !strcmp(header, "hello 2"));
  type->destroy(stage);
  puts("all tests passed");
  return 0;
}
