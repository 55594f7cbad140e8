"use strict";
// Turns the headers of sortable tables into buttons. Figures sort by what they mean, empty cells stay at the end.
const UNITS = { "": 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, dB: 1, "%": 1, ms: 1, "x smaller": 1 };
const WORDS = { same: 1, exact: Infinity, gone: Infinity, new: 0 };
const byText = new Intl.Collator(undefined, { numeric: true }).compare;

function figure(text) {
  if (Object.hasOwn(WORDS, text)) return WORDS[text];
  const parts = /^([-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?) ?(.*)$/.exec(text);
  if (!parts) return NaN;
  const number = Number(parts[1].replaceAll(",", ""));
  if (parts[2] === "x larger") return 1 / number;
  return Object.hasOwn(UNITS, parts[2]) ? number * UNITS[parts[2]] : NaN;
}

function sort(table, header, column) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.cells[column].textContent.trim() }));
  const filled = rows.filter(({ text }) => text !== "");
  for (const one of filled) one.key = figure(one.text);
  const figures = filled.every(({ key }) => !Number.isNaN(key));
  const was = header.getAttribute("aria-sort");
  const descending = was === null ? figures : was === "ascending";
  const compare = figures ? (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) : (a, b) => byText(a.text, b.text);
  filled.sort((a, b) => (descending ? compare(b, a) : compare(a, b)));
  for (const { row } of [...filled, ...rows.filter(({ text }) => text === "")]) body.append(row);
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header, column));
    header.append(button);
  });
}
