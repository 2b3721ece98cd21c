// Pictures on canvases: the surface with paths, and lines over steps.

const DASHES = [[], [8, 3], [3, 2], [], [6, 4], [8, 3, 3, 3]];

/** The look of the optimizer at this place: a colour, a dash and a marker. */
function look(place, colours) {
  return {
    colour: colours.lines[place % colours.lines.length],
    dash: DASHES[place % DASHES.length],
    marker: place % MARKERS.length,
  };
}

const GLYPHS = [..."●■◆▼▲⬟⬢"]; // The same as MARKERS, in text.

const MARKERS = [
  (c, r) => c.arc(0, 0, r, 0, 7),
  (c, r) => c.rect(-r * 0.9, -r * 0.9, 1.8 * r, 1.8 * r),
  (c, r) => polygon(c, r * 1.25, 4, 0),
  (c, r) => polygon(c, r * 1.25, 3, Math.PI / 2),
  (c, r) => polygon(c, r * 1.25, 3, -Math.PI / 2),
  (c, r) => polygon(c, r * 1.15, 5, -Math.PI / 2),
  (c, r) => polygon(c, r * 1.15, 6, 0),
];

function polygon(c, radius, corners, turned) {
  for (let i = 0; i <= corners; i++) {
    const angle = turned + (2 * Math.PI * i) / corners;
    const to = i ? "lineTo" : "moveTo";
    c[to](radius * Math.cos(angle), radius * Math.sin(angle));
  }
}

function mark(c, x, y, style, colours, radius = 5) {
  c.save();
  c.translate(x, y);
  c.setLineDash([]);
  c.beginPath();
  MARKERS[style.marker](c, radius);
  c.fillStyle = style.colour;
  c.strokeStyle = colours.paper;
  c.lineWidth = 1.5;
  c.fill();
  c.stroke();
  c.restore();
}

/** A context in CSS pixels, on a canvas as sharp as the screen. */
function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { c, width, height };
}

function line(c, points, style, width = 2) {
  c.beginPath();
  let drawing = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) drawing = false;
    else if (drawing) c.lineTo(x, y);
    else {
      c.moveTo(x, y);
      c.lineTo(x + 0.01, y); // A point alone is a dot.
      drawing = true;
    }
  }
  c.lineCap = c.lineJoin = "round";
  c.setLineDash(style.dash);
  c.strokeStyle = style.colour;
  c.lineWidth = width;
  c.stroke();
}

const relief = { key: "", image: null };

/** Bands of equal height, evenly spaced in log(height + low), divided by lines. */
function reliefOf(surface, width, height, colours) {
  const key = [surface.title, width, height, ...colours.relief].join();
  if (relief.key === key) return relief.image;
  const across = Math.max(2, Math.round(width));
  const up = Math.max(2, Math.round(height));
  const levels = new Float64Array(across * up);
  for (let j = 0, at = 0; j < up; j++) {
    const y = surface.y[1] - ((j + 0.5) / up) * (surface.y[1] - surface.y[0]);
    for (let i = 0; i < across; i++, at++) {
      const x = surface.x[0] + ((i + 0.5) / across) * (surface.x[1] - surface.x[0]);
      levels[at] = Math.log(surface.measure([x, y])[0][0] + surface.low);
    }
  }
  const lowest = levels.reduce((a, b) => Math.min(a, b));
  const highest = levels.reduce((a, b) => Math.max(a, b));
  const band = (at) => Math.floor(((levels[at] - lowest) / (highest - lowest)) * 15.99);
  const [from, to, edge] = colours.relief;
  const image = new OffscreenCanvas(across, up);
  const c = image.getContext("2d");
  const pixels = c.createImageData(across, up);
  for (let j = 0, at = 0; j < up; j++) {
    for (let i = 0; i < across; i++, at++) {
      const here = band(at);
      const ends = i + 1 < across && band(at + 1) !== here;
      const line = ends || (j + 1 < up && band(at + across) !== here);
      for (let k = 0; k < 3; k++) {
        const shade = from[k] + ((to[k] - from[k]) * here) / 15;
        pixels.data[4 * at + k] = line ? edge[k] : shade;
      }
      pixels.data[4 * at + 3] = 255;
    }
  }
  c.putImageData(pixels, 0, 0);
  Object.assign(relief, { key, image });
  return image;
}

