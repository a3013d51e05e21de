// The official SDK for Node against a running gateway. All in one file: the tests steer one mock.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  BACKENDS, DEAD_URL, MOCK_URL, QUESTION, begin, client, collect, counts, onBackends, release, requests, script, textOf, waitForCount,
} from './gateway.js';

const openai = client();
const UPSTREAMS = ['openai', 'ollama'];

const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather at a place',
    parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
  },
};

const City = z.object({ name: z.string(), population: z.number().int(), districts: z.array(z.string()) });
const SEOUL = { name: '서울', population: 9_400_000, districts: ['종로구', '중구'] };

const create = (model, options = {}, using = openai) =>
  using.chat.completions.create({ model, messages: QUESTION, ...options });

/** Makes a call that fails with exactly this class, and returns the error. */
async function fails(call, expected) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.constructor, expected, `${error.constructor.name}: ${error.message}`);
    return error;
  }
  assert.fail(`${expected.name} is missing`);
}

beforeEach(begin);

describe('chat', () => {
  test('an answer comes whole', (t) =>
    onBackends(t, async (model, backend) => {
      await script({ text: '안녕 from the mock' });
      const { data, response } = await create(model).withResponse();
      assert.match(data.choices[0].message.content, backend === 'rehearsal' ? /안녕하세요/ : /안녕 from the mock/);
      assert.equal(data.choices[0].finish_reason, 'stop');
      assert.ok(data.usage.total_tokens > 0);
      assert.equal(response.headers.get('x-millgate-provider'), backend);
      assert.equal(data._request_id, response.headers.get('x-request-id'));
    }));

  test('the pieces of a stream make up the answer', (t) =>
    onBackends(t, async (model) => {
      await script({ text: '하나 둘 셋 four five' });
      const whole = (await create(model)).choices[0].message.content;
      assert.equal(await textOf(await create(model, { stream: true })), whole);
    }));

  test('usage comes last where it is asked for, and not at all where it is not', (t) =>
    onBackends(t, async (model) => {
      const asked = await collect(await create(model, { stream: true, stream_options: { include_usage: true } }));
      assert.deepEqual(asked.at(-1).choices, []);
      assert.ok(asked.at(-1).usage.total_tokens > 0);
      const unasked = await collect(await create(model, { stream: true }));
      assert.ok(unasked.every((chunk) => chunk.choices.length === 1 && chunk.usage == null));
    }));

  test('a piece is read while the next is not yet made', async () => {
    await script({ gate: true });
    await release(2); // the role and one piece
    const pieces = (await create('mock-model', { stream: true }))[Symbol.asyncIterator]();
    let text = '';
    while (!text) text += (await pieces.next()).value.choices[0].delta.content ?? '';
    assert.equal(text, 'word0 ');
    await release(100);
    for await (const chunk of { [Symbol.asyncIterator]: () => pieces }) text += chunk.choices[0].delta.content ?? '';
    assert.equal(text, 'word0 word1 word2 word3 ');
  });
});

describe('tools', () => {
  // Ollama has no tool_choice, so that its mock must be told to call.
  const calls = { models: { 'ollama-model': [{ tool_calls: 1 }, {}] } };

  test('the model calls a tool and is told its result', (t) =>
    onBackends(t, async (model) => {
      await script(calls);
      const answer = await create(model, { tools: [WEATHER], tool_choice: 'required' });
      const { message, finish_reason } = answer.choices[0];
      assert.equal(finish_reason, 'tool_calls');
      const [call] = message.tool_calls;
      assert.equal(call.function.name, 'get_weather');
      assert.equal(typeof JSON.parse(call.function.arguments).place, 'string');
      const result = { role: 'tool', tool_call_id: call.id, content: '19 degrees' };
      const final = await create(model, { messages: [...QUESTION, message, result], tools: [WEATHER] });
      assert.equal(final.choices[0].finish_reason, 'stop');
      assert.ok(final.choices[0].message.content);
    }));

  test('a streamed call is put together', (t) =>
    onBackends(t, async (model) => {
      await script(calls);
      const request = { model, messages: QUESTION, tools: [WEATHER], tool_choice: 'required' };
      const message = await openai.chat.completions.stream(request).finalMessage();
      assert.equal(message.tool_calls.length, 1);
      assert.equal(message.tool_calls[0].function.name, 'get_weather');
      assert.equal(typeof JSON.parse(message.tool_calls[0].function.arguments).place, 'string');
    }));
});

