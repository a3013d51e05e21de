/* A plugin with a provider that answers by itself, `oracle/answers`, and one that asks an upstream, `oracle/asks`. */
#include "millgate_plugin.h"
#include <stddef.h>
#include <string.h>

#ifndef WORD
#define WORD "perhaps"
#endif

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const MgHost *host;
static char nothing;

static MgSlice text(const char *words) {
  MgSlice slice = { (const uint8_t *)words, strlen(words) };
  return slice;
}

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **provider) {
  (void)setup, (void)name, (void)config;
  *provider = &nothing;
  return MG_NEXT;
}

static void destroy(void *provider) { (void)provider; }

static uint32_t serves(const void *provider, uint32_t endpoint) {
  (void)provider;
  return endpoint == MG_ENDPOINT_CHAT;
}

static MgStatus answer(const void *provider, const MgCall *call, MgReader *reader, MgOutput *output) {
  (void)provider, (void)call, (void)output;
  return host->send(reader, text(
    "{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"oracle\",\"choices\":[{\"index\":0,"
    "\"message\":{\"role\":\"assistant\",\"content\":\"" WORD "\"},\"finish_reason\":\"stop\"}]}"));
}

static MgStatus encode(const void *provider, void *state, const MgCall *call, MgOutput *output) {
  (void)provider, (void)state;
  return host->request(output, MG_REQUEST_PATH, text(""), call->path);
}

static const MgProviderType answers = {
  .size = sizeof(MgProviderType),
  .flags = MG_PROVIDER_ANSWERS,
  .name = TEXT("answers"),
  .create = create,
  .destroy = destroy,
  .serves = serves,
  .answer = answer,
};

static const MgProviderType asks = {
  .size = sizeof(MgProviderType),
  .name = TEXT("asks"),
  .base_path = TEXT("/v1"),
  .create = create,
  .destroy = destroy,
  .serves = serves,
  .encode = encode,
};

static const MgProviderType *const providers[] = { &answers, &asks };

const MgManifest millgate_plugin_v1 = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .name = TEXT("oracle"),
  .version = TEXT("0.1.0"),
  .sdk = TEXT("C"),
  .init = init,
  .providers = providers,
  .provider_count = sizeof providers / sizeof *providers,
};
