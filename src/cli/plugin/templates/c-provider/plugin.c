/* A provider for millgate that answers chats by itself, always the same. */
#include "millgate_plugin.h"

#include <stdio.h>
#include <string.h>

#define TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* What the gateway does for the plugin. */
static const MgHost *host;

static MgSlice slice(const char *text) { return (MgSlice){ (const uint8_t *)text, strlen(text) }; }

static MgStatus init(const MgHost *given) {
  host = given;
  return MG_NEXT;
}

/* What its table in the config may say, beside the keys of every provider: nothing yet. The gateway holds the table against
 * this, and tells the operator where in the file it is wrong. */
static void schema(MgOutput *output) {
  host->write(output, slice("{\"type\": \"object\", \"properties\": {}, \"additionalProperties\": false}"));
}

/* `config` is the table as JSON. Where it is wrong: host->refuse(setup, …), and MG_FAILED. */
static MgStatus create(MgSetup *setup, MgSlice name, MgSlice config, void **provider) {
  (void)setup, (void)name, (void)config;
  static char nothing;
  *provider = &nothing;
  return MG_NEXT;
}

static void destroy(void *provider) { (void)provider; }

static uint32_t serves(const void *provider, uint32_t endpoint) {
  (void)provider;
  return endpoint == MG_ENDPOINT_CHAT;
}

#define HEAD(object) "{\"id\":\"chatcmpl-%.*s\",\"object\":\"" object "\",\"created\":%llu,\"model\":\"my-plugin\"," \
                     "\"choices\":[{\"index\":0,"

/* Sends a piece of the answer that begins as all do. MG_GONE: the reader has left. */
static MgStatus send(MgReader *reader, const MgCall *call, const char *format) {
  char piece[1024];
  int length = snprintf(piece, sizeof piece, format, (int)call->request_id.len, (const char *)call->request_id.ptr,
                        (unsigned long long)call->created);
  if (length < 0 || (size_t)length >= sizeof piece)
    return MG_FAILED;
  return host->send(reader, slice(piece));
}

/* Runs on a thread of its own that may block: host->send does while the reader is slow. */
static MgStatus answer(const void *provider, const MgCall *call, MgReader *reader, MgOutput *output) {
  (void)provider, (void)output;
  if (!call->stream)
    return send(reader, call, HEAD("chat.completion")
                "\"message\":{\"role\":\"assistant\",\"content\":\"Good day.\"},\"finish_reason\":\"stop\"}]}");
  static const char *const events[] = {
    "data: " HEAD("chat.completion.chunk") "\"delta\":{\"role\":\"assistant\",\"content\":\"Good \"}}]}\n\n",
    "data: " HEAD("chat.completion.chunk") "\"delta\":{\"content\":\"day.\"}}]}\n\n",
    "data: " HEAD("chat.completion.chunk") "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
  };
  for (size_t at = 0; at < sizeof events / sizeof *events; at++) {
    MgStatus status = send(reader, call, events[at]);
    if (status != MG_NEXT)
      return status == MG_GONE ? MG_NEXT : status;
  }
  host->send(reader, slice("data: [DONE]\n\n"));
  return MG_NEXT;
}

/* `kind = "my-plugin/provider"` in the config. One that asks an upstream has no flag, and `encode` and `on_data` instead. */
static const MgProviderType type = {
  .size = sizeof type,
  .flags = MG_PROVIDER_ANSWERS,
  .name = TEXT("provider"),
  .schema = schema,
  .create = create,
  .destroy = destroy,
  .serves = serves,
  .answer = answer,
};

static const MgProviderType *const providers[] = { &type };

/* The one thing that the gateway looks for, and that others see of this library. */
MILLGATE_PLUGIN = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .minor = MG_MINOR,
  .name = TEXT("my-plugin"),
  .version = TEXT("0.1.0"),
  .sdk = TEXT("C"),
  .init = init,
  .providers = providers,
  .provider_count = sizeof providers / sizeof *providers,
};
