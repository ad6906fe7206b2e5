const showing = (figure, points, lines) => {
  const svg = figure.querySelector("svg"), hair = svg.querySelector(".hair"), say = tipFor(figure);
  const move = (event) => {
    const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale;
    const near = points.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
    hair.setAttribute("x1", near.x);
    hair.setAttribute("x2", near.x);
    hair.style.visibility = "visible";
    say(lines(near), near.x * scale + box.left - outer.left, box.top - outer.top + 12);
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", () => { hair.style.visibility = "hidden"; say(null); });
};
const curves = read("curve-points"), steps = read("step-points");
document.querySelectorAll("figure[data-chart]").forEach((figure) => {
  showing(figure, curves[Number(figure.dataset.chart)],
    (near) => [`epoch ${near.epoch}`, `train ${near.train ?? "–"}`, `valid ${near.valid ?? "–"}`]);
});
document.querySelectorAll("figure[data-steps]").forEach((figure) => {
  showing(figure, steps[Number(figure.dataset.steps)], (near) => near.lines);
});

const overview = document.querySelector(".overview");
if (overview) {
  const { names, cells } = read("confusion-cells");
  const counts = new Map(cells.map(([t, p, n]) => [t * names.length + p, n]));
  const image = overview.querySelector("img"), say = tipFor(overview);
  image.addEventListener("pointermove", (event) => {
    const box = image.getBoundingClientRect(), outer = overview.getBoundingClientRect();
    const t = Math.floor((event.clientY - box.top) / box.height * names.length);
    const p = Math.floor((event.clientX - box.left) / box.width * names.length);
    const n = counts.get(t * names.length + p);
    say([t === p ? `${names[t]}: ${n ?? 0} found` : `${names[t]} → ${names[p]}: ${n ?? 0}`],
      event.clientX - outer.left, event.clientY - outer.top - 10);
  });
  image.addEventListener("pointerleave", () => say(null));
}
