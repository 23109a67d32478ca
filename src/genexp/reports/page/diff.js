/* Two configurations key by key: what all share is stored once, each run holds what it has instead. */
function startDifference() {
  const label = (run, i) => {
    const name = run.row === null || run.row === undefined ? run.name : data.rows[run.row].name;
    return make("option", { value: i }, `${run.id}  ${name}  seed ${run.seed ?? "–"}`);
  };
  for (const id of ["one", "other"]) {
    byId(id).append(...data.runs.map(label));
    byId(id).addEventListener("change", drawDifference);
  }
  byId("all-keys").addEventListener("change", drawDifference);
  if (!data.runs.length) return;
  const [first, second] = [data.rows[0].runs, (data.rows[1] ?? data.rows[0]).runs];
  byId("one").value = first[0];
  byId("other").value = second.find((run) => run !== first[0] && data.runs[run].seed === data.runs[first[0]].seed) ?? second.at(-1);
  drawDifference();
}

const settingOf = (run, key) => (key in data.own[run] ? data.own[run][key] : data.common[key]);

function drawDifference() {
  const [one, other] = ["one", "other"].map((id) => Number(byId(id).value));
  const keys = Object.keys(data.common).filter((key) => byId("all-keys").checked || settingOf(one, key) !== settingOf(other, key));
  const head = ["setting", data.runs[one].id, data.runs[other].id].map((text) => make("th", { scope: "col" }, text));
  byId("diff").tHead.replaceChildren(make("tr", {}, ...head));
  const rows = keys.map((key) => {
    const values = [settingOf(one, key), settingOf(other, key)];
    const cells = values.map((value) => (value === null ? make("td", { class: "missing" }, "not there") : make("td", {}, value)));
    return make("tr", { class: values[0] === values[1] ? "equal" : null }, make("th", { scope: "row" }, key), ...cells);
  });
  if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: 3, class: "missing" }, "These two configurations are equal.")));
  byId("diff").tBodies[0].replaceChildren(...rows);
}

startPage();
startNotes();
startTable();
startDifference();
addEventListener("DOMContentLoaded", () => {
  startCurves();
  startPictures();
  showFirst(FIRST);
});
