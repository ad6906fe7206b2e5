"use strict";
// Everything is readable without this script; it adds the pointer and sorting.
const read = (id) => {
  const holder = document.getElementById(id);
  return holder ? JSON.parse(holder.textContent) : null;
};
const tipFor = (figure) => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  figure.append(tip);
  return (lines, x, y) => {
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.flatMap((line, k) => (k ? [document.createElement("br"), line] : [line])));
    const half = tip.offsetWidth / 2, edge = figure.clientWidth;
    tip.style.left = `${Math.min(Math.max(x, half + 4), Math.max(edge - half - 4, half + 4))}px`;
    tip.style.top = `${Math.max(y, tip.offsetHeight + 4)}px`;
  };
};

const curves = read("curve-points");
document.querySelectorAll("figure[data-chart]").forEach((figure) => {
  const points = curves[Number(figure.dataset.chart)];
  const svg = figure.querySelector("svg"), hair = svg.querySelector(".hair"), say = tipFor(figure);
  const move = (event) => {
    const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale;
    const near = points.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
    hair.setAttribute("x1", near.x);
    hair.setAttribute("x2", near.x);
    hair.style.visibility = "visible";
    say([`epoch ${near.epoch}`, `train ${near.train ?? "–"}`, `valid ${near.valid ?? "–"}`],
      near.x * scale + box.left - outer.left, box.top - outer.top + 12);
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", () => { hair.style.visibility = "hidden"; say(null); });
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

document.querySelectorAll("table[data-sortable]").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const collator = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const sorted = [...body.rows].sort((a, b) => {
        const left = key(a), right = key(b);
        if (left === "" || right === "") return (left === "") - (right === "");
        const difference = Number(left) - Number(right);
        return (ascending ? 1 : -1) * (Number.isNaN(difference) ? collator.compare(left, right) : difference);
      });
      body.append(...sorted);
    });
  });
});
