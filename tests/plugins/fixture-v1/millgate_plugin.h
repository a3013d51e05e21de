#ifndef MILLGATE_PLUGIN_H
#define MILLGATE_PLUGIN_H

/* Made from plugins/abi/src/lib.rs; do not edit. */

#include <stddef.h>
#include <stdint.h>
/* How a plugin begins its manifest, in a library built with -fvisibility=hidden as it should be: MILLGATE_PLUGIN = { … }; */
#define MILLGATE_PLUGIN __attribute__((visibility("default"))) const MgManifest millgate_plugin_v1


// `"MILLGATE"`, the first eight bytes of a manifest.
#define MG_MAGIC 4995689661139274061

// The minor version that this file describes. It counts what was added since version 1.0.
#define MG_MINOR 0

// Text: request method.
#define MG_FIELD_METHOD 1

// Text: request path with its `/v1`, without the query.
#define MG_FIELD_PATH 2

// Number: see `MG_ENDPOINT_…`.
#define MG_FIELD_ENDPOINT 3

// Text: model asked for; absent until the body is read. Writable above `route` from then on.
#define MG_FIELD_MODEL 4

// Number: 1 where the client asked for a stream; absent until the body is read.
#define MG_FIELD_STREAM 5

// Text: the exchange's id.
#define MG_FIELD_REQUEST_ID 6

// Text: address of the client.
#define MG_FIELD_PEER_ADDRESS 7

// Text: who is calling. Writable above `route`.
#define MG_FIELD_CALLER_ID 8

// Text: the caller's team. Writable above `route`.
#define MG_FIELD_CALLER_TEAM 9

// Text by key: what else is known of the caller. Writable above `route`.
#define MG_FIELD_CALLER_META 10

// Bytes: SHA-256 of the key that the client presented. Write only, above `route`.
#define MG_FIELD_CALLER_KEY 11

// Number: 0 where the caller may not ask for the model; absent until the body is read.
#define MG_FIELD_MODEL_ALLOWED 12

// Text: globs over the models that the caller may ask for, one a line. Writable above `route`.
#define MG_FIELD_CALLER_MODELS 13

// Text: `1` where the client's own credential is to be sent on. Writable above `route`.
#define MG_FIELD_FORWARDS_AUTH 14

// Text by key: header of the client's request, lower-case name. Writable above `route`.
#define MG_FIELD_REQUEST_HEADER 16

// Bytes: the request body, empty where it streams; absent until it is read.
#define MG_FIELD_REQUEST_BODY 17

// Bytes by key: raw JSON of one top-level member of the request body.
#define MG_FIELD_REQUEST_MEMBER 18

// Text: name of the route; absent until the body is read.
#define MG_FIELD_ROUTE 32

// Text: name of the attempt's provider. Below `route`.
#define MG_FIELD_PROVIDER 33

// Text: model that the attempt asks for. Below `route`.
#define MG_FIELD_TARGET_MODEL 34

// Number: which attempt this is, from 1. Below `route`.
#define MG_FIELD_ATTEMPT 35

// Text by key: header sent to the upstream; edits win over everything else. Below `route`.
#define MG_FIELD_UPSTREAM_HEADER 36

// Number: milliseconds left of the exchange's deadline.
#define MG_FIELD_DEADLINE_LEFT 37

// Number: status of the reply. In a reply of the stage's own, text: set it before [`REPLY`]; default 200.
#define MG_FIELD_REPLY_STATUS 48

// Text by key: header of the reply. Writable in `on_response` and for a reply of the stage's own.
#define MG_FIELD_REPLY_HEADER 49

// Number: tokens of the prompt, once known.
#define MG_FIELD_INPUT_TOKENS 64

// Number: tokens of the answer, once known.
#define MG_FIELD_OUTPUT_TOKENS 65

// Number: tokens of the prompt, estimated; absent until the body is read.
#define MG_FIELD_INPUT_ESTIMATE 66

// Number: tokens of the answer so far, estimated.
#define MG_FIELD_OUTPUT_ESTIMATE 67

// Number: cost in billionths of a US dollar, once known.
#define MG_FIELD_COST 68

