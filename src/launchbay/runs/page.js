"use strict";
// Every figure of the page: switch the scale, hide lines, show the values under the pointer.
for (const figure of document.querySelectorAll("figure")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const [left, top, right, bottom] = data.box;
  const [first, last] = data.steps;
  const tip = figure.querySelector(".tip");
  const plots = [...figure.querySelectorAll(".plot")];
  const hidden = new Set();

  const scales = [...figure.querySelectorAll(".switch button")];
  scales.forEach((button, chosen) => button.addEventListener("click", () => {
    plots.forEach((plot, number) => { plot.hidden = number !== chosen; });
    scales.forEach((other, number) => other.setAttribute("aria-pressed", String(number === chosen)));
  }));

  figure.querySelectorAll(".keys button").forEach((button) => button.addEventListener("click", () => {
    const number = Number(button.dataset.key);
    if (!hidden.delete(number)) hidden.add(number);
    button.setAttribute("aria-pressed", String(!hidden.has(number)));
    for (const path of figure.querySelectorAll(`[data-line="${number}"]`)) path.style.display = hidden.has(number) ? "none" : "";
  }));

  const nearest = (steps, step) => {
    let low = 0, high = steps.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle; else high = middle;
    }
    return Math.abs(steps[low] - step) <= Math.abs(steps[high] - step) ? low : high;
  };
  const show = (value) => {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
  };
  const element = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  for (const plot of plots) {
    const svg = plot.querySelector("svg");
    const [low, high, kind] = svg.dataset.y.split(" ");
    const scaled = kind === "log" ? Math.log10 : Number;
    const place = (value) =>
      bottom - (scaled(value) - scaled(Number(low))) / (scaled(Number(high)) - scaled(Number(low))) * (bottom - top);
    const layer = element("g", {});
    svg.append(layer);

    const clear = () => { layer.replaceChildren(); tip.hidden = true; };
    plot.addEventListener("pointerleave", clear);
    plot.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      const wanted = first + (Math.min(Math.max(x, left), right) - left) / (right - left) * (last - first);
      const found = data.lines
        .map((line, number) => ({ line, number }))
        .filter(({ line, number }) => line.steps.length && !hidden.has(number))
        .map(({ line }) => ({ line, at: nearest(line.steps, wanted) }));
      if (!found.length) return clear();
      const step = found.map(({ line, at }) => line.steps[at])
        .reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best));
      // A line that ended, or was written more rarely, is named only where it has a point close by.
      const close = found.filter(({ line, at }) => Math.abs(line.steps[at] - step) <= (last - first) / 100);
      const across = left + (step - first) / (last - first) * (right - left);
      layer.replaceChildren(element("path", { class: "cross", d: `M${across} ${top}V${bottom}` }));
      const table = document.createElement("table");
      for (const { line, at } of close) {
        const value = line.values[at];
        if (value >= Number(low)) layer.append(element("circle", { class: `dot ${line.color}`, cx: left + (line.steps[at] - first) / (last - first) * (right - left), cy: place(value), r: 4 }));
        const row = table.insertRow();
        const name = row.insertCell();
        const key = document.createElement("i");
        key.className = `key ${line.kind}`;
        name.className = line.color;
        name.append(key, line.name);
        row.insertCell().textContent = show(value);
      }
      const title = document.createElement("b");
      title.textContent = `step ${step.toLocaleString("en")}`;
      tip.replaceChildren(title, table);
      tip.hidden = false;
      const spot = (across / svg.viewBox.baseVal.width) * box.width;
      const room = spot + tip.offsetWidth + 28 > box.width;
      tip.style.left = `${room ? spot - tip.offsetWidth - 14 : spot + 14}px`;
      tip.style.top = `${Math.min(Math.max(event.clientY - box.top - 20, 0), Math.max(0, box.height - tip.offsetHeight))}px`;
    });
  }
}
