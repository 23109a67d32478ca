/* Pictures over training: one slider, the chosen rows side by side, drawn from the same noise. */
const WIDEST = 320;
let pictures = null;

function startPictures() {
  pictures = JSON.parse(byId("picture-data").textContent);
  const note = byId("picture-note");
  if (!pictures.held) {
    note.textContent = pictures.drawn ? `${pictures.drawn} pictures were drawn; none fits the limit of this page (pictures=<megabytes>).` : "These runs drew no pictures.";
    byId("step").disabled = true;
    return;
  }
  const part = pictures.held < pictures.drawn ? `This page holds ${pictures.held} of ${pictures.drawn} pictures (pictures=<megabytes> sets the limit). ` : "";
  note.textContent = `${part}Rows with the same noise seed are drawn from the same noise; each figure shows the newest picture up to the slider.`;
  const kinds = [...new Set(pictures.pictures.map(([, key]) => key))].sort((a, b) => (b === "samples") - (a === "samples") || a.localeCompare(b));
  byId("picture-key").append(...kinds.map((key) => make("option", {}, key)));
  const seeds = [...new Set(pictures.pictures.map(([run]) => seedOf(run)))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  byId("picture-seed").append(...seeds.map((seed) => make("option", {}, seed)));
  const counts = new Map(seeds.map((seed) => [seed, data.runs.filter((_, run) => seedOf(run) === seed).length]));
  byId("picture-seed").value = seeds.reduce((best, seed) => (counts.get(seed) > counts.get(best) ? seed : best));
  byId("picture-key").addEventListener("change", resetSlider);
  byId("picture-seed").addEventListener("change", resetSlider);
  byId("step").addEventListener("input", drawPictures);
  listeners.push(resetSlider);
  resetSlider();
}

const seedOf = (run) => String(pictures.seeds[run] ?? data.runs[run].seed ?? "unknown");

/* The pictures of each chosen row: of its run with the wanted noise, else of its first run. */
function strips() {
  const kind = byId("picture-key").value;
  const seed = byId("picture-seed").value;
  return chosenRows().map((row) => {
    const { runs } = data.rows[row];
    const run = runs.find((each) => seedOf(each) === seed) ?? runs[0];
    return { row, run, steps: pictures.pictures.filter(([each, key]) => each === run && key === kind) };
  });
}

function stepsShown() {
  return [...new Set(strips().flatMap(({ steps }) => steps.map(([, , images]) => images)))].sort((a, b) => a - b);
}

function resetSlider() {
  const steps = stepsShown();
  const slider = byId("step");
  const atEnd = slider.value === slider.max;
  slider.max = Math.max(0, steps.length - 1);
  slider.disabled = steps.length < 2;
  if (atEnd) slider.value = slider.max;
  drawPictures();
}

function drawPictures() {
  const steps = stepsShown();
  const at = steps[Number(byId("step").value)] ?? 0;
  byId("step-text").textContent = grouped(at);
  byId("step").setAttribute("aria-valuetext", `${grouped(at)} images seen`);
  byId("figures").replaceChildren(...strips().map((strip) => figureOf(strip, at)));
}

function figureOf({ row, run, steps }, at) {
  const picture = steps.filter(([, , images]) => images <= at).pop();
  const swatch = make("span", { class: "swatch" });
  swatch.style.cssText = `background:${colourOf(row)};vertical-align:.2em;margin-right:.5rem`;
  const seen = picture ? `${grouped(picture[2])} images seen` : "nothing drawn so far";
  const small = make("small", {}, `${data.runs[run].id}, noise seed ${seedOf(run)}, ${seen}`);
  const caption = make("figcaption", {}, swatch, data.rows[row].name, small);
  if (!picture) return make("figure", {}, caption);
  const [, key, images, width, height, content] = picture;
  const zoom = Math.max(1, Math.floor(WIDEST / (width || WIDEST)));
  const alt = `${key} of ${data.rows[row].name} after ${grouped(images)} images`;
  const image = make("img", { src: `data:image/png;base64,${content}`, alt, width: zoom * width || null, height: zoom * height || null });
  return make("figure", {}, image, caption);
}
