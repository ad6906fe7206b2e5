const texts = read("trial-texts");
const drawn = new Map();
document.querySelectorAll("[data-trial]").forEach((mark) => {
  const { trial } = mark.dataset;
  if (!drawn.has(trial)) drawn.set(trial, []);
  drawn.get(trial).push(mark);
});
let shown = null;
const show = (trial) => {
  if (trial === shown) return;
  (drawn.get(shown) ?? []).forEach((mark) => mark.classList.remove("on"));
  (drawn.get(trial) ?? []).forEach((mark) => mark.classList.add("on"));
  document.querySelector(".page").classList.toggle("pointing", trial !== null);
  shown = trial;
};

// A mark's points: one for a dot, the corners of a line.
const pointsOf = (mark) => {
  if (mark.dataset.x) return [[Number(mark.dataset.x), Number(mark.dataset.y)]];
  const path = mark.matches("path") ? mark : mark.querySelector("path");
  return path.getAttribute("d").split(/(?=[ML])/).map((part) => part.slice(1).split(" ").map(Number));
};
const distance = (points, x, y) => {
  let least = Math.hypot(points[0][0] - x, points[0][1] - y);
  for (let k = 1; k < points.length; k += 1) {
    const [ax, ay] = points[k - 1], [bx, by] = points[k];
    const squared = (bx - ax) ** 2 + (by - ay) ** 2;
    const along = squared ? Math.min(Math.max(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0), 1) : 0;
    least = Math.min(least, Math.hypot(ax + along * (bx - ax) - x, ay + along * (by - ay) - y));
  }
  return least;
};

document.querySelectorAll("figure svg").forEach((svg) => {
  const marks = [...svg.querySelectorAll("[data-trial]")].map((mark) => [mark.dataset.trial, pointsOf(mark)]);
  if (!marks.length) return;
  svg.dataset.pointed = "";
  const figure = svg.closest("figure"), say = tipFor(figure);
  const leave = () => { show(null); say(null); };
  const move = (event) => {
    const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale, y = (event.clientY - box.top) / scale;
    let nearest = null, least = 26;
    marks.forEach(([trial, points]) => {
      const away = distance(points, x, y);
      if (away < least) [nearest, least] = [trial, away];
    });
    if (nearest === null) return leave();
    show(nearest);
    return say(texts[nearest], event.clientX - outer.left, event.clientY - outer.top - 12);
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", leave);
});

document.querySelectorAll("tr[data-trial]").forEach((row) => {
  row.addEventListener("pointerenter", () => show(row.dataset.trial));
  row.addEventListener("pointerleave", () => show(null));
});