describe('structured output', () => {
  test('an answer fits the zod schema', (t) =>
    onBackends(t, async (model, backend) => {
      await script({ text: JSON.stringify(SEOUL) });
      const request = { model, messages: QUESTION, response_format: zodResponseFormat(City, 'city') };
      const { parsed } = (await openai.chat.completions.parse(request)).choices[0].message;
      City.parse(parsed);
      if (backend !== 'rehearsal') assert.deepEqual(parsed, SEOUL);
    }));

  test('a response fits it too', (t) =>
    onBackends(t, async (model) => {
      await script({ text: JSON.stringify(SEOUL) });
      const request = { model, input: 'A city', store: false, text: { format: zodTextFormat(City, 'city') } };
      City.parse((await openai.responses.parse(request)).output_parsed);
    }));
});

describe('other endpoints', () => {
  test('embeddings come as floats though the SDK asks for base64', (t) =>
    onBackends(t, async (model, backend) => {
      const input = ['하나', 'two'];
      const decoded = await openai.embeddings.create({ model, input });
      if (backend === 'openai') assert.equal(JSON.parse((await requests())[0].body).encoding_format, 'base64');
      const plain = await openai.embeddings.create({ model, input, encoding_format: 'float' });
      assert.equal(decoded.data.length, 2);
      decoded.data.forEach(({ embedding }, index) => {
        assert.ok(embedding.length > 0);
        assert.equal(embedding.length, plain.data[index].embedding.length);
        embedding.forEach((number, at) => assert.ok(Math.abs(number - plain.data[index].embedding[at]) < 1e-6));
      });
    }));

  test('completions, whole and streamed', (t) =>
    onBackends(t, async (model) => {
      const request = { model, prompt: 'Once upon' };
      const whole = (await openai.completions.create(request)).choices[0].text;
      let text = '';
      for await (const chunk of await openai.completions.create({ ...request, stream: true })) {
        text += chunk.choices[0]?.text ?? '';
      }
      assert.ok(whole);
      assert.equal(text, whole);
    }));

  test('responses, whole and streamed', (t) =>
    onBackends(t, async (model, backend) => {
      await script({ text: '안녕 from the mock' });
      const request = { model, input: '안녕하세요', store: false };
      const whole = await openai.responses.create(request);
      assert.equal(whole.status, 'completed');
      assert.match(whole.output_text, backend === 'rehearsal' ? /안녕하세요/ : /안녕 from the mock/);
      const events = await collect(await openai.responses.create({ ...request, stream: true }));
      const deltas = events.filter((event) => event.type === 'response.output_text.delta');
      assert.equal(deltas.map((event) => event.delta).join(''), whole.output_text);
      assert.equal(events.at(-1).type, 'response.completed');
      const final = await openai.responses.stream(request).finalResponse();
      assert.equal(final.output_text, whole.output_text);
    }));

  test('models are listed and retrieved', async () => {
    const listed = await collect(openai.models.list());
    for (const model of Object.values(BACKENDS)) {
      const entry = listed.find(({ id }) => id === model);
      assert.ok(entry, model);
      assert.deepEqual({ ...(await openai.models.retrieve(model)) }, entry);
    }
  });

  test('a file arrives to the last byte', async () => {
    const content = Array.from({ length: 50_000 }, (_, line) => `${line}: 안녕하세요\n`).join('');
    const file = await toFile(Buffer.from(content), 'lines.txt');
    const uploaded = await openai.files.create({ file, purpose: 'assistants' });
    assert.match(uploaded.id, /^file-mock-/);
    const [request] = await requests();
    assert.ok(request.body.includes(content));
  });

  test('speech comes as bytes', async () => {
    const reply = await openai.audio.speech.create({ model: 'mock-model', voice: 'alloy', input: '안녕하세요' });
    const expected = Buffer.from(Array.from({ length: 4096 }, (_, n) => n % 256));
    assert.ok(Buffer.from(await reply.arrayBuffer()).equals(expected));
    const streamed = await openai.audio.speech.create({ model: 'mock-model', voice: 'alloy', input: 'x' });
    assert.ok(Buffer.concat(await collect(streamed.body)).equals(expected));
  });
});

