"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const listeners = [];
const COLOURS = 8;
const DASHES = ["solid", "dash", "dot", "dashdot"];

/* An element with attributes and children; text is always text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

/* Row number -> colour number, in the order in which rows were ticked. */
const chosen = new Map();

function choose(row, on) {
  if (!on) return chosen.delete(row);
  if (chosen.has(row)) return false;
  const used = new Set(chosen.values());
  let colour = 0;
  while (used.has(colour)) colour += 1;
  return chosen.set(row, colour);
}

function changed() {
  for (const listener of listeners) listener();
}

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (row) => variable(`--c${chosen.get(row) % COLOURS}`);
const dashOf = (row) => DASHES[Math.floor(chosen.get(row) / COLOURS) % DASHES.length];
const chosenRows = () => [...chosen.keys()];

/* A key in two lines: `fd` and below it, smaller, what it was measured with. */
function headingOf(text) {
  const cut = text.search(/[/[]/);
  if (cut < 1 || /^(val|train|test)\//.test(text)) return [text];
  const arrow = /( [↓↑→])$/.exec(text);
  const rest = text.slice(cut, arrow ? arrow.index : text.length).replace(/^\//, "");
  return [text.slice(0, cut).trim() + (arrow ? arrow[1] : ""), rest];
}

function startPage() {
  const states = Object.entries(data.states).map(([state, count]) => `${count} ${state}`);
  if (data.damaged.length) states.push(`${data.damaged.length} damaged`);
  const runs = `${data.runs.length} ${data.runs.length === 1 ? "run" : "runs"} in ${data.rows.length}`;
  byId("summary").textContent = `${runs} ${data.rows.length === 1 ? "row" : "rows"}: ${states.join(", ")}. Written ${data.time}.`;
  const themes = ["system", "light", "dark"];
  byId("theme").addEventListener("click", (event) => {
    const now = document.documentElement.dataset.theme || "system";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    event.target.textContent = `${next[0].toUpperCase()}${next.slice(1)} theme`;
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

function startNotes() {
  const body = byId("notes-body");
  const list = (title, items, css) => {
    if (!items.length) return;
    body.append(make("h3", {}, title), make("ul", { class: css }, ...items.map((item) => make("li", {}, item))));
  };
  list("To know", data.notes);
  list("Where weights come from", data.lineage);
  list("Folders that could not be read", data.damaged.map((each) => `${each.path}: ${each.reason}`), "damaged");
  list(
    "How values were measured",
    data.columns.map((each) => {
      const source = each.source === "evaluate" ? "by genexp evaluate" : "by the run itself, the newest value";
      if (!each.protocol) return `${each.name}: ${source}`;
      const terms = Object.entries(each.protocol).map(([key, value]) => `${key} ${String(value).length === 64 ? String(value).slice(0, 8) : value}`);
      return `${each.name}: ${source}; ${terms.join(", ")}`;
    }),
  );
  for (const each of data.settings.filter((setting) => setting.followers.length)) {
    const title = `${each.followers.length} more settings change with ${each.key}`;
    body.append(make("details", {}, make("summary", {}, title), make("p", {}, each.followers.join(", "))));
  }
  if (!body.childElementCount) body.append(make("p", { class: "hint" }, "Nothing to add."));
}
