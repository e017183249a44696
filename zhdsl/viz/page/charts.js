// Charts: lines over steps, heat maps, matrices. Every chart is an SVG with a title, and a table says the same in text.
const SERIES = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a8f98'];
const number = value => value === null || value === undefined || !Number.isFinite(value) ? 'not finite'
  : value !== 0 && (Math.abs(value) < .001 || Math.abs(value) >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));

function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(m => m * power).find(candidate => candidate >= raw);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(Number(t.toPrecision(12)));
  return found;
}

// series: [{name, points: [[x, y], …]}]; y that is no finite number makes a gap.
function lineChart({ title, series, x: xName, y: yName, marks = [], unit = number, linear = false, wide = 620, tall = 240 }) {
  const box = { left: 64, right: 16, top: 14, bottom: 34 };
  const good = ([x, y]) => Number.isFinite(x) && y !== null && Number.isFinite(y);
  const points = series.flatMap(one => one.points.filter(good));
  const figure = h('figure', { class: 'chart' }, h('figcaption', {}, title));
  if (!points.length) {
    figure.append(h('p', { class: 'absent' }, 'not recorded'));
    return figure;
  }
  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  const extent = list => list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  let [x0, x1] = extent(xs), [y0, y1] = extent(ys);
  const logarithmic = !linear && y0 > 0 && y1 / y0 > 200;
  if (linear) y0 = Math.min(0, y0);
  const f = logarithmic ? Math.log10 : value => value;
  if (x0 === x1) { x0 -= .5; x1 += .5; }
  let [v0, v1] = [f(y0), f(y1)];
  if (v0 === v1) { v0 -= .5; v1 += .5; }
  const pad = (v1 - v0) * .05;
  v0 -= pad; v1 += pad;
  const px = x => box.left + (x - x0) / (x1 - x0) * (wide - box.left - box.right);
  const py = y => tall - box.bottom - (f(y) - v0) / (v1 - v0) * (tall - box.top - box.bottom);
  const svg = s('svg', { viewBox: `0 0 ${wide} ${tall}`, role: 'img', 'aria-label': title, class: 'lines' });
  const levels = logarithmic ? ticks(v0, v1).filter(Number.isInteger).map(v => 10 ** v) : ticks(v0, v1).map(v => v);
  for (const y of levels.length ? levels : [y0]) {
    svg.append(s('line', { class: 'grid', x1: box.left, x2: wide - box.right, y1: py(y), y2: py(y) }),
      s('text', { x: box.left - 6, y: py(y) + 3.5, 'text-anchor': 'end' }, unit(y)));
  }
  for (const x of ticks(x0, x1)) svg.append(s('text', { x: px(x), y: tall - 16, 'text-anchor': 'middle' }, x.toLocaleString('en')));
  svg.append(s('text', { class: 'axis', x: wide - box.right, y: tall - 3, 'text-anchor': 'end' }, xName));
  series.forEach((one, i) => {
    let path = '', pen = 'M', alone = one.points.filter(good).length < 40;
    for (const point of one.points) {
      if (!good(point)) { pen = 'M'; continue; }
      path += `${pen}${round(px(point[0]))} ${round(py(point[1]))}`;
      pen = 'L';
    }
    const dense = one.points.length > 200;
    svg.append(s('path', { class: dense ? 'series dense' : 'series', d: path, stroke: SERIES[i % SERIES.length],
      'stroke-dasharray': dense ? null : [null, '6 3', '2 3'][i % 3] }));
    if (alone) for (const p of one.points.filter(good)) {
      svg.append(s('circle', { cx: px(p[0]), cy: py(p[1]), r: 2.5, fill: SERIES[i % SERIES.length] },
        s('title', {}, `${one.name}, ${xName} ${p[0]}: ${unit(p[1])}`)));
    }
  });
  for (const mark of marks) {
    const x = px(mark.x), end = x > wide * .6;
    svg.append(s('line', { class: 'peak', x1: x, x2: x, y1: box.top, y2: tall - box.bottom }),
      s('text', { class: 'peak', x: x + (end ? -6 : 6), y: box.top + 10, 'text-anchor': end ? 'end' : 'start' }, mark.text));
  }
  figure.append(svg);
  if (series.length > 1 || yName) {
    const legend = h('p', { class: 'legend' });
    series.forEach((one, i) => legend.append(swatch(SERIES[i % SERIES.length]), one.name + '  '));
    figure.append(legend);
  }
  const last = series.map(one => [one.name, one.points.filter(good).at(-1)]).filter(([, p]) => p);
  figure.append(h('p', { class: 'told' }, last.map(([name, p]) => `${name} ends at ${unit(p[1])}`).join(', ') + '.'));
  return figure;
}

