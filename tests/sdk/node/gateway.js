// What the tests share: the addresses, clients, and the mock upstream's controls.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

export const BASE_URL = `${process.env.MILLGATE_URL}/v1`;
export const MOCK_URL = process.env.MOCK_URL;
export const DEAD_URL = process.env.DEAD_URL;

// The model that leads to each kind of backend.
export const BACKENDS = { openai: 'mock-model', ollama: 'ollama-model', rehearsal: 'rehearsal' };

export const QUESTION = [{ role: 'user', content: '안녕하세요, how are you?' }];

const PATIENCE_MS = 10_000;

/** A client as an application makes it: one URL changed. */
export function client(options = {}) {
  return new OpenAI({ baseURL: BASE_URL, apiKey: 'application-key', ...options });
}

async function control(method, path, document) {
  const reply = await fetch(`${MOCK_URL}/mock${path}`, { method, body: JSON.stringify(document) });
  assert.equal(reply.status, 200, await reply.clone().text());
  return reply.json();
}

/** Sets what the mock does: `models` for requests of these models, the other keys for all the rest. */
export async function script({ models = {}, ...script } = {}) {
  // These two stand in the plan so that the mock lists them.
  const listed = { 'mock-model': script, 'ollama-model': script };
  await control('PUT', '/script', { ...script, models: { ...listed, ...models } });
}

/** Makes the mock forget what it was told and what it has seen. */
export async function begin() {
  await script();
  await control('DELETE', '/requests');
}

/** What has reached the mock since the test began. */
export const requests = () => control('GET', '/requests');

/** The mock's counts. */
export const counts = () => control('GET', '/counts');

/** Lets events of gated streams go. */
export const release = (events) => control('POST', `/gate?n=${events}`);

/** Waits until one of the mock's counts has come to a value. */
export async function waitForCount(name, value) {
  const until = Date.now() + PATIENCE_MS;
  for (let seen = await counts(); seen[name] !== value; seen = await counts()) {
    assert.ok(Date.now() < until, `${name} is not ${value}: ${JSON.stringify(seen)}`);
    await sleep(10);
  }
}

/** Runs `check(model, backend)` as a subtest for each of these kinds of backend, with a fresh mock. */
export async function onBackends(test, check, names = Object.keys(BACKENDS)) {
  for (const backend of names) {
    await test.test(backend, async () => {
      await begin();
      await check(BACKENDS[backend], backend);
    });
  }
}

/** The text of a chat stream. */
export async function textOf(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

/** All items of a stream. */
export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
