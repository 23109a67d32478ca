"use strict";
// Texts from runs reach the page by textContent alone.
const by = (id) => document.getElementById(id);
const show = (id, yes) => { by(id).closest("label, span, section, button").hidden = !yes; };
const VALUES = ["steps", "scale", "truncation"];
let runs = [];

const say = (text, wrong) => { by("said").textContent = text; by("said").className = wrong ? "error" : ""; };

async function asked(path, body) {
  const answer = await fetch(path, body === undefined ? {} : { method: "POST", body });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error || `it failed: ${answer.status}`);
  }
  return answer;
}

const numeric = (id) => (by(id).closest("label").hidden || by(id).value === "" ? null : Number(by(id).value));

function request(run) {
  const told = { run, seed: Number(by("seed").value), num: Number(by("num").value), alpha: numeric("alpha") };
  const of = runs[run];
  for (const key of VALUES) if (key in of.values && numeric(key) !== null) told[key] = numeric(key);
  if (of.classes !== null && by("label").value !== "") told.label = Number(by("label").value);
  if (of.captions && by("caption").value !== "") told.caption = by("caption").value;
  return JSON.stringify(told);
}

async function make(what, ability) {
  const able = runs.map((_, place) => place).filter((place) => runs[place].can.includes(ability));
  const buttons = document.querySelectorAll("button");
  buttons.forEach((each) => { each.disabled = true; });
  say("");
  by("progress").hidden = false;
  by("progress").removeAttribute("value");
  const clock = setInterval(async () => {
    const { done, total } = await (await asked("progress")).json();
    if (total > 0) { by("progress").max = total; by("progress").value = done; }
  }, 300);
  const begun = performance.now();
  try {
    const figures = [];
    for (const place of able) {
      const picture = await (await asked(what, request(place))).blob();
      const figure = document.createElement("figure");
      const image = document.createElement("img");
      const caption = document.createElement("figcaption");
      image.src = URL.createObjectURL(picture);
      image.alt = caption.textContent = `${runs[place].name} ${runs[place].id}`;
      await image.decode();
      image.width = Math.max(image.naturalWidth, Math.min(2 * image.naturalWidth, 480));
      figure.append(image, caption);
      figures.push(figure);
    }
    document.querySelectorAll("main img").forEach((each) => URL.revokeObjectURL(each.src));
    by("results").replaceChildren(...figures);
    say(`${what}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  } catch (error) {
    say(error.message, true);
  } finally {
    clearInterval(clock);
    by("progress").hidden = true;
    buttons.forEach((each) => { each.disabled = false; });
  }
}

async function give(slot, file) {
  if (!file) return;
  try {
    const { size } = await (await asked(`give/${slot}`, file)).json();
    say(`${slot}: ${size} pixels`);
  } catch (error) {
    say(error.message, true);
  }
}

function prepareDrops() {
  for (const slot of ["content", "style"]) {
    const place = by(slot);
    place.querySelector("input").addEventListener("change", (event) => give(slot, event.target.files[0]));
    place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("over");
      give(slot, event.dataTransfer.files[0]);
    });
  }
}

function prepareControls(most) {
  const can = (ability) => runs.some((run) => run.can.includes(ability));
  by("num").max = most;
  by("drawing").hidden = by("controls").hidden = !can("sample");
  const classes = Math.max(0, ...runs.map((run) => run.classes || 0));
  show("label", classes > 0);
  by("label").replaceChildren(...["all", ...Array(classes).keys()].map((each) => {
    const choice = document.createElement("option");
    choice.value = each === "all" ? "" : each;
    choice.textContent = each;
    return choice;
  }));
  show("caption", runs.some((run) => run.captions));
  for (const key of VALUES) {
    const own = runs.find((run) => key in run.values);
    show(key, own !== undefined);
    if (own) by(key).placeholder = own.values[key];
  }
  by("given").hidden = !(can("stylize") || can("restore"));
  by("stylize").hidden = !can("stylize");
  by("restore").hidden = !can("restore");
  by("style").hidden = !runs.some((run) => run.any_style);
  show("alpha", runs.some((run) => run.any_style));
}

async function begin() {
  const told = await (await asked("about")).json();
  runs = told.runs;
  prepareControls(told.most);
  prepareDrops();
  by("controls").addEventListener("submit", (event) => { event.preventDefault(); make("sample", "sample"); });
  by("next").addEventListener("click", () => { by("seed").value = Number(by("seed").value) + 1; make("sample", "sample"); });
  by("interpolate").addEventListener("click", () => make("interpolate", "sample"));
  by("stylize").addEventListener("click", () => make("stylize", "stylize"));
  by("restore").addEventListener("click", () => make("restore", "restore"));
  if (runs.some((run) => run.can.includes("sample"))) make("sample", "sample");
}

begin().catch((error) => say(error.message, true));
