// The admin API. Errors are thrown with what the gateway said.

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// Long enough for a busy gateway, short enough that a dead one shows.
const PATIENCE_MS = 10_000;

async function call(path, options = {}) {
  const response = await fetch(path, {
    credentials: 'same-origin',
    cache: 'no-store',
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...options,
  });
  const text = await response.text();
  let said = null;
  try {
    said = text ? JSON.parse(text) : null;
  } catch {
    // Not the gateway's own words, then.
  }
  if (response.ok) return said;
  const error = said?.error ?? {};
  throw new Refused(response.status, error.code ?? '', error.message ?? `HTTP ${response.status}`);
}

const change = (method, path, body) =>
  call(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

// Those that are given, as a query.
const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : '';
};

export const session = () => call('/api/session');
export const signIn = (token) => change('POST', '/api/session', { token });
export const signOut = () => change('DELETE', '/api/session', {});
export const status = () => call('/api/status');
export const history = (range) => call(`/api/history${query({ range })}`);
export const usage = (since, by) => call(`/api/usage${query({ since, by })}`);
export const exchanges = (filters) => call(`/api/exchanges${query(filters)}`);
export const exchange = (id) => call(`/api/exchanges/${encodeURIComponent(id)}`);
export const purge = (what) => change('POST', '/api/cache/purge', what);