/** The surface, the paths up to a step, and the start. */
function drawSurface(canvas, surface, walks, frame, start, colours) {
  const { c, width, height } = prepared(canvas);
  c.drawImage(reliefOf(surface, width, height, colours), 0, 0, width, height);
  const [left, right] = surface.x;
  const [bottom, top] = surface.y;
  const place = ([x, y]) => [
    ((x - left) / (right - left)) * width,
    ((top - y) / (top - bottom)) * height,
  ];
  const shown = walks.map(({ path }) => path.points.slice(0, frame + 1).map(place));
  for (const points of shown) {
    line(c, points, { colour: colours.paper, dash: [] }, 4.5);
  }
  walks.forEach(({ style }, i) => line(c, shown[i], style, 2.2));
  const [x, y] = place(start);
  c.setLineDash([]);
  c.beginPath();
  c.arc(x, y, 6, 0, 7);
  c.fillStyle = colours.paper;
  c.strokeStyle = colours.ink;
  c.lineWidth = 2;
  c.fill();
  c.stroke();
  walks.forEach(({ style }, i) => mark(c, ...shown[i].at(-1), style, colours));
}

/** Numbers on an axis: powers of ten, or round ones. */
function ticksOf(low, high, log) {
  if (log) {
    const [first, last] = [Math.ceil(low - 1e-9), Math.floor(high + 1e-9)];
    const every = Math.max(1, Math.ceil((last - first) / 4));
    const found = [];
    for (let power = first; power <= last; power += every) found.push(power);
    return found.map((power) => [power, written(10 ** power)]);
  }
  const rough = (high - low) / 4 || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * unit >= rough) * unit;
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-12; n++) {
    found.push([n * step, written(Number((n * step).toPrecision(6)))]);
  }
  return found;
}

/**
 * Lines over steps. Each of `series` has `values` and a `style`; `frame` is the step
 * that is shown, `steps` how many there are.
 */
function drawLines(canvas, series, { log, frame, steps, colours }) {
  const { c, width, height } = prepared(canvas);
  c.clearRect(0, 0, width, height);
  const scaled = (v) => (log ? (v > 0 ? Math.log10(v) : NaN) : v);
  let [low, high] = [Infinity, -Infinity];
  for (const { values } of series) {
    for (const v of values.map(scaled)) {
      if (Number.isFinite(v)) [low, high] = [Math.min(low, v), Math.max(high, v)];
    }
  }
  if (low > high) [low, high] = log ? [-1, 1] : [0, 1];
  if (log && low < high - 16) low = high - 16;
  const margin = (high - low) * 0.05 || Math.abs(high) * 0.5 || 0.5;
  [low, high] = [low - margin, high + margin];
  const [left, right, top, bottom] = [52, width - 10, 8, height - 22];
  const x = (step) => left + (step / Math.max(1, steps)) * (right - left);
  const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
  c.font = "12px system-ui, sans-serif";
  c.lineWidth = 1;
  c.fillStyle = colours.soft;
  c.strokeStyle = colours.rule;
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (const [value, text] of ticksOf(low, high, log)) {
    c.fillText(text, left - 6, y(value));
    c.beginPath();
    c.moveTo(left, y(value));
    c.lineTo(right, y(value));
    c.stroke();
  }
  c.textBaseline = "top";
  for (const [step, text] of ticksOf(0, steps, false)) {
    c.textAlign = step === 0 ? "left" : step > 0.9 * steps ? "right" : "center";
    c.fillText(text, x(step), bottom + 6);
  }
  c.save();
  c.beginPath();
  c.rect(left, top - 4, right - left + 8, bottom - top + 8);
  c.clip();
  for (const { values, style, from = 0 } of series) {
    const points = values.map((v, i) => [x(i + from), y(scaled(v))]);
    line(c, points, style, 1.8);
    const last = points[Math.min(frame - from, points.length - 1)];
    if (last?.every(Number.isFinite)) mark(c, ...last, style, colours, 4);
  }
  c.restore();
  c.setLineDash([2, 3]);
  c.strokeStyle = colours.soft;
  c.beginPath();
  c.moveTo(x(frame), top);
  c.lineTo(x(frame), bottom);
  c.stroke();
}
