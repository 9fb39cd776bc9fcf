"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const drawn = (name, values, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };

  document.documentElement.classList.add("js");
  document.querySelectorAll(".script").forEach((element) => { element.hidden = false; });

  const closed = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = closed(); opened.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); });

  const reach = () => document.querySelectorAll(".scroll").forEach((frame) => {
    const over = frame.scrollWidth > frame.clientWidth || frame.scrollHeight > frame.clientHeight;
    frame.setAttribute("tabindex", over ? "0" : "-1");
  });
  addEventListener("resize", reach);
  addEventListener("toggle", reach, true);

  function network() {
    const frame = at("network-scroll");
    const picture = at("network-picture");
    const nodes = [...picture.querySelectorAll(".node")].sort((a, b) => a.dataset.index - b.dataset.index);
    const lines = [...picture.querySelectorAll(".edges path")];
    const facts = JSON.parse(at("network-data").textContent);
    const natural = picture.viewBox.baseVal.width;
    let zoom = 1;

    const size = (wanted) => {
      const middle = (frame.scrollLeft + frame.clientWidth / 2) / picture.clientWidth;
      const height = (frame.scrollTop + frame.clientHeight / 2) / picture.clientHeight;
      zoom = Math.min(4, Math.max(0.1, wanted));
      picture.style.width = `${natural * zoom}px`;
      picture.style.height = "auto";
      frame.scrollLeft = middle * picture.clientWidth - frame.clientWidth / 2;
      frame.scrollTop = height * picture.clientHeight - frame.clientHeight / 2;
    };
    const sizes = {
      in: () => zoom * 1.25, out: () => zoom / 1.25, one: () => 1, fit: () => (frame.clientWidth - 2) / natural,
    };
    document.querySelectorAll("[data-zoom]").forEach((button) => {
      button.addEventListener("click", () => size(sizes[button.dataset.zoom]()));
    });

    const choose = (node) => {
      nodes.forEach((other) => {
        other.classList.toggle("chosen", other === node);
        other.setAttribute("tabindex", other === node ? "0" : "-1");
      });
      const index = node.dataset.index;
      lines.forEach((line) => {
        line.classList.toggle("near", line.dataset.first === index || line.dataset.last === index);
      });
      const list = document.createElement("dl");
      for (const [name, text] of facts[index].facts) list.append(made("dt", name), made("dd", text));
      at("node-facts").replaceChildren(made("h3", facts[index].name), list);
    };
    const centre = (node) => {
      const box = node.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2];
    };
    const beside = (node, dx, dy) => {
      const [x, y] = centre(node);
      const far = (other) => {
        const [ox, oy] = centre(other);
        const along = (ox - x) * dx + (oy - y) * dy;
        const aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
        return along > 2 ? along + 2 * aside : Infinity;
      };
      const best = nodes.reduce((a, b) => (far(b) < far(a) ? b : a));
      return far(best) < Infinity ? best : node;
    };
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    nodes.forEach((node, index) => {
      node.setAttribute("tabindex", index ? "-1" : "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", `${node.dataset.name}: ${facts[index].facts.slice(0, 3).map((f) => f[1]).join(", ")}`);
      node.addEventListener("click", () => choose(node));
      node.addEventListener("focus", () => choose(node));
      node.addEventListener("keydown", (event) => {
        if (!(event.key in arrows)) return;
        event.preventDefault();
        const next = beside(node, ...arrows[event.key]);
        next.focus({ preventScroll: true });
        next.scrollIntoView({ block: "nearest", inline: "nearest" });
      });
    });

    size(Math.min(1, Math.max(0.75, sizes.fit())));
    const [first] = centre(nodes[0]);
    frame.scrollLeft = first - frame.getBoundingClientRect().x - frame.clientWidth / 2;

    const times = at("network-times");
    frame.addEventListener("scroll", () => {
      times.setAttribute("transform", `translate(${frame.scrollLeft / zoom} 0)`);
    });

    let held = null;
    frame.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button) return;
      held = { x: event.clientX, y: event.clientY, left: frame.scrollLeft, top: frame.scrollTop };
    });
    addEventListener("pointermove", (event) => {
      if (!held) return;
      frame.classList.add("held");
      frame.scrollLeft = held.left - event.clientX + held.x;
      frame.scrollTop = held.top - event.clientY + held.y;
    });
    addEventListener("pointerup", () => { held = null; frame.classList.remove("held"); });
  }

  function rasters() {
    const ROWS = 40, ROW = 12, TOP = 20, LEFT = 58, TITLE = 110;
    const data = JSON.parse(at("raster-data").textContent);
    const picture = at("raster");
    const steps = data.steps;
    const room = Math.min(400, (at("raster-frame").clientWidth - LEFT - 36) / 2);
    const wide = Math.min(26, Math.max(5, Math.floor(room / steps)));
    const shown = { rows: [], from: 0, layer: null, bits: null };
    const square = () => { const h = Math.max(1, Math.min(3, Math.floor((wide - 1) / 2))); return `m-${h} -3h${2 * h}v6h-${2 * h}z`; };
    const diamond = () => { const h = Math.max(2, Math.min(5, Math.floor(wide / 2))); return `m-${h} 0l${h} -5l${h} 5l-${h} 5z`; };
    const shapes = { both: square(), here: diamond(), there: diamond(), value: square() };

    const unpacked = async (text) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      return new Uint8Array(await new Response(stream).arrayBuffer());
    };
    const neurons = () => shown.layer.shape.reduce((a, b) => a * b, 1);
    const bit = (plane, step, neuron) => {
      const sample = at("raster-sample").selectedIndex;
      const index = ((plane * data.samples.length + sample) * steps + step) * neurons() + neuron;
      return (shown.bits[index >> 3] >> (7 - (index & 7))) & 1;
    };
    const sent = (step, neuron) => {
      const first = bit(0, step, neuron), apart = bit(1, step, neuron);
      return [first, shown.layer.planes === 3 ? bit(2, step, neuron) : first ^ apart, apart];
    };
    const label = (neuron) => {
      const parts = [];
      for (const size of [...shown.layer.shape].reverse()) { parts.unshift(neuron % size); neuron = Math.floor(neuron / size); }
      return parts.join(",");
    };
    const kind = (here, there, apart) => (here && there ? (apart ? "value" : "both") : here ? "here" : there ? "there" : null);

    const differing = () => {
      const found = [];
      let slots = 0;
      for (let neuron = 0; neuron < neurons(); neuron += 1) {
        let apart = 0;
        for (let step = 0; step < steps; step += 1) apart += bit(1, step, neuron);
        if (apart) found.push(neuron);
        slots += apart;
      }
      return [found, slots];
    };
    const panel = (title, left, rows, pick) => {
      const group = drawn("g", { transform: `translate(${left} ${TOP})` });
      group.append(drawn("text", { class: "title", x: 0, y: -7 }, title));
      group.append(drawn("rect", { class: "ground", width: wide * steps, height: ROW * rows.length }));
      const paths = {};
      rows.forEach((neuron, row) => {
        for (let step = 0; step < steps; step += 1) {
          const name = kind(...pick(sent(step, neuron)));
          if (name) paths[name] = `${paths[name] || ""}M${step * wide + wide / 2} ${row * ROW + ROW / 2}${shapes[name]}`;
        }
      });
      for (const [name, path] of Object.entries(paths)) group.append(drawn("path", { class: name, d: path }));
      let by = 1;
      for (const next of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]) { by = next; if (next * wide >= 30) break; }
      for (let step = 0; step < steps; step += by) {
        group.append(drawn("text", { class: "tick", x: wide * (step + 0.5), y: ROW * rows.length + 14 }, String(step)));
      }
      group.append(drawn("text", { class: "tick", x: wide * steps / 2, y: ROW * rows.length + 29 }, "model step"));
      return group;
    };
    const draw = () => {
      const rows = shown.rows.slice(shown.from, shown.from + ROWS);
      const panelWidth = Math.max(wide * steps, TITLE);
      const second = LEFT + panelWidth + 28;
      const width = second + panelWidth + 8, height = TOP + ROW * rows.length + 34;
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
      picture.setAttribute("width", width);
      picture.setAttribute("height", height);
      picture.replaceChildren(
        drawn("text", { class: "axis", x: 50, y: 13 }, "neuron"),
        ...rows.map((neuron, row) => drawn("text", { class: "row", x: 50, y: TOP + ROW * row + 9 }, label(neuron))),
        panel(data.runs[0], LEFT, rows, ([a, b, d]) => [a, b, d]),
        panel(data.runs[1], second, rows, ([a, b, d]) => [b, a, d]),
      );
      at("raster-before").disabled = shown.from === 0;
      at("raster-after").disabled = shown.from + ROWS >= shown.rows.length;
      const last = Math.min(shown.from + ROWS, shown.rows.length);
      const [apart, slots] = differing();
      at("raster-summary").textContent =
        `Layer ${shown.layer.name}, sample ${at("raster-sample").value}: ${apart.length.toLocaleString("en")} of ` +
        `${neurons().toLocaleString("en")} neurons differ in some step; ${slots.toLocaleString("en")} of ` +
        `${(neurons() * steps).toLocaleString("en")} spike slots differ. ` +
        (rows.length ? `Shown: ${shown.from + 1} to ${last} of ${shown.rows.length}.` : "Nothing differs: choose all neurons.");
    };
    const choose = () => {
      shown.from = 0;
      const all = at("raster-rows").value === "all";
      shown.rows = all ? [...Array(neurons()).keys()] : differing()[0];
      draw();
    };
    const load = async () => {
      shown.layer = data.layers[at("raster-layer").selectedIndex];
      shown.bits = await unpacked(shown.layer.bits);
      choose();
    };

    data.layers.forEach((layer) => at("raster-layer").append(made("option", `${layer.name} (${layer.agreement} equal)`)));
    data.samples.forEach((sample, index) => {
      const option = made("option", `${sample}${data.notes[index]}`);
      option.value = sample;
      at("raster-sample").append(option);
    });
    if (!data.layers.length || !("DecompressionStream" in window)) { at("raster-controls").hidden = true; return; }
    at("raster-sample").value = String(data.sample);
    at("raster-controls").addEventListener("submit", (event) => event.preventDefault());
    at("raster-layer").addEventListener("change", load);
    at("raster-sample").addEventListener("change", choose);
    at("raster-rows").addEventListener("change", choose);
    const turn = (by) => { shown.from += by; draw(); };
    at("raster-before").addEventListener("click", () => turn(-ROWS));
    at("raster-after").addEventListener("click", () => turn(ROWS));
    load();
  }

  network();
  if (at("raster-data")) rasters();
  reach();
})();
