// The charts: what each of them draws, and how uPlot is told to.

import { byId, h, setData, setText } from './dom.js';
import * as format from './format.js';
import { t } from './text.js';

const uPlot = window.uPlot;

// How much of a step's rate is of one outcome.
const outcome = (pick) => (point) => (point.exchanges ? (point.rate * pick(point)) / point.exchanges : 0);
const good = (point) => point.exchanges - point.errors - point.refused - point.cancelled;

const line = (title, color, of, more = {}) => ({ title, color, of, ...more });
const percentiles = (member, names) =>
  names.map((name, index) => line(name, ['--c1', '--c2', '--c3'][index], (point) => point[member]?.[`${name}_ms`] ?? null));

// `stacked`: the first series lies at the bottom. What a series is `of` holds for a point and for the whole range.
const CHARTS = [
  { id: 'rate', title: 'chart_rate', format: format.rate, stacked: true, series: [
    line('ok', '--ok', outcome(good)),
    line('refused', '--warn', outcome((point) => point.refused)),
    line('cancelled', '--quiet', outcome((point) => point.cancelled)),
    line('errors', '--bad', outcome((point) => point.errors)),
  ] },
  { id: 'latency', title: 'chart_latency', format: format.ms, series: percentiles('latency', ['p50', 'p95', 'p99']) },
  { id: 'overhead', title: 'chart_overhead', format: format.ms, series: percentiles('overhead', ['p50', 'p95', 'p99']) },
  { id: 'first', title: 'chart_first', format: format.ms, series: percentiles('first', ['p50', 'p95']) },
  { id: 'tokens', title: 'chart_tokens', format: format.short, stacked: true, steps: true, series: [
    line('input', '--c1', (point) => point.input_tokens),
    line('output', '--c2', (point) => point.output_tokens),
    line('estimated', '--quiet', (point) => point.estimated_tokens),
  ] },
  { id: 'cost', title: 'chart_cost', format: format.money, steps: true, series: [
    line('cost', '--c1', (point) => point.cost ?? null),
    line('saved', '--ok', (point) => point.saved ?? null),
  ] },
];

export const SECONDS = { '5m': 300, '1h': 3600, '24h': 86_400, '7d': 604_800 };

const HEIGHT = 148;

// A colour of the style sheet as the canvas wants it, resolved for the theme in force.
const probe = document.body.appendChild(h('span', { class: 'probe', 'aria-hidden': 'true' }));
const resolved = new Map();
function color(name) {
  if (!resolved.has(name)) {
    probe.style.setProperty('color', `var(${name})`);
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

const shown = [];

// Makes the charts, empty.
export function make() {
  const place = byId('charts');
  place.replaceChildren();
  for (const { plot } of shown.splice(0)) plot.destroy();
  for (const chart of CHARTS) shown.push(one(chart, place));
}

function one(chart, place) {
  const when = h('span', { class: 'when' });
  const step = h('span', { class: 'hint' });
  const values = chart.series.map(({ title }) => h('b', { data: { testid: `chart.${chart.id}.${title}` } }, format.NONE));
  const legend = h('ul', { class: 'legend', title: t('total_of') }, chart.series.map(({ title, color: name }, index) =>
    h('li', {}, h('i', { class: 'swatch', style: { background: `var(${name})` }, 'aria-hidden': 'true' }), t(title), values[index])));
  const canvas = h('div', { class: 'plot', tabindex: '0', role: 'img' });
  place.append(h('figure', { class: 'panel chart', data: { testid: `chart.${chart.id}` } },
    h('figcaption', {}, h('h3', {}, t(chart.title)), step, when), legend, canvas));

  const self = { chart, when, step, values, canvas, points: [], totals: null };
  self.plot = new uPlot(options(chart, canvas, () => read(self)), [[], ...chart.series.map(() => [])], canvas);
  new ResizeObserver(() => {
    if (canvas.clientWidth) self.plot.setSize({ width: canvas.clientWidth, height: HEIGHT });
  }).observe(canvas);
  canvas.addEventListener('keydown', (event) => step_through(self, event));
  canvas.addEventListener('blur', () => self.plot.setCursor({ left: -10, top: -10 }));
  return self;
}

// Moves the cursor to the step before or after.
function step_through({ plot, points }, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !points.length) return;
  event.preventDefault();
  const from = plot.cursor.idx ?? (by < 0 ? points.length : -1);
  const index = Math.min(Math.max(from + by, 0), points.length - 1);
  plot.setCursor({ left: plot.valToPos(plot.data[0][index], 'x'), top: HEIGHT / 2 });
}

function options(chart, canvas, onCursor) {
  const grid = { stroke: () => color('--line'), width: 1 };
  const axis = { stroke: () => color('--dim'), font: '11px system-ui, sans-serif', ticks: { show: false } };
  const drawn = chart.stacked ? [...chart.series].reverse() : chart.series;
  return {
    width: canvas.clientWidth || 300,
    height: HEIGHT,
    padding: [6, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: 'time', setSeries: false } },
    scales: {
      x: { time: true },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 24, values: times },
      { ...axis, grid, space: 24, size: 62, values: (plot, marks) => marks.map((mark) => (mark && isBlank(plot.data) ? '' : chart.format(mark, true))) },
    ],
    series: [
      {},
      ...drawn.map(({ color: name }) => ({
        stroke: () => color(name),
        fill: chart.stacked ? () => color(`${name}-fill`) : undefined,
        width: 1.5,
        points: { show: alone },
        paths: chart.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
      })),
    ],
    hooks: { setCursor: [onCursor] },
  };
}