function swatch(colour) {
  return s('svg', { class: 'swatch', viewBox: '0 0 10 10', 'aria-hidden': 'true' }, s('rect', { width: 10, height: 10, rx: 2, fill: colour }));
}

// A colour between light and dark, readable in print and without red and green (viridis, van der Walt & Smith 2015).
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function shade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return '#' + VIRIDIS[i].map((c, k) => Math.round(c + (VIRIDIS[i + 1][k] - c) * (at - i)).toString(16).padStart(2, '0')).join('');
}
function scaleOf(values) {
  const finite = values.filter(v => v !== null && Number.isFinite(v) && v > 0);
  if (!finite.length) return { low: 0, high: 0, share: () => 0 };
  const low = Math.min(...finite), high = Math.max(...finite), logarithmic = high / low > 50;
  const f = logarithmic ? Math.log : v => v;
  return { low, high, share: v => v > 0 ? (high === low ? 1 : (f(v) - f(low)) / (f(high) - f(low))) : 0 };
}

// rows × columns of numbers; `null` is left empty.
function heatMap({ title, rows, columns, values, unit = number, cell = 14, labelEvery = 1, xName = '', inCell = false }) {
  const scale = scaleOf(values.flat()), left = Math.min(260, Math.max(40, ...rows.map(r => textWidth(shortened(r, 36), 11))) + 10);
  const tall = Math.max(cell, 14), width = left + columns.length * cell + 12, height = rows.length * tall + 46;
  const svg = s('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': title, class: 'heat' });
  rows.forEach((name, i) => {
    svg.append(s('text', { x: left - 6, y: 6 + i * tall + tall / 2 + 4, 'text-anchor': 'end' }, shortened(name, 36)));
    columns.forEach((column, j) => {
      const value = values[i][j];
      if (value === null || value === undefined) return;
      const share = scale.share(value);
      svg.append(s('rect', { x: left + j * cell, y: 6 + i * tall, width: cell - 1, height: tall - 1, fill: shade(share) },
        s('title', {}, `${name}, ${column}: ${unit(value)}`)));
      if (inCell && value) svg.append(s('text', { x: left + j * cell + cell / 2 - .5, y: 6 + i * tall + tall / 2 + 3.5,
        'text-anchor': 'middle', fill: share > .6 ? '#000' : '#fff', class: 'in-cell' }, unit(value)));
    });
  });
  columns.forEach((name, j) => {
    if (j % labelEvery) return;
    svg.append(s('text', { x: left + j * cell + cell / 2, y: rows.length * tall + 20, 'text-anchor': 'middle' }, shortened(String(name), 14)));
  });
  svg.append(s('text', { class: 'axis', x: width - 12, y: height - 6, 'text-anchor': 'end' }, xName));
  const told = scale.high ? `from ${unit(scale.low)} (dark) to ${unit(scale.high)} (light)` : 'all zero';
  return h('figure', { class: 'chart' }, h('figcaption', {}, title), h('div', { class: 'scroll' }, svg), h('p', { class: 'told' }, told));
}

function table(head, rows) {
  const cells = (row, tag) => h('tr', {}, ...row.map(value => h(tag, typeof value === 'number' ? { class: 'n' } : {},
    typeof value === 'number' ? value.toLocaleString('en') : value)));
  return h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, cells(head, 'th')), h('tbody', {}, ...rows.map(row => cells(row, 'td')))));
}