// Number: what a cache had to do with the reply: 1 miss, 2 hit, 3 collapsed, 4 stale, 5 bypass.
#define MG_FIELD_CACHE_STATUS 69

// Number: what a million tokens of the prompt cost, in billionths of a US dollar.
#define MG_FIELD_INPUT_PRICE 70

// Number: the same for the answer.
#define MG_FIELD_OUTPUT_PRICE 71

// Bytes by key: notes that stages leave for each other.
#define MG_FIELD_VAR 80

// `POST /v1/chat/completions`
#define MG_ENDPOINT_CHAT 1

// `POST /v1/completions`
#define MG_ENDPOINT_COMPLETIONS 2

// `POST /v1/embeddings`
#define MG_ENDPOINT_EMBEDDINGS 3

// `POST /v1/responses`
#define MG_ENDPOINT_RESPONSES 4

// `GET /v1/models`
#define MG_ENDPOINT_MODELS 5

// Anything that is passed on as it came.
#define MG_ENDPOINT_FORWARD 6

// `on_request`
#define MG_HOOK_REQUEST 1

// `on_response`
#define MG_HOOK_RESPONSE 2

// `on_chunk`
#define MG_HOOK_CHUNK 4

// `on_end`
#define MG_HOOK_END 8

// `on_request_head`
#define MG_HOOK_REQUEST_HEAD 16

// On either side of `route`.
#define MG_PLACE_ANYWHERE 0

// Above `route`, where it sees an exchange once.
#define MG_PLACE_ABOVE_ROUTE 1

// Below `route`, where it sees every attempt.
#define MG_PLACE_BELOW_ROUTE 2

// 400: the client must change the request.
#define MG_REFUSAL_INVALID_REQUEST 1

// 401: the client is not known.
#define MG_REFUSAL_UNAUTHORIZED 2

// 403: the client is known and may not.
#define MG_REFUSAL_FORBIDDEN 3

// 404: there is no such thing.
#define MG_REFUSAL_NOT_FOUND 4

// 422: content was refused.
#define MG_REFUSAL_UNPROCESSABLE 5

// 429: later.
#define MG_REFUSAL_RATE_LIMITED 6

// 500: a fault of the gateway. What a number that is not known counts as.
#define MG_REFUSAL_INTERNAL 7

// 502: the upstream answered with something that it should not.
#define MG_REFUSAL_BAD_UPSTREAM 8

// 503: not now.
#define MG_REFUSAL_UNAVAILABLE 9

// 504: it took too long.
#define MG_REFUSAL_TIMEOUT 10

// The target cannot serve this call; the next one is asked.
#define MG_REFUSAL_UNSUPPORTED 11

// Answered to the last byte.
#define MG_OUTCOME_OK 1

// The client left first.
#define MG_OUTCOME_CLIENT_CLOSED 2

// The client's request was at fault.
#define MG_OUTCOME_CLIENT_ERROR 3

// A stage refused it.
#define MG_OUTCOME_REJECTED 4

// The upstream could not be reached, failed or answered wrongly.
#define MG_OUTCOME_UPSTREAM_ERROR 5

// A time limit ran out.
#define MG_OUTCOME_TIMEOUT 6

// A fault of the gateway or of a stage.
#define MG_OUTCOME_INTERNAL_ERROR 7

// Something is broken.
#define MG_LEVEL_ERROR 1

// Something is odd.
#define MG_LEVEL_WARN 2

// Something happened.
#define MG_LEVEL_INFO 3

// For whoever looks for a fault.
#define MG_LEVEL_DEBUG 4

// Everything.
#define MG_LEVEL_TRACE 5

// A sum that only grows.
#define MG_METRIC_COUNTER 1

// How often values were how large.
#define MG_METRIC_HISTOGRAM 2

// The plugin was built so that a panic ends the process. Such a plugin is refused.
#define MG_FLAG_PANIC_ABORTS 1

// It answers by itself, through `answer`.
#define MG_PROVIDER_ANSWERS 1

// Its upstream understands `stream_options.include_usage`.
#define MG_FEATURE_INCLUDE_USAGE 1

