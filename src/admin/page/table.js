// Tables that are brought up to date in place: rows and cells stay where they are, so that focus and selections live on.

import { h, keyed, setData, setText } from './dom.js';
import { t } from './text.js';

// A table of `columns`: `{ id, title, hint?, text?: bool, always?: bool, cell(item) }`, the cell being a string or
// `{ text, value, hint, tone, sub, bar }`; `value` is the raw number or name, `bar` a share between 0 and 1.
// `key(item)` tells rows apart; `open(item)`, where given, makes the first cell a button and the row one to click on.
// Returns `update(items, total?)`.
export function table(element, columns, { key, open }) {
  const head = h('tr');
  const body = h('tbody');
  const foot = h('tfoot');
  element.replaceChildren(h('thead', {}, head), body, foot);

  function title() {
    head.replaceChildren(
      ...columns.map(({ id, title: name, hint, text }) => {
        return h('th', { scope: 'col', class: text ? 'text' : 'number', title: hint && t(hint), data: { col: id } }, t(name));
      }),
    );
  }

  function row(item) {
    const line = h('tr', { data: { key: key(item) } });
    for (const [index, column] of columns.entries()) {
      const cell = h(index === 0 ? 'th' : 'td', { data: { col: column.id }, scope: index === 0 && 'row' });
      cell.className = column.text ? 'text' : 'number';
      const inner = index === 0 && open ? h('button', { type: 'button', class: 'link' }) : h('span');
      cell.append(inner);
      line.append(cell);
    }
    if (open) {
      line.classList.add('opens');
      line.addEventListener('click', () => {
        // A click that ends a selection is no wish to open anything.
        if (getSelection().isCollapsed) open(line.item);
      });
    }
    return line;
  }

  function show(line, item) {
    line.item = item;
    for (const [index, column] of columns.entries()) {
      const given = column.cell(item);
      const { text, value, hint, tone, sub, bar } = typeof given === 'object' ? given : { text: given, value: given };
      const cell = line.children[index];
      const inner = cell.firstElementChild;
      setText(inner, text);
      setData(cell, 'value', value);
      setData(cell, 'tone', tone);
      if (hint) cell.title = hint;
      else cell.removeAttribute('title');
      if (sub !== undefined) {
        const second = cell.querySelector('small') ?? cell.appendChild(h('small'));
        setText(second, sub);
      }
      if (bar !== undefined) cell.style.setProperty('--bar', String(bar));
      cell.classList.toggle('barred', bar !== undefined);
    }
  }

  title();
  const update = (items, total) => {
    keyed(body, items, key, row, show);
    keyed(foot, total ? [total] : [], () => 'total', row, show);
  };
  update.title = title;
  return update;
}
