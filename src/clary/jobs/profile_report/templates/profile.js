const lanes = document.querySelector(".lanes");
if (lanes) {
  const texts = read("lane-texts"), plots = [...lanes.querySelectorAll(".plot")];
  const now = document.createElement("div"), when = document.createElement("div");
  now.className = "now";
  now.hidden = true;
  lanes.append(now);
  const held = [...lanes.querySelectorAll(".lane[data-lane]")].map((lane) => {
    const outputs = [...lane.querySelectorAll("output")];
    return { outputs, usual: outputs.map((one) => one.textContent), rows: texts[Number(lane.dataset.lane)] };
  });
  const nearest = (row, place) => {
    for (let away = 0; away < 6; away += 1) {
      const text = row[place - away] ?? row[place + away];
      if (text) return text;
    }
    return "–";
  };
  const show = (share) => {
    held.forEach(({ outputs, usual, rows }) => {
      outputs.forEach((one, k) => {
        const row = rows[k];
        one.textContent = share === null ? usual[k] : nearest(row, Math.min(Math.floor(share * row.length), row.length - 1));
      });
    });
  };
  lanes.addEventListener("pointermove", (event) => {
    const box = plots[0].getBoundingClientRect(), outer = lanes.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const inside = share >= 0 && share <= 1;
    now.hidden = !inside;
    show(inside ? share : null);
    if (!inside) return;
    now.style.left = `${event.clientX - outer.left}px`;
    now.style.top = `${box.top - outer.top}px`;
    now.style.height = `${plots[plots.length - 1].getBoundingClientRect().top - box.top}px`;
  });
  lanes.addEventListener("pointerleave", () => { now.hidden = true; show(null); });
}
