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