// Its upstream sends no bills: models have the prices that the config gives them, and no others.
#define MG_FEATURE_IS_FREE 2

// HTTP method; the client's where it is not set.
#define MG_REQUEST_METHOD 1

// Path below the provider's base URL, with its leading slash.
#define MG_REQUEST_PATH 2

// Query without the `?`.
#define MG_REQUEST_QUERY 3

// By key: a header beside those that the host sets.
#define MG_REQUEST_HEADER 4

// The body; the call's own, untouched, where it is not set.
#define MG_REQUEST_BODY 5

// One exchange, valid inside the hook that it is handed to.
typedef struct MgExchange MgExchange;

// What a function fills in: a schema, a request, a piece of an answer. Valid inside the function that it is handed to.
typedef struct MgOutput MgOutput;

// The reader of what a provider answers by itself, valid inside [`ProviderType::answer`].
typedef struct MgReader MgReader;

// The making of a stage or provider, valid inside `create`.
typedef struct MgSetup MgSetup;

// What a function comes back with.
typedef uint32_t MgStatus;

// Borrowed bytes. Texts are UTF-8 and have no zero at their end. `ptr` may be null where `len` is 0; in a value to set, a
// null pointer means: remove.
typedef struct MgSlice {
  // The first byte.
  const uint8_t *ptr;
  // How many there are.
  size_t len;
} MgSlice;

// How something is refused.
typedef struct MgRefusal {
  // Size of this struct.
  uint32_t size;
  // See `MG_REFUSAL_…`.
  uint32_t kind;
  // When it is worth trying again, in milliseconds; 0 where that is not known.
  uint64_t retry_after;
  // What happened and what to do next, for the client.
  struct MgSlice message;
  // `error.code`; empty for the kind's own.
  struct MgSlice code;
  // `error.param`; empty for none.
  struct MgSlice param;
  // `error.type`; empty for the kind's own.
  struct MgSlice error_type;
} MgRefusal;

// An HTTP request that the host makes for a plugin.
typedef struct MgHttpCall {
  // Size of this struct.
  uint32_t size;
  // How long it may take as a whole, in milliseconds.
  uint32_t timeout;
  // The most that is read of the answer's body, in bytes.
  uint64_t max_body;
  // `GET`, `POST` …
  struct MgSlice method;
  // Absolute, `http` or `https`.
  struct MgSlice url;
  // Headers as `name: value` lines, each ended by a line feed.
  struct MgSlice headers;
  // The body.
  struct MgSlice body;
} MgHttpCall;

// The answer to an [`HttpCall`].
typedef struct MgHttpAnswer {
  // Size of this struct.
  uint32_t size;
  // HTTP status; 0 where there is no answer.
  uint32_t status;
  // Why there is none, for a log.
  struct MgSlice error;
  // Headers as `name: value` lines, each ended by a line feed.
  struct MgSlice headers;
  // The whole body.
  struct MgSlice body;
} MgHttpAnswer;

// A function that is told of the end of something that was asked of the host, once, from any thread, perhaps before the
// function that it was handed to returns. The answer may be null, and is borrowed until it returns.
typedef void (*MgDone)(void *user, const struct MgHttpAnswer *answer);

