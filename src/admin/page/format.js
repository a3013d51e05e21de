// Numbers and times for people, in the browser's locale. What is not known is a dash.

export const NONE = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

const made = new Map();
function number(options) {
  const key = JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.NumberFormat(undefined, options));
  return made.get(key);
}

const plain = (value, digits) => number({ maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

// A count, in full.
export const count = (value) => (known(value) ? number({ maximumFractionDigits: 0 }).format(value) : NONE);

// A count, short: 12.3K.
export function short(value) {
  if (!known(value)) return NONE;
  if (Math.abs(value) < 10_000) return number({ maximumFractionDigits: value % 1 && value < 100 ? 1 : 0 }).format(value);
  return number({ notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

// So many each second.
export function rate(value) {
  if (!known(value)) return NONE;
  if (value !== 0 && value < 0.01) return `<${plain(0.01, 2)}/s`;
  if (value >= 10_000) return `${short(value)}/s`;
  return `${plain(value, value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2)}/s`;
}

// A share between 0 and 1.
export function percent(value) {
  if (!known(value)) return NONE;
  const digits = value === 0 || value === 1 ? 0 : value < 0.1 || value > 0.99 ? 2 : 1;
  return number({ style: 'percent', maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

// A duration of so many milliseconds.
export function ms(value) {
  if (!known(value)) return NONE;
  if (value === 0) return `${plain(0, 0)} ms`;
  if (value < 1) return `${plain(value * 1000, value < 0.01 ? 1 : 0)} µs`;
  if (value < 1000) return `${plain(value, value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
  if (value < 60_000) return `${plain(value / 1000, value < 10_000 ? 2 : 1)} s`;
  return span(value / 1000);
}

// A duration of so many seconds, in two units at most: 3 d 4 h.
export function span(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return `${plain(0, 0)} s`;
  return parts
    .slice(first, first + 2)
    .filter(([amount], index) => amount > 0 || index === 0)
    .map(([amount, unit]) => `${plain(amount, 0)} ${unit}`)
    .join(' ');
}

// US dollars; small amounts with as many places as they need.
export function money(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  const digits = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  const options = { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol' };
  if (size >= 100_000) return number({ ...options, notation: 'compact', maximumSignificantDigits: 4 }).format(value);
  return number({ ...options, minimumFractionDigits: Math.min(digits, 4), maximumFractionDigits: digits }).format(value);
}

// A size in bytes, by binary units.
export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  const scaled = value / 1024 ** step;
  return `${plain(scaled, step === 0 || scaled >= 100 ? 0 : 1)} ${units[step]}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const minutes = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const days = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });

const formatted = (format, time) => {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? NONE : format.format(date);
};

// Times of day and days, here.
export const second = (time) => formatted(clock, time);
export const minute = (time) => formatted(minutes, time);
export const day = (time) => formatted(days, time);
export const moment = (time) => formatted(moments, time);