describe('errors', () => {
  // An upstream's 401 and 403 are about the gateway's key and become a 502.
  const classes = {
    400: OpenAI.BadRequestError,
    404: OpenAI.NotFoundError,
    409: OpenAI.ConflictError,
    422: OpenAI.UnprocessableEntityError,
    429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError,
    503: OpenAI.InternalServerError,
  };

  test('each status of an upstream is its class', (t) =>
    onBackends(t, async (model) => {
      for (const [status, expected] of Object.entries(classes)) {
        for (const stream of [false, true]) {
          await script({ status: Number(status) });
          const error = await fails(() => create(model, { stream }, client({ maxRetries: 0 })), expected);
          assert.equal(error.status, Number(status));
          assert.ok(error.message && error.type && error.code && error.requestID);
        }
      }
    }, UPSTREAMS));

  test('an upstream that refuses the key of the gateway is a fault of the gateway', async () => {
    for (const status of [401, 403]) {
      await script({ status });
      const error = await fails(() => create('mock-model'), OpenAI.InternalServerError);
      assert.deepEqual([error.status, error.code], [502, 'upstream_auth']);
    }
  });

  test('a wrong key is an authentication error', async () => {
    for (const stream of [false, true]) {
      const error = await fails(() => create('mock-model', { stream }, client({ apiKey: 'wrong' })), OpenAI.AuthenticationError);
      assert.deepEqual([error.status, error.code], [401, 'invalid_api_key']);
      assert.ok(error.message && error.requestID);
    }
    assert.deepEqual(await requests(), []);
  });

  test('a model that the caller may not use is not permitted', async () => {
    const limited = client({ apiKey: 'limited-application-key' });
    const error = await fails(() => create('rehearsal', {}, limited), OpenAI.PermissionDeniedError);
    assert.deepEqual([error.code, error.param], ['model_not_allowed', 'model']);
    assert.ok((await create('mock-model', {}, limited)).choices.length);
  });

  test('a caller that asks too often is told when to come back, and does', async () => {
    const hurried = client({ apiKey: 'hurried-application-key' });
    await create('mock-model', {}, hurried);
    const atOnce = client({ apiKey: 'hurried-application-key', maxRetries: 0 });
    let error;
    for (const stream of [false, true]) {
      error = await fails(() => create('mock-model', { stream }, atOnce), OpenAI.RateLimitError);
      assert.deepEqual([error.status, error.code, error.type], [429, 'rate_limit_exceeded', 'requests']);
      assert.equal(error.headers.get('retry-after'), '2');
      assert.equal(error.headers.get('x-should-retry'), null);
    }
    const began = performance.now();
    // It retries twice by default, the first time after half a second: both would be too early.
    assert.ok((await create('mock-model', {}, hurried)).choices.length);
    assert.ok(performance.now() - began > Number(error.headers.get('retry-after-ms')) - 100);
    assert.equal((await requests()).length, 2);
  });

  test('a web page of another origin is not permitted', async () => {
    const page = client({ defaultHeaders: { Origin: 'https://evil.example' } });
    const error = await fails(() => create('mock-model', {}, page), OpenAI.PermissionDeniedError);
    assert.equal(error.code, 'unknown_origin');
  });

  test('a model without a route is not found', async () => {
    const error = await fails(() => create('rehersal'), OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
    assert.match(error.message, /Did you mean `rehearsal`\?/);
  });

  test('time runs out, in the gateway and in the client', async () => {
    await script({ fault: 'stall_before_head' });
    const error = await fails(() => create('impatient'), OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code], [504, 'upstream_timeout']);
    await fails(() => create('mock-model', {}, client({ timeout: 200, maxRetries: 0 })), OpenAI.APIConnectionTimeoutError);
  });

  test('there is no gateway at all', () =>
    fails(() => create('any', {}, client({ baseURL: `${DEAD_URL}/v1`, maxRetries: 0 })), OpenAI.APIConnectionError));

  test('an error in mid-stream is thrown after what came before it', (t) =>
    onBackends(t, async (model) => {
      for (const fault of ['error_event', 'reset_mid_stream', 'close_mid_stream', 'cut_mid_stream', 'half_event']) {
        await script({ text: 'one two three four', fault, at: 3 });
        let text = '';
        const error = await fails(async () => {
          for await (const chunk of await create(model, { stream: true })) text += chunk.choices[0].delta.content ?? '';
        }, OpenAI.APIError);
        assert.match(text, /^one two/);
        assert.ok(error.code, `${fault}: ${error.message}`);
      }
    }, UPSTREAMS));
});