// What the host does for a plugin. Every function may be called from any thread, unless it takes an [`Exchange`],
// [`Setup`], [`Output`] or [`Reader`].
typedef struct MgHost {
  // Size of this struct.
  uint32_t size;
  // The [`MINOR`] of the host.
  uint32_t minor;
  // A field's bytes into `value`; 1 where there are any, 0 where it is absent or a number.
  uint32_t (*get)(const struct MgExchange *exchange,
                  uint32_t field,
                  struct MgSlice key,
                  struct MgSlice *value);
  // A numeric field into `value`; 1 where there is one.
  uint32_t (*number)(const struct MgExchange *exchange, uint32_t field, uint64_t *value);
  // Sets a field, or removes it (null): [`NEXT`], [`READ_ONLY`], [`INVALID`] or [`UNKNOWN`].
  MgStatus (*set)(struct MgExchange *exchange,
                  uint32_t field,
                  struct MgSlice key,
                  struct MgSlice value);
  // Calls `visit` with every key and value of a map field until it returns 0.
  void (*each)(const struct MgExchange *exchange,
               uint32_t field,
               uint32_t (*visit)(void *user, struct MgSlice key, struct MgSlice value),
               void *user);
  // Adds to the body of the stage's own reply, or a piece to what replaces a chunk.
  void (*emit)(struct MgExchange *exchange, struct MgSlice bytes);
  // Says how the exchange is refused; then return [`REJECT`].
  void (*reject)(struct MgExchange *exchange, const struct MgRefusal *refusal);
  // Says why it could not be done, for the log; then return [`FAILED`].
  void (*fail)(struct MgExchange *exchange, struct MgSlice message);
  // A token for this exchange; then return [`WAIT`]. Every call of a hook that waits takes one anew. 0 where this is no
  // place to wait.
  uint64_t (*token)(struct MgExchange *exchange);
  // Wakes whoever waits for a token. One that was woken already, or whose exchange has ended, is none: nothing happens.
  void (*wake)(uint64_t token);
  // Says what is wrong with a table; then return [`FAILED`]. `path` is a JSON array of keys from the table down to the
  // value at fault; empty for the table itself.
  void (*refuse)(struct MgSetup *setup, struct MgSlice path, struct MgSlice message);
  // Sets a part of the request to be sent, see `MG_REQUEST_…`.
  MgStatus (*request)(struct MgOutput *output,
                      uint32_t part,
                      struct MgSlice key,
                      struct MgSlice value);
  // Adds bytes: of a schema, or in the OpenAI shape of an answer (of a stream whole events, else the JSON document).
  void (*write)(struct MgOutput *output, struct MgSlice bytes);
  // Says how a call is refused; then return [`REJECT`].
  void (*reject_output)(struct MgOutput *output, const struct MgRefusal *refusal);
  // Hands bytes in the OpenAI shape to the reader; blocks while it is slow. [`NEXT`] or [`GONE`].
  MgStatus (*send)(struct MgReader *reader, struct MgSlice bytes);
  // Waits so many milliseconds: [`NEXT`], or early [`GONE`].
  MgStatus (*pause)(struct MgReader *reader, uint64_t millis);
  // Whether lines of this level and target are written at all: 1 or 0.
  uint32_t (*logs)(uint32_t level, struct MgSlice target);
  // Writes a log line.
  void (*log)(uint32_t level, struct MgSlice target, struct MgSlice message);
  // A handle to a metric: its name becomes `millgate_plugin_NAME`; `labels` is a JSON object of texts. Ask once, not for
  // every exchange. 0 where it is refused.
  uint64_t (*metric)(uint32_t kind, struct MgSlice name, struct MgSlice labels);
  // Adds to a counter, or a value to a histogram.
  void (*record)(uint64_t metric, double value);
  // Makes an HTTP call in the background; `done` is told of its answer, also of a call that is no good.
  void (*call)(const struct MgHttpCall *call, MgDone done, void *user);
  // Calls `done`, without an answer, after so many milliseconds.
  void (*timer)(uint64_t millis, MgDone done, void *user);
  // A handle to the sum under `key`, which outlives a restart.
  uint64_t (*tally)(struct MgSlice key);
  // Adds to a sum and returns it; 0 only reads it.
  int64_t (*tally_add)(uint64_t tally, int64_t amount);
  // 1 where the stage that is being made is in shadow mode: its refusals are passed over, and it must not hold anything
  // up by itself either. Else 0.
  uint32_t (*shadow)(const struct MgSetup *setup);
} MgHost;

// A hook without further arguments.
typedef MgStatus (*MgHook)(const void *stage, void *state, struct MgExchange *exchange);

