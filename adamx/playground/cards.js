// The menu of optimizers, and a card with sliders and equations for each chosen one.

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A number as an equation writes it: 0.999, 10⁻⁸, 2.5·10⁻⁷. */
function written(x) {
  if (!Number.isFinite(x)) return x > 0 ? "∞" : x < 0 ? "−∞" : "–";
  const [mantissa, power] = x.toExponential().split("e");
  if (x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e5)) {
    return String(Number(x.toPrecision(8))).replace("-", "−");
  }
  const digits = [...power.replace(/^\+/, "")];
  const raised = digits.map((d) => (d === "-" ? "⁻" : SUPERSCRIPTS[d])).join("");
  const short = String(Number(Number(mantissa).toPrecision(6))).replace("-", "−");
  return short === "1" ? `10${raised}` : `${short}·10${raised}`;
}

const rounded = (x) => Number(x.toPrecision(3));

/** Positions of sliders for values: logarithmic, or logarithmic in 1 minus the value. */
const SCALES = {
  rate: { min: -6, max: 2, to: (v) => Math.log10(v), from: (s) => rounded(10 ** s) },
  small: { min: -16, max: 0, to: (v) => Math.log10(v), from: (s) => rounded(10 ** s) },
  fraction: {
    min: 0,
    max: 5,
    to: (v) => -Math.log10(1 - v),
    from: (s) => Number((1 - rounded(10 ** -s)).toFixed(8)),
  },
};

function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(fields)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

/** Checkboxes by kind; `toggle(name, on)` is called when one changes. */
function menu(toggle) {
  const kinds = new Map();
  for (const [name, { kind }] of Object.entries(TWINS)) {
    if (!kinds.has(kind)) kinds.set(kind, []);
    kinds.get(kind).push(name);
  }
  return [...kinds].map(([kind, names]) => {
    const boxes = names.map((name) => {
      const box = element("input", { type: "checkbox", value: name });
      box.addEventListener("change", () => toggle(name, box.checked));
      return element("label", {}, box, name);
    });
    return element("fieldset", {}, element("legend", { textContent: kind }), ...boxes);
  });
}

/**
 * The card of a chosen optimizer. `change(name, value)` is called when a number moves,
 * `remove()` for the button. It has `refresh(values)`, which writes numbers.
 */
function card(choice, open, change, remove) {
  const twin = TWINS[choice.name];
  const refreshers = [];
  const rows = twin.hyperparameters.map(({ name, scale }, i) => {
    const id = `${choice.name}-${name}`;
    const field = element("input", { type: "number", step: "any", id });
    field.addEventListener("change", () => {
      if (field.value !== "" && field.validity.valid) change(name, Number(field.value));
      else change(name, null);
    });
    const row = element("div", { className: "number" });
    const breakable = name.replaceAll("_", "_\u200b");
    row.append(element("label", { htmlFor: id, textContent: breakable }));
    let slider = null;
    if (scale in SCALES) {
      const { min, max, from } = SCALES[scale];
      slider = element("input", { type: "range", min, max, step: 0.01 });
      slider.setAttribute("aria-label", `${choice.name}: ${name}`);
      slider.addEventListener("input", () => change(name, from(Number(slider.value))));
      row.append(slider);
    }
    row.append(field);
    refreshers.push((values) => {
      const v = values[i];
      field.value = v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential() : v;
      if (!slider) return;
      const at = SCALES[scale].to(values[i]);
      slider.value = Number.isFinite(at) ? at : SCALES[scale].min;
      slider.setAttribute("aria-valuetext", written(values[i]));
    });
    return row;
  });
  const isRate = (i) => twin.hyperparameters[i].name === "learning_rate";
  const swatch = element("canvas", { "aria-hidden": "true" });
  const away = element("button", { type: "button", textContent: "Remove" });
  away.setAttribute("aria-label", `Remove ${choice.name}`);
  away.addEventListener("click", remove);
  const title = element("h3", { textContent: choice.name });
  const equations = element("div", { className: "equations", innerHTML: twin.equations });
  equations.tabIndex = 0;
  equations.setAttribute("role", "group");
  equations.setAttribute("aria-label", `Equations of ${choice.name}`);
  const papers = twin.references.map((textContent) =>
    element("p", { className: "reference", textContent }),
  );
  const more = element(
    "details",
    { open },
    element("summary", { textContent: "Numbers and equations" }),
    ...rows.filter((_, i) => !isRate(i)),
    equations,
    ...papers,
  );
  const made = element(
    "section",
    { className: "card" },
    element("div", { className: "head" }, swatch, title, away),
    ...rows.filter((_, i) => isRate(i)),
    more,
  );
  made.setAttribute("aria-label", choice.name);
  const refresh = (values, style, colours) => {
    refreshers.forEach((write) => write(values));
    twin.hyperparameters.forEach(({ name }, i) => {
      for (const node of equations.querySelectorAll(`[data-h="${name}"]`)) {
        node.textContent = written(values[i]);
      }
      for (const node of equations.querySelectorAll(`[data-rest="${name}"]`)) {
        node.textContent = written(Number((1 - values[i]).toPrecision(8)));
      }
    });
    const { c, width, height } = prepared(swatch);
    line(c, [[2, height / 2], [width - 2, height / 2]], style, 2.2);
    mark(c, width / 2, height / 2, style, colours);
  };
  return { element: made, refresh, isOpen: () => more.open };
}
