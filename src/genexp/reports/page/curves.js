/* Curves over images seen: mean and band where the seeds of a row were logged at the same points, else every seed. */
let plotting = false;

function startCurves() {
  const keys = Object.keys(data.curves.curves);
  byId("curve-key").append(...keys.map((key) => make("option", {}, key)));
  const { most, longest } = data.curves;
  const thin = longest > most ? ` Curves of more than ${most} points are thinned to ${most}, evenly spaced.` : "";
  byId("curve-note").textContent = `Horizontal axis: training images seen. Rows of several seeds: mean and standard deviation.${thin}`;
  if (!keys.length) {
    byId("curves").hidden = true;
    return;
  }
  byId("curve-key").addEventListener("change", drawCurves);
  byId("curve-log").addEventListener("change", drawCurves);
  listeners.push(drawCurves);
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    const source = byId("plotting");
    document.head.append(Object.assign(document.createElement("script"), { textContent: source.textContent }));
    source.remove();
    plotting = true;
    drawCurves();
  }, { rootMargin: "200px" }).observe(byId("curves"));
}

function tracesOf(row, found) {
  const line = { color: colourOf(row), width: 2, dash: dashOf(row) };
  const { name, runs } = data.rows[row];
  const curves = runs.filter((run) => found[run]).map((run) => [run, ...found[run]]);
  const hover = "%{y:.5~g} at %{x:,} images<extra></extra>";
  const few = curves.every(([, x]) => x.length <= 40);
  const plain = { name: escaped(name), type: "scatter", mode: few ? "lines+markers" : "lines", marker: { size: 4, color: line.color }, line };
  const same = curves.length > 1 && curves.every(([, x]) => String(x) === String(curves[0][1]));
  if (!same) {
    return curves.map(([run, x, y]) => ({ ...plain, x, y, hovertemplate: `${escaped(name)}, ${escaped(data.runs[run].id)}<br>${hover}` }));
  }
  const x = curves[0][1];
  const stats = x.map((_, i) => {
    const values = curves.map(([, , y]) => y[i]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return [mean, Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1))];
  });
  const edge = { x, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  const spread = stats.map(([, std]) => Number(std.toPrecision(3)));
  return [
    { ...edge, y: stats.map(([mean, std]) => mean - std) },
    { ...edge, y: stats.map(([mean, std]) => mean + std), fill: "tonexty", fillcolor: `${line.color}22` },
    { ...plain, x, y: stats.map(([mean]) => mean), customdata: spread, hovertemplate: `${escaped(name)}<br>%{y:.5~g} ± %{customdata} (${curves.length} seeds) at %{x:,} images<extra></extra>` },
  ];
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/%/g, "&#37;");

function drawCurves() {
  const found = data.curves.curves[byId("curve-key").value] ?? {};
  const rows = chosenRows();
  byId("legend").replaceChildren(...rows.map((row) => {
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = colourOf(row);
    return make("li", {}, swatch, data.rows[row].name);
  }));
  if (!plotting) return;
  const axis = { gridcolor: variable("--rule"), zeroline: false, linecolor: variable("--rule-strong"), automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    margin: { l: 68, r: 24, t: 20, b: 60 }, font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: variable("--ink") },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--soft"), activecolor: variable("--ink") },
    hoverlabel: { bgcolor: variable("--raised"), bordercolor: variable("--rule-strong"), font: { color: variable("--ink") }, align: "left", namelength: -1 },
    xaxis: { ...axis, title: { text: "images seen", standoff: 12 }, tickformat: "~s" },
    yaxis: { ...axis, type: byId("curve-log").checked ? "log" : "linear", title: { text: escaped(headingOf(byId("curve-key").value)[0]) } },
  };
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  Plotly.react(byId("chart"), rows.flatMap((row) => tracesOf(row, found)), layout, config);
}