// A kind of stage.
typedef struct MgStageType {
  // Size of this struct.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // What `kind = "PLUGIN/NAME"` ends with.
  struct MgSlice name;
  // Writes the JSON Schema of its table in the config, less `kind`, `when`, `on_error` and `mode`, through
  // [`Host::write`]. Without it anything goes, and `create` is the judge.
  void (*schema)(struct MgOutput *output);
  // Makes a stage from its name and its table as JSON. On [`FAILED`], [`Host::refuse`] has said what is wrong. Required.
  MgStatus (*create)(struct MgSetup *setup, struct MgSlice name, struct MgSlice config, void **stage);
  // Frees a stage. Required.
  void (*destroy)(void *stage);
  // The hooks to call, see `MG_HOOK_…`. Required.
  uint32_t (*hooks)(const void *stage);
  // Where in the pipeline it makes sense with its table, see `MG_PLACE_…`. Without it anywhere.
  uint32_t (*place)(const void *stage);
  // 1 where it works with what outlives a restart, such as sums: that is then read before the first exchange comes.
  // Without it 0.
  uint32_t (*needs_store)(const void *stage);
  // Takes over what a stage of the same kind and image remembers, which is being replaced.
  void (*adopt)(const void *stage, const void *old);
  // The state of an exchange or attempt that is entered; may be null. Without it there is none.
  void *(*begin)(const void *stage);
  // The head of a request is there, its body has not been read: [`NEXT`], [`REPLY`], [`REJECT`], [`WAIT`], [`FAILED`]
  // or [`PANICKED`]. Called before `on_request`, where [`HOOK_REQUEST_HEAD`] is among the hooks.
  MgHook on_request_head;
  // The request is on its way in, and its body is there: the same.
  MgHook on_request;
  // The head of the reply is on its way out: the same.
  MgHook on_response;
  // A piece of the reply is on its way out: [`NEXT`], [`REPLACE`], [`DROP`], [`FAILED`] or [`PANICKED`].
  MgStatus (*on_chunk)(const void *stage,
                       void *state,
                       struct MgExchange *exchange,
                       struct MgSlice chunk);
  // It is over, see `MG_OUTCOME_…`: [`NEXT`], [`FAILED`] or [`PANICKED`].
  MgStatus (*on_end)(const void *stage, void *state, struct MgExchange *exchange, uint32_t outcome);
  // Frees a state, once. Not called where `begin` is null.
  void (*end)(void *state);
} MgStageType;

// A call for a provider, in the OpenAI shape.
typedef struct MgCall {
  // Size of this struct.
  uint32_t size;
  // See `MG_ENDPOINT_…`.
  uint32_t endpoint;
  // HTTP method of the client's request.
  struct MgSlice method;
  // Path after `/v1`, with its leading slash.
  struct MgSlice path;
  // Query without the `?`; null where there is none.
  struct MgSlice query;
  // The model to ask for; empty where the call has none.
  struct MgSlice model;
  // 1 where the answer is to be streamed.
  uint32_t stream;
  // Zero.
  uint32_t reserved;
  // The body; empty where there is none or where it streams past.
  struct MgSlice body;
  // The id of the exchange.
  struct MgSlice request_id;
  // Seconds since the epoch at the start of the exchange.
  uint64_t created;
} MgCall;

