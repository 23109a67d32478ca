/* The table: built once, then reordered and hidden row by row. */
const FIRST = 6;
const tableColumns = [
  { text: "runs", value: (row) => row.name, cell: runCell },
  { text: "n", number: true, value: (row) => row.n, cell: (row) => make("td", { class: "number" }, String(row.n)) },
  ...data.columns.map((each, i) => ({
    text: each.heading,
    number: true,
    floor: each.floor,
    down: each.better === "higher",
    value: (row) => row.cells[i]?.value ?? null,
    cell: (row) => valueCell(row.cells[i]),
  })),
  { text: "images seen", number: true, value: (row) => row.images, cell: (row) => make("td", { class: "number" }, grouped(row.images)) },
  { text: "state", value: (row) => row.state, cell: (row) => make("td", {}, row.state) },
  ...data.settings.map((each, i) => ({
    text: each.key,
    number: data.rows.some((row) => row.sort[i] !== null),
    value: (row) => row.sort[i] ?? row.settings[i],
    cell: (row) => make("td", { class: row.sort[i] !== null ? "number" : null }, row.settings[i]),
  })),
];
const bodyRows = [];
const order = { column: null, down: false };

function runCell(row) {
  const number = data.rows.indexOf(row);
  const box = make("input", { type: "checkbox", "aria-label": `show ${row.name}`, "data-row": number });
  box.addEventListener("change", () => {
    choose(number, box.checked);
    changed();
  });
  const paths = row.runs.map((run) => data.runs[run].path).join("\n");
  const label = make("label", { class: "tick", title: paths }, box, make("span", { class: "swatch" }), row.name);
  return make("th", { scope: "row" }, label);
}

function valueCell(cell) {
  if (!cell) return make("td", { class: "number missing" }, "–");
  const title = [...cell.each, cell.error].filter(Boolean).join("\n");
  const inside = cell.best ? make("strong", {}, cell.text, make("span", { class: "hidden" }, " best")) : cell.text;
  return make("td", { class: cell.best ? "number best" : "number", title }, inside);
}

function startTable() {
  const heads = tableColumns.map((column, i) => {
    const [first, rest] = headingOf(column.text);
    const button = make("button", { type: "button" }, first);
    button.addEventListener("click", () => sortBy(i));
    const cell = make("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": "none" }, button);
    if (rest) cell.append(make("small", {}, rest));
    return cell;
  });
  byId("table").tHead.append(make("tr", {}, ...heads));
  const body = byId("table").tBodies[0];
  for (const row of data.rows) {
    const element = make("tr", { class: row.finished ? null : "unfinished" }, ...tableColumns.map((column) => column.cell(row)));
    const words = data.settings.map((each, i) => `${each.key}=${row.settings[i]}`);
    const runs = row.runs.map((run) => `${data.runs[run].id} ${data.runs[run].name}`);
    bodyRows.push({ row, element, words: [...words, ...runs, row.state].join(" ").toLowerCase() });
  }
  body.append(...bodyRows.map((each) => each.element));
  if (data.columns.some((each) => each.floor !== "–")) {
    const cells = tableColumns.map((column, i) =>
      i === 0 ? make("th", { scope: "row" }, "real images") : make("td", { class: "number" }, column.floor ?? ""),
    );
    byId("table").tFoot.append(make("tr", {}, ...cells));
  }
  byId("filter").addEventListener("input", filterRows);
  byId("first").addEventListener("click", () => showFirst(FIRST));
  byId("clear").addEventListener("click", () => {
    chosen.clear();
    changed();
  });
  listeners.push(paintSwatches);
  filterRows();
}

function sortBy(i) {
  const column = tableColumns[i];
  order.down = order.column === i ? !order.down : Boolean(column.down);
  order.column = i;
  [...byId("table").tHead.rows[0].cells].forEach((cell, n) => {
    cell.setAttribute("aria-sort", n === i ? (order.down ? "descending" : "ascending") : "none");
  });
  const missing = (value) => value === null || value === "–";
  const compare = (a, b) => {
    const [x, y] = [column.value(a.row), column.value(b.row)];
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    const bothNumbers = typeof x === "number" && typeof y === "number";
    const way = bothNumbers ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return order.down ? -way : way;
  };
  bodyRows.sort(compare);
  byId("table").tBodies[0].append(...bodyRows.map((each) => each.element));
}

function filterRows() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const each of bodyRows) {
    const shown = words.every((word) => each.words.includes(word));
    each.element.hidden = !shown;
    count += shown;
  }
  byId("count").textContent = `${count} of ${bodyRows.length} rows`;
}

function showFirst(count) {
  chosen.clear();
  const visible = bodyRows.filter((each) => !each.element.hidden).slice(0, count);
  for (const each of visible) choose(data.rows.indexOf(each.row), true);
  changed();
}

function paintSwatches() {
  for (const box of byId("table").querySelectorAll("input[data-row]")) {
    const row = Number(box.dataset.row);
    box.checked = chosen.has(row);
    box.nextElementSibling.style.background = chosen.has(row) ? colourOf(row) : "";
  }
}
