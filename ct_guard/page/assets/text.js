"use strict";
/* What the page says, and how it gets into the document: as text, never as markup. */

const content = JSON.parse(document.getElementById("content").textContent);
const estimators = content.estimators;

const byId = (id) => document.getElementById(id);

/* An element with attributes and children; a child that is no element is text. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return made;
}

function put(id, text) {
  byId(id).textContent = visible(String(text));
}

/* What would be obeyed or hidden is shown as its escape; the joiners are part of some scripts. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) =>
    "\n\t\u200c\u200d".includes(one) ? one : `\\u{${one.codePointAt(0).toString(16)}}`);
}

const known = (value) => value !== null && value !== undefined;
const count = (value) => value.toLocaleString("en-US");
const share = (value, digits = 1) => (known(value) ? `${(100 * value).toFixed(digits)}%` : "–");
const number = (value, digits = 3) => (known(value) ? value.toFixed(digits) : "–");
const signed = (value, digits = 3) =>
  known(value) ? `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}` : "–";
const amount = (value) =>
  value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/* A value with its interval, where it has one. */
function withInterval(value, low, high, format = number) {
  if (!known(low) || !known(high)) return make("span", {}, format(value));
  return make("span", {}, format(value), " ",
    make("span", { class: "interval" }, `[${format(low)}, ${format(high)}]`));
}

function fillTable(table, heads, rows) {
  const head = make("tr", {}, ...heads.map((one) => make("th", { scope: "col" }, one)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, at) =>
    at === 0 ? make("th", { scope: "row" }, cell) : make("td", {}, cell))));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
}

/* The 95% interval of a share of independent rows (Wilson 1927). */
function wilson(part, whole) {
  if (whole === 0) return [null, null];
  const z = 1.959963984540054;
  const middle = (part + z * z / 2) / (whole + z * z);
  const half = z / (whole + z * z) * Math.sqrt(part * (whole - part) / whole + z * z / 4);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