// Whether there is nothing to see, and so no scale to read.
const isBlank = ([, ...series]) => !series.some((values) => values.some((value) => value > 0));

// A value between two that are not known would not be seen without a point.
function alone(plot, index) {
  const values = plot.data[index];
  return values.length < 200 && values.some((value, at) => value !== null && values[at - 1] == null && values[at + 1] == null);
}

// The marks of the time axis.
function times(_, marks, __, ___, step) {
  const show = step >= 86_400 ? format.day : step >= 60 ? format.minute : format.second;
  return marks.map((mark) => show(mark * 1000));
}

// Shows a range's history.
export function update(history) {
  const now = Date.now() / 1000;
  for (const self of shown) {
    self.points = history.points;
    self.totals = history.totals;
    self.stepSeconds = history.step_s;
    const end = history.points.length ? Date.parse(history.points.at(-1).time) / 1000 : now;
    const time = history.points.map((point) => Date.parse(point.time) / 1000);
    self.plot.batch(() => {
      self.plot.setData([time, ...columns(self.chart, history.points)], false);
      self.plot.setScale('x', { min: end - SECONDS[history.range], max: end });
    });
    setData(self.canvas, 'empty', isBlank(self.plot.data) ? t('no_usage') : null);
    setText(self.step, self.chart.steps ? t('per_step', { step: format.span(history.step_s) }) : '');
    read(self);
  }
}

function columns(chart, points) {
  const plain = chart.series.map(({ of }) => points.map((point) => of(point) ?? null));
  if (!chart.stacked) return plain;
  for (let series = 1; series < plain.length; series += 1) {
    plain[series] = plain[series].map((value, at) => (value ?? 0) + (plain[series - 1][at] ?? 0));
  }
  return plain.reverse();
}

// The legend: what the cursor points at, or the whole range.
function read(self) {
  const index = self.plot?.cursor.idx;
  const point = index === null || index === undefined ? null : self.points[index];
  const from = point ?? self.totals;
  setText(self.when, point ? t('at', { time: format[self.stepSeconds >= 300 ? 'moment' : 'second'](point.time) }) : '');
  self.chart.series.forEach(({ of }, at) => {
    const value = from ? of(from) : null;
    setText(self.values[at], self.chart.format(value));
    setData(self.values[at], 'value', value);
  });
  const said = self.chart.series.map(({ title }, at) => `${t(title)} ${self.values[at].textContent}`);
  self.canvas.setAttribute('aria-label', `${t(self.chart.title)}, ${self.when.textContent || t('total_of')}: ${said.join(', ')}. ${t('chart_keys')}`);
}

// The theme has changed: colours are looked up anew.
export function repaint() {
  resolved.clear();
  for (const { plot } of shown) plot.redraw(false, false);
}
