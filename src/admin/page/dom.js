// Elements without markup: everything that comes from outside becomes a text node or an attribute's value, never HTML.

const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

// An element. `properties`: `class`, `on` ({event: listener}), `data` ({name: value}), `style` (set through the CSSOM, as the
// content security policy wants it), and attributes; one that is null, undefined or false is left out.
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

// The same, of SVG.
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === 'data') {
      for (const [key, text] of Object.entries(value)) setData(element, key, text);
    } else if (name === 'style') {
      for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    } else {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Sets a text where it differs, so that a selection in it lives on.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Sets `data-NAME`, the raw value of what is shown; none for what is not known.
export function setData(element, name, value) {
  if (value === null || value === undefined) delete element.dataset[name];
  else if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

// Makes the children of `parent` one for each item, in order, and keeps those that were there. `make(item)` gives an element,
// `update(element, item)` brings it up to date.
export function keyed(parent, items, key, make, update) {
  const known = (parent.keyed ??= new Map());
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = key(item);
    if (seen.has(id)) continue;
    seen.add(id);
    let element = known.get(id);
    if (!element) {
      element = make(item);
      known.set(id, element);
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const [id, element] of known) {
    if (seen.has(id)) continue;
    element.remove();
    known.delete(id);
  }
}