// A kind of provider: a codec between the OpenAI shape and what an upstream speaks.
typedef struct MgProviderType {
  // Size of this struct.
  uint32_t size;
  // See `MG_PROVIDER_…`.
  uint32_t flags;
  // What `kind = "PLUGIN/NAME"` ends with.
  struct MgSlice name;
  // Writes the JSON Schema of its table in the config, less the keys that every provider has, through [`Host::write`].
  // Without it anything goes, and `create` is the judge.
  void (*schema)(struct MgOutput *output);
  // The path that belongs to every base URL, such as `/v1`.
  struct MgSlice base_path;
  // Makes a provider from its name and its table as JSON. On [`FAILED`], [`Host::refuse`] has said what is wrong. Required.
  MgStatus (*create)(struct MgSetup *setup,
                     struct MgSlice name,
                     struct MgSlice config,
                     void **provider);
  // Frees a provider. Required.
  void (*destroy)(void *provider);
  // What its upstream understands, see `MG_FEATURE_…`. Without it nothing.
  uint32_t (*features)(const void *provider);
  // 1 where it can serve an endpoint. Required.
  uint32_t (*serves)(const void *provider, uint32_t endpoint);
  // The state of an attempt that begins; may be null.
  void *(*begin)(const void *provider);
  // What to send for a call: fills in `output` through [`Host::request`]. Required, unless it answers by itself.
  MgStatus (*encode)(const void *provider,
                     void *state,
                     const struct MgCall *call,
                     struct MgOutput *output);
  // What to do with the body of a 2xx reply: [`PASSTHROUGH`], also where this is null, or [`DECODE`].
  MgStatus (*on_head)(const void *provider,
                      void *state,
                      uint32_t status,
                      struct MgSlice content_type);
  // The next bytes of the body, cut anywhere; writes what they mean through [`Host::write`]. `end` is 1 in the last
  // call, which may bring no bytes.
  MgStatus (*on_data)(const void *provider,
                      void *state,
                      struct MgSlice data,
                      uint32_t end,
                      struct MgOutput *output);
  // What an error reply means: [`REJECT`] after [`Host::reject_output`], or [`NEXT`], which leaves it to the host.
  MgStatus (*on_error)(const void *provider,
                       uint32_t status,
                       struct MgSlice body,
                       struct MgOutput *output);
  // Answers a call without a network, on a thread of its own that may block.
  MgStatus (*answer)(const void *provider,
                     const struct MgCall *call,
                     struct MgReader *reader,
                     struct MgOutput *output);
  // Frees a state, once. Not called where `begin` is null.
  void (*end)(void *state);
} MgProviderType;

// What a plugin is: the symbol `millgate_plugin_v1`, data, not a function. It is read before any code of the plugin runs.
typedef struct MgManifest {
  // [`MAGIC`]
  uint64_t magic;
  // Size of this struct.
  uint32_t size;
  // The [`MINOR`] that the plugin was built against.
  uint32_t minor;
  // The smallest `minor` of a host that it can live with.
  uint32_t min_host_minor;
  // See `MG_FLAG_…`.
  uint32_t flags;
  // Its name, which `kind = "NAME/…"` begins with: letters, digits, `-` and `_`.
  struct MgSlice name;
  // Its version.
  struct MgSlice version;
  // What it was written with, for messages: `millgate-plugin 0.1.0`.
  struct MgSlice sdk;
  // Called once, before anything else. The host lives for ever. Returns [`NEXT`], or the plugin is refused.
  MgStatus (*init)(const struct MgHost *host);
  // Its kinds of stages.
  const struct MgStageType *const *stages;
  // How many.
  size_t stage_count;
  // Its kinds of providers.
  const struct MgProviderType *const *providers;
  // How many.
  size_t provider_count;
} MgManifest;

// Go on; done; keep the chunk.
#define MG_NEXT 0

// From `on_request_head`, `on_request` and `on_response`: the reply was set and emitted, this is it.
#define MG_REPLY 1

// Refused: [`Host::reject`] said how.
#define MG_REJECT 2

// From `on_request_head`, `on_request` and `on_response`: call the same hook again once the token is woken.
// Where time runs out or the client leaves before that, another function of the stage is called next.
#define MG_WAIT 3

// From `on_chunk`: pass on what was emitted instead, each piece as a chunk of its own.
#define MG_REPLACE 4

// From `on_chunk`: pass nothing on.
#define MG_DROP 5

// It could not be done: [`Host::fail`] said why.
#define MG_FAILED 6

// The plugin panicked: [`Host::fail`] said with which words. The state is not used again, but freed.
#define MG_PANICKED 7

// From `on_head`: the body is in the OpenAI shape already.
#define MG_PASSTHROUGH 8

// From `on_head`: the body goes through `on_data`.
#define MG_DECODE 9

// From the host: the reader has left; stop.
#define MG_GONE 10

// From the host: the field cannot be written here.
#define MG_READ_ONLY 11

// From the host: the name or value is not valid for the field.
#define MG_INVALID 12

// From the host: nobody is known by this value.
#define MG_UNKNOWN 13

// From the host: whether somebody is known by this value cannot be told now.
#define MG_UNAVAILABLE 14

#endif  /* MILLGATE_PLUGIN_H */
