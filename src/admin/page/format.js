// Numbers and times for people, in the browser's locale. What is not known is a dash.

export const NONE = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

const made = new Map();
function number(options) {
  const key = JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.NumberFormat(undefined, options));
  return made.get(key);
}

const plain = (value, digits, least = digits) => number({ maximumFractionDigits: digits, minimumFractionDigits: least }).format(value);

// A count, in full.
export const count = (value) => (known(value) ? number({ maximumFractionDigits: 0 }).format(value) : NONE);

// A count, short: 12.3K.
export function short(value) {
  if (!known(value)) return NONE;
  if (Math.abs(value) < 10_000) return number({ maximumFractionDigits: value % 1 && value < 100 ? 1 : 0 }).format(value);
  return number({ notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

// So many each second. Here and below, `isMark` is for the marks of an axis, which need no places to line up by.
export function rate(value, isMark = false) {
  if (!known(value)) return NONE;
  if (value !== 0 && value < 0.01) return `<${plain(0.01, 2)}/s`;
  if (value >= 10_000) return `${short(value)}/s`;
  return `${plain(value, value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2, isMark ? 0 : undefined)}/s`;
}

// A share between 0 and 1.
export function percent(value) {
  if (!known(value)) return NONE;
  const digits = value === 0 || value === 1 ? 0 : value < 0.1 || value > 0.99 ? 2 : 1;
  return number({ style: 'percent', maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

// A duration of so many milliseconds.
export function ms(value, isMark = false) {
  const least = isMark ? 0 : undefined;
  if (!known(value)) return NONE;
  if (value === 0) return `${plain(0, 0)} ms`;
  if (value < 1) return `${plain(value * 1000, value < 0.01 ? 1 : 0, least)} µs`;
  if (value < 1000) return `${plain(value, value < 10 ? 2 : value < 100 ? 1 : 0, least)} ms`;
  if (value < 60_000) return `${plain(value / 1000, value < 10_000 ? 2 : 1, least)} s`;
  return span(value / 1000);
}

let spoken = 'en';

// Sets the language of words: the page's, where numbers have the browser's locale.
export function speak(language) {
  spoken = language;
}

const unit = (amount, name) => new Intl.NumberFormat(spoken, { style: 'unit', unit: name, unitDisplay: 'narrow' }).format(amount);

// A duration of so many seconds, in two units at most: 3d 4h.
export function span(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), 'day'],
    [Math.floor(whole / 3600) % 24, 'hour'],
    [Math.floor(whole / 60) % 60, 'minute'],
    [whole % 60, 'second'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return unit(0, 'second');
  return parts
    .slice(first, first + 2)
    .filter(([amount], index) => amount > 0 || index === 0)
    .map(([amount, name]) => unit(amount, name))
    .join(' ');
}

// US dollars; small amounts with as many places as they need.
export function money(value, isMark = false) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  const options = { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol' };
  if (size >= 100_000) return number({ ...options, notation: 'compact', maximumSignificantDigits: 4 }).format(value);
  if (size > 0 && size < 0.0001) return number({ ...options, maximumSignificantDigits: 2 }).format(value);
  const digits = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 4 : 5;
  return number({ ...options, minimumFractionDigits: isMark ? 0 : digits, maximumFractionDigits: digits }).format(value);
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