describe('retries', () => {
  // The gateway tries twice; an SDK that retried as well, as it does by default, would make it six times.
  test('the SDK would retry by itself', async () => {
    await script({ fail_first: 1, status: 503 });
    await create('mock-model', {}, client({ baseURL: `${MOCK_URL}/v1` }));
    assert.equal((await requests()).length, 2);
  });

  test('an exhausted chain is not tried again', async () => {
    for (const fault of [{ status: 408 }, { status: 429 }, { status: 500 }, { status: 503 }, { fault: 'garbage' }]) {
      await begin();
      await script(fault);
      const error = await create('retried').catch((error) => error);
      assert.equal(error.headers.get('x-should-retry'), 'false');
      assert.equal((await requests()).length, 2, JSON.stringify(fault));
    }
  });
});

describe('fallback', () => {
  const saved = 'saved by the second';

  test('a dead upstream goes unnoticed', async () => {
    for (const model of ['dead-first', 'broken-first', 'other-kind']) {
      for (const fault of [{ fault: 'reset_before_head' }, { status: 503 }]) {
        await script({ text: saved, models: { 'mock-first': fault } });
        const { data, response } = await create(model).withResponse();
        assert.equal(response.headers.get('x-millgate-attempts'), '2');
        assert.equal(data.choices[0].message.content, saved);
        assert.equal(await textOf(await create(model, { stream: true })), saved);
      }
    }
  });

  test('a stream that breaks before its content goes unnoticed', async () => {
    for (const fault of ['reset_mid_stream', 'cut_mid_stream', 'half_event', 'error_event', 'garbage']) {
      await script({ text: saved, models: { 'mock-first': { fault, at: 1 } } });
      for (const model of ['broken-first', 'other-kind']) {
        assert.equal(await textOf(await create(model, { stream: true })), saved, `${model}: ${fault}`);
      }
    }
  });
});

describe('a reader that leaves closes the upstream', () => {
  test('in mid-stream', (t) =>
    onBackends(t, async (model) => {
      await script({ chunks: 2000, interval: 5 });
      const { aborted } = await counts();
      let left = 3;
      for await (const _ of await create(model, { stream: true })) {
        if (--left === 0) break;
      }
      await waitForCount('aborted', aborted + 1);
    }, UPSTREAMS));

  test('before the head', async () => {
    await script({ fault: 'stall_before_head' });
    const { aborted } = await counts();
    const leaving = new AbortController();
    const call = openai.chat.completions.create({ model: 'mock-model', messages: QUESTION }, { signal: leaving.signal });
    const failed = fails(() => call, OpenAI.APIUserAbortError);
    await waitForCount('in_flight', 1);
    leaving.abort();
    await failed;
    await waitForCount('aborted', aborted + 1);
  });
});
