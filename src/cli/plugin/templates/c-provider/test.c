/* The plugin, driven as a gateway drives it: through its manifest, with a host of the test's own. */
#include "millgate_plugin.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

extern const MgManifest millgate_plugin_v1;

static char answer[4096], schema[256];
static size_t length, pieces, patience;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

/* A reader that leaves after `patience` pieces. */
static MgStatus send(MgReader *reader, MgSlice bytes) {
  (void)reader;
  if (pieces == patience)
    return MG_GONE;
  pieces++;
  assert(length + bytes.len < sizeof answer);
  memcpy(answer + length, bytes.ptr, bytes.len);
  length += bytes.len;
  answer[length] = 0;
  return MG_NEXT;
}

static void write_bytes(MgOutput *output, MgSlice bytes) {
  (void)output;
  snprintf(schema, sizeof schema, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
}

static const MgHost host = { .size = sizeof host, .send = send, .write = write_bytes };

static MgStatus ask(const void *provider, uint32_t stream, size_t pieces_wanted) {
  MgCall call = {
    .size = sizeof call,
    .endpoint = MG_ENDPOINT_CHAT,
    .stream = stream,
    .body = slice("{\"messages\":[]}"),
    .request_id = slice("1"),
    .created = 1700000000,
  };
  length = pieces = 0;
  patience = pieces_wanted;
  return millgate_plugin_v1.providers[0]->answer(provider, &call, NULL, NULL);
}

int main(void) {
  assert(millgate_plugin_v1.magic == MG_MAGIC && millgate_plugin_v1.provider_count == 1);
  assert(millgate_plugin_v1.init(&host) == MG_NEXT);
  const MgProviderType *type = millgate_plugin_v1.providers[0];
  type->schema(NULL);
  assert(schema[0] == '{');

  void *provider = NULL;
  assert(type->create(NULL, slice("test"), slice("{}"), &provider) == MG_NEXT && provider);
  assert(type->serves(provider, MG_ENDPOINT_CHAT) && !type->serves(provider, MG_ENDPOINT_EMBEDDINGS));
  assert(ask(provider, 0, 100) == MG_NEXT && pieces == 1 && strstr(answer, "Good day."));
  assert(ask(provider, 1, 100) == MG_NEXT && pieces == 4 && strstr(answer, "data: [DONE]\n\n"));
  assert(ask(provider, 1, 2) == MG_NEXT && pieces == 2);
  type->destroy(provider);
  puts("all tests passed");
  return 0;
}
