// The page as a whole: what is asked when, and who is told.

import * as api from './api.js';
import * as cache from './cache.js';
import * as charts from './charts.js';
import * as detail from './detail.js';
import { byId, h, setData, setText } from './dom.js';
import * as exchanges from './exchanges.js';
import * as format from './format.js';
import { Live } from './live.js';
import * as pipeline from './pipeline.js';
import * as providers from './providers.js';
import * as session from './session.js';
import * as status from './status.js';
import { switchLanguage, t, translate } from './text.js';
import * as tiles from './tiles.js';
import * as usage from './usage.js';

// How often a range's history is asked for: about as often as it changes.
const HISTORY_MS = { '5m': 2000, '1h': 5000, '24h': 30_000, '7d': 60_000 };
const USAGE_MS = 15_000;
const NOTICE_MS = 8000;
const BEGIN_MS = 3000;
const YOUNG_MS = 15 * 60_000;

const stored = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(`millgate.${name}`);
    localStorage.setItem(`millgate.${name}`, value);
  } catch {
    // Storage may be closed to the page; a choice holds until it is left, then.
  }
  return null;
};

let range = stored('range') in HISTORY_MS ? stored('range') : '1h';
// Nobody has chosen one yet: a gateway that has just started has nothing to show of a whole hour.
let isFirst = !(stored('range') in HISTORY_MS);
let isPaused = false;
// Whether the gateway has let this page in, and whether anything is asked of it at the moment.
let isIn = false;
let isFollowing = false;
let connection = 'connecting';
let missed = 0;
let latest = { history: null, status: null };
const timers = {};

const live = new Live({
  status: showStatus,
  exchange: exchanges.add,
  missed: (count) => {
    missed += count;
    notice(t('missed', { n: format.count(missed) }));
  },
  catchUp: () => guarded(exchanges.refresh).catch(failed),
  poll: () => guarded(async () => {
    const [document_] = await Promise.all([api.status(), exchanges.refresh()]);
    showStatus(document_);
  }),
  state: (name) => {
    connection = name;
    showConnection();
  },
});

function showStatus(now) {
  latest.status = now;
  status.update(now);
  pipeline.update(now);
  providers.update(now);
  cache.update(now.cache);
}

function showHistory(now) {
  latest.history = now;
  tiles.update(now);
  charts.update(now);
  cache.update(undefined, now.totals);
  setText(byId('since'), t('since', { time: format.moment(now.since) }));
  setData(byId('since'), 'value', now.since);
  setData(byId('since'), 'range', now.range);
}

function showConnection() {
  const name = isPaused ? 'paused' : connection;
  const element = byId('connection');
  setText(element, t(name));
  setData(element, 'value', name);
  element.title = ['live', 'polling', 'offline'].includes(name) ? t(`${name}_title`) : '';
  setText(byId('pause'), t(isPaused ? 'resume' : 'pause'));
  byId('pause').setAttribute('aria-pressed', isPaused);
}

function notice(text) {
  setText(byId('notice'), text);
  byId('notice').hidden = false;
  clearTimeout(timers.notice);
  timers.notice = setTimeout(() => {
    byId('notice').hidden = true;
    missed = 0;
  }, NOTICE_MS);
}

// Does it; where the session is over, the form is shown in its place.
async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (error.status === 401) {
      leave();
      begin();
    }
    throw error;
  }
}

const failed = (error) => {
  if (error.status !== 401 && connection !== 'offline') notice(t('failed_to_load', { why: error.message }));
};

// Repeats `work` every `wait()` milliseconds for as long as the page follows, not while it is cut off.
function repeat(name, work, wait) {
  const again = async () => {
    clearTimeout(timers[name]);
    if (connection !== 'offline') await guarded(work).catch(failed);
    clearTimeout(timers[name]);
    if (isFollowing) timers[name] = setTimeout(again, wait());
  };
  again();
}

async function askHistory() {
  const mine = range;
  const history = await api.history(mine);
  if (mine !== range) return;
  const isYoung = Date.now() - Date.parse(history.since) < YOUNG_MS;
  if (isFirst && isYoung) byId('range').querySelector('[value="5m"]').click();
  else showHistory(history);
  isFirst = false;
}

function askRange() {
  repeat('history', askHistory, () => HISTORY_MS[range]);
  repeat('usage', () => usage.refresh(range), () => USAGE_MS);
}

// Follows while there is somebody to look. A browser has six connections for all tabs of an address together: one that
// nobody sees may hold none of them, or the seventh tab would never load.
function follow() {
  const isWanted = isIn && !isPaused && !document.hidden;
  if (isWanted === isFollowing) return;
  isFollowing = isWanted;
  if (isWanted) {
    live.start();
    askRange();
  } else {
    live.stop();
    for (const name of ['history', 'usage']) clearTimeout(timers[name]);
  }
}

function enter() {
  isIn = true;
  follow();
  showConnection();
}

function leave() {
  isIn = false;
  follow();
}

function pause() {
  isPaused = !isPaused;
  follow();
  showConnection();
}

const THEMES = ['auto', 'light', 'dark'];
const theme = () => document.documentElement.dataset.theme ?? 'auto';

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  stored('theme', next);
  setText(byId('theme'), t(`theme_${next}`));
  charts.repaint();
}

function makeRanges() {
  const segments = byId('range');
  segments.replaceChildren(segments.firstElementChild, ...Object.keys(HISTORY_MS).map((name) =>
    h('label', {}, h('input', { type: 'radio', name: 'range', value: name, checked: name === range, data: { testid: `range-${name}` } }), h('span', {}, t(`range_${name}`)))));
}

// Makes all that has words in it.
function make() {
  translate();
  format.speak(t('html_lang'));
  setText(byId('language'), t('language'));
  byId('language').title = t('language_title');
  byId('language').lang = t('language_lang');
  setText(byId('theme'), t(`theme_${theme()}`));
  makeRanges();
  tiles.make();
  charts.make();
  providers.make();
  usage.make(failed);
  exchanges.make(failed);
  detail.make();
  showConnection();
}

function speak() {
  switchLanguage();
  byId('detail').close();
  make();
  if (latest.status) showStatus(latest.status);
  if (latest.history) showHistory(latest.history);
  if (isIn) guarded(() => usage.refresh(range)).catch(failed);
}

make();
cache.make(notice);
session.make({ entered: enter, left: leave, tell: notice });
byId('pause').addEventListener('click', pause);
byId('language').addEventListener('click', speak);
byId('theme').addEventListener('click', nextTheme);
byId('range').addEventListener('change', (event) => {
  range = event.target.value;
  isFirst = false;
  stored('range', range);
  if (isFollowing) askRange();
  else if (isIn) guarded(() => Promise.all([askHistory(), usage.refresh(range)])).catch(failed);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', charts.repaint);
document.addEventListener('visibilitychange', () => {
  follow();
  // Another tab may have been let in meanwhile: the cookie is the same.
  if (!document.hidden && !byId('sign-in').hidden) begin();
});

// Asks whether the page may come in, until there is an answer.
async function begin() {
  try {
    if (await session.begin()) enter();
  } catch {
    connection = 'offline';
    byId('connection').hidden = false;
    showConnection();
    clearTimeout(timers.begin);
    timers.begin = setTimeout(begin, BEGIN_MS);
  }
}
begin();
