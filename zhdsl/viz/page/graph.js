// The graph: rows come from Python (layers.py), coordinates and drawing are here, as in place.py and svg.py.
const SVG = 'http://www.w3.org/2000/svg', MATH = 'http://www.w3.org/1998/Math/MathML';
const TITLE = 13, SMALL = 10.5, ROW_GAP = 48, CELL_GAP = 26, MARGIN = 18, HEAD = 26, COLUMN_GAP = 130, STEM = 18, LANE = 12;
const TALL = 120, SWEEPS = 14, LONGEST = 30;

function element(space, tag, attributes = {}, ...children) {
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children.filter(c => c !== null && c !== undefined));
  return made;
}
const s = (tag, attributes, ...children) => element(SVG, tag, attributes, ...children);
const h = (tag, attributes, ...children) => element(null, tag, attributes, ...children);
const round = value => Math.round(value * 10) / 10;

function quantity(count, units) {
  let step = 0;
  while (Math.abs(count) >= 999.5 && step < units.length - 1) { count /= 1000; step++; }
  return `${count.toFixed(step === 0 || Math.abs(count) >= 99.5 ? 0 : 1)} ${units[step]}`.trim();
}
const bytesText = n => quantity(n, ['B', 'kB', 'MB', 'GB', 'TB']);
const countText = n => quantity(n, ['', 'k', 'M', 'G', 'T']);
const shortened = (text, most = LONGEST) => {
  const all = Array.from(text);
  return all.length <= most ? text : all.slice(0, most - 9).join('') + '…' + all.slice(-8).join('');
};
const textWidth = (text, size) => Array.from(text).reduce((w, c) => w + (c.codePointAt(0) > 0x2E7F ? 1 : .56), 0) * size;

// ---------------------------------------------------------------- a scene as it was written by html.py
function unpacked(packed) {
  const { strings } = packed, items = [];
  for (let i = 0; i < packed.items.label.length; i++) {
    const item = { number: i };
    for (const [name, column] of Object.entries(packed.items)) {
      item[name] = packed.texts.includes(name) ? strings[column[i]] : column[i];
    }
    items.push(item);
  }
  const groups = packed.groups.map(([label, kind, parent, key, note], number) =>
    ({ number, label: strings[label], kind: strings[kind], parent, key, note: strings[note] }));
  const list = text => text === '' ? [] : text.split('|');
  const edges = list(packed.edges).map(text => {
    const [source, target, slot, back] = text.split(' ').map(Number);
    return { source, target, slot, back: Boolean(back) };
  });
  const levels = packed.levels.map(([rows, wires]) => ({
    rows: list(rows).map(row => row.split(' ')),
    wires: list(wires).map(wire => {
      const [path, numbers, ...kinds] = wire.split(',');
      return { path: path.split(' '), edges: numbers.split(' ').map(Number), skip: kinds.includes('skip'), back: kinds.includes('back') };
    }),
  }));
  const scene = { ...packed, items, groups, edges, levels, open: new Set(packed.open) };
  scene.phases = groups.filter(g => g.kind === 'phase').map(g => g.number);
  scene.items.forEach(item => { item.literals = []; });
  edges.forEach((edge, number) => {
    if (items[edge.source].value !== '') items[edge.target].literals.push([number, edge.source]);
  });
  scene.totals = groups.map(() => ({ params: 0, flops: 0, saved: 0, time: 0, count: 0 }));
  for (const item of items) for (const g of around(scene, item.group)) {
    const total = scene.totals[g];
    for (const key of ['params', 'flops', 'saved', 'time']) total[key] += item[key] || 0;
    total.count++;
  }
  return scene;
}
function around(scene, group) {
  const found = [];
  for (let g = group; g !== -1; g = scene.groups[g].parent) found.push(g);
  return found;
}
const phaseOf = (scene, item) => around(scene, scene.items[item].group).at(-1);
const isAcross = (scene, edge) => scene.phases.length > 0 && phaseOf(scene, edge.source) !== phaseOf(scene, edge.target);
function seenAs(scene, item) {
  const closed = around(scene, scene.items[item].group).filter(g => !scene.open.has(g));
  return closed.length ? 'g' + closed.at(-1) : 'i' + item;
}

// ---------------------------------------------------------------- coordinates
function words(scene, cell) {
  const number = Number(cell.slice(1));
  if (cell[0] === 'g') {
    const total = scene.totals[number];
    const small = total.params ? `${countText(total.params)} parameters` : `${total.count.toLocaleString('en')} operations`;
    return [shortened(scene.groups[number].label), small];
  }
  const item = scene.items[number];
  if (item.family === 'param' || item.family === 'state') {
    const last = item.label.split('.').at(-1);
    return [shortened(/^\d*$/.test(last) ? item.label : last), item.type];
  }
  if (item.family === 'data' || item.family === 'counter') return [shortened(item.label), item.type];
  const title = [shortened(item.label), ...item.literals.map(([, c]) => scene.items[c].value)].join(' ');
  return [title, shortened(item.outputs || (item.name !== item.label ? item.name : ''))];
}

function edgeLabel(scene, edges) {
  const values = [...new Set(edges.map(e => scene.edges[e].source))].map(v => scene.items[v]);
  if (values.length > 1) return `${values.length} values · ${bytesText(values.reduce((sum, v) => sum + v.bytes, 0))}`;
  const [item] = values;
  if (!item.bytes) return '';
  if (['param', 'state', 'counter', 'data'].includes(item.family)) return bytesText(item.bytes);
  return `${shortened(item.type, 34)} · ${bytesText(item.bytes)}`;
}

function place(scene) {
  const isOpen = cell => cell[0] === 'g' && scene.open.has(Number(cell.slice(1)));

  function size(cell, inner) {
    if (cell[0] === 'p') return [10, 0];
    if (cell[0] === 'n' || cell[0] === 'o') return [8, 0];
    if (isOpen(cell)) {
      const picture = inner[cell], head = textWidth(scene.groups[Number(cell.slice(1))].label, TITLE) + 60;
      return [Math.max(picture.width + 2 * MARGIN, head), picture.height + 2 * HEAD];
    }
    const [title, small] = words(scene, cell);
    const wide = Math.max(textWidth(title, TITLE), textWidth(small, SMALL)) + 32;
    return [Math.max(wide, 58), small ? 40 : 28];
  }

  function inside(group, depth) {
    const { rows, wires } = scene.levels[group + 1], inner = {}, sizes = {}, rooms = {}, labels = {};
    for (const row of rows) for (const cell of row) if (isOpen(cell)) inner[cell] = inside(Number(cell.slice(1)), depth + 1);
    for (const wire of wires) {
      const start = wire.path[0];
      if (start[0] !== 'n' && !(start in labels) && !isOpen(start)) labels[start] = edgeLabel(scene, wire.edges);
    }
    for (const row of rows) for (const cell of row) {
      sizes[cell] = size(cell, inner);
      const half = sizes[cell][0] / 2;
      rooms[cell] = [half, Math.max(half, textWidth(labels[cell] || '', SMALL) + 10)];
    }
    const xs = placeRows(rows, rooms, wires), picture = { boxes: [], lines: [], ports: {}, width: 0, height: 0 };
    const tops = [];
    rows.forEach((row, i) => {
      const height = Math.max(0, ...row.map(cell => sizes[cell][1]));
      tops.push([picture.height, height]);
      picture.height += height + (i < rows.length - 1 ? ROW_GAP : 0);
    });
    const cells = Object.keys(xs), left = Math.min(0, ...cells.map(c => xs[c] - rooms[c][0]));
    const least = cells.length ? Math.min(...cells.map(c => xs[c] - rooms[c][0])) : left;
    picture.width = Math.max(0, ...cells.map(c => xs[c] + rooms[c][1] - least));
    const where = {}, rowOf = {};
    rows.forEach((row, i) => row.forEach(cell => {
      const [width, tall] = sizes[cell], [top, height] = tops[i];
      let y = top + (height < TALL ? (height - tall) / 2 : 0);
      if (cell[0] === 'n') y = 0;
      if (cell[0] === 'o') y = picture.height;
      rowOf[cell] = tops[i];
      where[cell] = { cell, x: xs[cell] - least - width / 2, y, width, height: tall, depth, open: isOpen(cell) };
      if (cell[0] === 'n' || cell[0] === 'o') {
        picture.ports[cell] = xs[cell] - least;
        picture.boxes.push({ ...where[cell], y: y - 4, height: 8 });
      } else if (cell[0] !== 'p') picture.boxes.push(where[cell]);
      if (isOpen(cell)) merge(picture, inner[cell], where[cell].x + MARGIN, where[cell].y + HEAD);
    }));
    addLines(group, picture, wires, where, inner, rowOf, labels);
    const returning = picture.lines.filter(line => line.of === group && line.back), right = picture.width;
    returning.forEach((line, i) => { line.points = aroundAt(line, right + LANE * (i + 1)); });
    if (returning.length) picture.width = right + LANE * (returning.length + 1);
    return picture;
  }

  function addLines(group, picture, wires, where, inner, rowOf, labels) {
    const ends = portsOf(wires, where), told = new Set();
    wires.forEach((wire, number) => {
      const start = wire.path[0], end = wire.path.at(-1), first = where[start], last = where[end];
      let label = told.has(start) ? '' : labels[start] || '';
      told.add(start);
      const middle = wire.path.slice(1, -1).flatMap(cell => {
        const x = where[cell].x + where[cell].width / 2, [top, height] = rowOf[cell];
        return height ? [[x, top], [x, top + height]] : [[x, top]];
      });
      for (const [value, edges] of valuesOf(wire)) {
        const port = (cell, name, other) => isOpen(cell) ? where[cell].x + MARGIN + inner[cell].ports[name] : other;
        const x0 = port(start, 'o' + value, ends[number][0]), x1 = port(end, 'n' + value, ends[number][1]);
        const y0 = first.y + first.height - (isOpen(start) ? HEAD : 0), y1 = last.y + (isOpen(end) ? HEAD : 0);
        const below = first.y + first.height + STEM, low = rowOf[start][0] + rowOf[start][1];
        const stem = start[0] !== 'n' && !wire.back ? [[x0, Math.max(below, low)]] : [];
        const points = [[x0, y0], ...stem, ...(wire.back ? [] : middle), [x1, y1]];
        const arrow = end[0] !== 'o' && !isOpen(end);
        picture.lines.push({ points, edges, skip: wire.skip, back: wire.back, label, arrow, of: group });
        label = '';
      }
    });
  }

  function valuesOf(wire) {
    if (!isOpen(wire.path[0]) && !isOpen(wire.path.at(-1))) return new Map([[-1, wire.edges]]);
    const found = new Map();
    for (const edge of wire.edges) {
      const source = scene.edges[edge].source;
      found.set(source, [...(found.get(source) || []), edge]);
    }
    return found;
  }

  function columns() {
    const whole = { boxes: [], lines: [], width: 0, height: 0 };
    let forward = new Map();
    for (const number of scene.phases) {
      let picture = inside(number, 1);
      if (scene.groups[number].label === 'backward') picture = aligned(scene, flipped(picture), forward);
      else heights(scene, picture).forEach((y, key) => forward.has(key) || forward.set(key, y));
      const at = whole.width + (whole.width ? COLUMN_GAP : 0);
      const width = picture.width + 2 * MARGIN, height = picture.height + HEAD + 2 * MARGIN;
      whole.boxes.push({ cell: 'g' + number, x: at, y: 0, width, height, depth: 0, open: true });
      merge(whole, picture, at + MARGIN, HEAD + MARGIN);
      whole.width = at + width;
      whole.height = Math.max(whole.height, height);
    }
    addAcross(whole);
    return whole;
  }

  function addAcross(whole) {
    const boxes = {}, found = new Map();
    whole.boxes.forEach(box => { boxes[box.cell] = box; });
    scene.edges.forEach((edge, number) => {
      if (!isAcross(scene, edge) || scene.items[edge.source].value !== '') return;
      const key = seenAs(scene, edge.source) + ' ' + seenAs(scene, edge.target);
      found.set(key, [...(found.get(key) || []), number]);
    });
    for (const [key, edges] of found) {
      const [one, two] = key.split(' ').map(cell => boxes[cell]), left = one.x < two.x;
      const points = [[one.x + (left ? one.width : 0), one.y + one.height / 2],
        [two.x + (left ? 0 : two.width), two.y + two.height / 2]];
      whole.lines.push({ points, edges, across: true, label: '', arrow: false });
    }
  }
  const picture = { boxes: [], lines: [] }, all = scene.phases.length ? columns() : inside(-1, 0);
  merge(picture, all, MARGIN, MARGIN);
  return { ...picture, width: all.width + 2 * MARGIN, height: all.height + 2 * MARGIN };
}

function merge(into, from, dx, dy) {
  for (const box of from.boxes) into.boxes.push({ ...box, x: box.x + dx, y: box.y + dy });
  for (const line of from.lines) into.lines.push({ ...line, points: line.points.map(([x, y]) => [x + dx, y + dy]) });
}

function aroundAt(line, right) {
  const [x0, y0] = line.points[0], [x1, y1] = line.points.at(-1);
  return [[x0, y0], [x0, y0 + LANE], [right, y0 + LANE], [right, y1 - LANE], [x1, y1 - LANE], [x1, y1]];
}

function portsOf(wires, where) {
  const result = wires.map(() => [0, 0]);
  [[0, 1], [-1, -2]].forEach(([end, near], side) => {
    const byCell = new Map();
    wires.forEach((wire, number) => {
      const other = where[wire.path.at(near)], cell = wire.path.at(end);
      byCell.set(cell, [...(byCell.get(cell) || []), [other.x + other.width / 2, number]]);
    });
    for (const [cell, found] of byCell) {
      const box = where[cell], count = found.length;
      const step = cell[0] === 'n' || cell[0] === 'o' ? 0 : Math.min(14, (box.width - 16) / count);
      found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).forEach(([, number], at) => {
        result[number][side] = box.x + box.width / 2 + (side === 0 ? 0 : (at - (count - 1) / 2) * step);
      });
    }
  });
  return result;
}

function placeRows(rows, rooms, wires) {
  const near = {}, xs = {};
  for (const row of rows) for (const cell of row) near[cell] = [];
  for (const wire of wires) {
    if (wire.back) continue;
    for (let i = 1; i < wire.path.length; i++) {
      const a = wire.path[i - 1], b = wire.path[i], passing = (a[0] === 'p') + (b[0] === 'p');
      const weight = passing ? [1, 2, 16][passing] : wire.skip ? .25 : 1;
      near[a].push([b, weight]);
      near[b].push([a, weight]);
    }
  }
  for (const row of rows) {
    let x = 0;
    for (const cell of row) { xs[cell] = x + rooms[cell][0]; x += rooms[cell][0] + rooms[cell][1] + CELL_GAP; }
    for (const cell of row) xs[cell] -= (x - CELL_GAP) / 2;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const row of sweep % 2 === 0 ? rows : rows.toReversed()) settle(row, rooms, near, xs);
  }
  return xs;
}

function settle(row, rooms, near, xs) {
  const wanted = [], weights = [], offsets = [];
  let offset = 0;
  row.forEach((cell, i) => {
    if (i) offset += rooms[row[i - 1]][1] + rooms[cell][0] + CELL_GAP;
    let total = 0, sum = 0;
    for (const [other, weight] of near[cell]) { total += weight; sum += xs[other] * weight; }
    wanted.push((total ? sum / total : xs[cell]) - offset);
    weights.push(total || .1);
    offsets.push(offset);
  });
  pooled(wanted, weights).forEach((x, i) => { xs[row[i]] = x + offsets[i]; });
}

function pooled(wanted, weights) {
  const blocks = [];
  wanted.forEach((value, i) => {
    let mean = value, total = weights[i], count = 1;
    while (blocks.length && blocks.at(-1)[0] > mean) {
      const [before, heavy, many] = blocks.pop();
      mean = (before * heavy + mean * total) / (heavy + total);
      total += heavy;
      count += many;
    }
    blocks.push([mean, total, count]);
  });
  return blocks.flatMap(([mean, , count]) => Array(count).fill(mean));
}

function flipped(picture) {
  const boxes = picture.boxes.map(b => ({ ...b, y: picture.height - b.y - b.height }));
  const lines = picture.lines.map(w => ({ ...w, points: w.points.map(([x, y]) => [x, picture.height - y]) }));
  return { ...picture, boxes, lines };
}
function keyOf(scene, box) {
  if (box.cell[0] === 'n' || box.cell[0] === 'o') return 0;
  return (box.cell[0] === 'g' ? scene.groups : scene.items)[Number(box.cell.slice(1))].key;
}
function heights(scene, picture) {
  const found = new Map();
  for (const box of picture.boxes) {
    const key = keyOf(scene, box);
    if (key && !found.has(key)) found.set(key, box.y + box.height / 2);
  }
  return found;
}
function aligned(scene, picture, forward) {
  const outer = picture.boxes.filter(b => b.depth === 1 && b.cell[0] !== 'n' && b.cell[0] !== 'o')
    .sort((a, b) => a.y + a.height / 2 - b.y - b.height / 2);
  const known = outer.map(b => forward.get(keyOf(scene, b)));
  const shifts = pooled(outer.map((b, i) => known[i] === undefined ? 0 : known[i] - b.y - b.height / 2),
    known.map(y => y === undefined ? .01 : 1));
  const least = Math.min(0, ...shifts), spans = outer.map((b, i) => [b.y, b.y + b.height, shifts[i] - least]);
  const move = y => {
    const inside = spans.find(([top, bottom]) => top - .5 <= y && y <= bottom + .5);
    if (inside) return inside[2];
    const above = spans.filter(([, bottom]) => bottom < y).sort((a, b) => a[1] - b[1]).at(-1);
    const below = spans.filter(([top]) => top > y).sort((a, b) => a[0] - b[0])[0];
    if (!above || !below) return (below || above || [0, 0, 0])[2];
    return above[2] + (below[2] - above[2]) * (y - above[1]) / (below[0] - above[1]);
  };
  const boxes = picture.boxes.map(b => ({ ...b, y: b.y + move(b.y + b.height / 2) }));
  const lines = picture.lines.map(w => ({ ...w, points: w.points.map(([x, y]) => [x, y + move(y)]) }));
  return { ...picture, boxes, lines, height: picture.height + Math.max(0, ...spans.map(span => span[2])) };
}

// ---------------------------------------------------------------- drawing
function pathOf(line) {
  let [[x, y], ...rest] = line.points, path = `M${round(x)} ${round(y)}`;
  if (line.across) {
    const [x1, y1] = rest.at(-1), middle = round((x + x1) / 2);
    return `${path}C${middle} ${round(y)} ${middle} ${round(y1)} ${round(x1)} ${round(y1)}`;
  }
  if (line.back) {
    return path + rest.map(([x1, y1]) => `L${round(x1)} ${round(y1)}`).join('');
  }
  for (const [x1, y1] of rest) {
    const middle = round((y + y1) / 2);
    path += Math.abs(x1 - x) < .05 ? `V${round(y1)}`
      : `C${round(x)} ${middle} ${round(x1)} ${middle} ${round(x1)} ${round(y1)}`;
    [x, y] = [x1, y1];
  }
  return path;
}

function drawLine(scene, line) {
  const kinds = ['skip', 'back', 'across'].filter(kind => line[kind]);
  const sources = [...new Set(line.edges.map(e => scene.edges[e].source))];
  const told = sources.slice(0, 4).map(v => `${scene.items[v].label} ${scene.items[v].type}`).join('; ');
  const made = [s('path', { class: ['line', ...kinds].join(' '), d: pathOf(line), 'data-edges': line.edges.join(' ') },
    s('title', {}, told + (sources.length > 4 ? ' …' : '')))];
  if (line.arrow) {
    const [, before] = line.points.at(-2), [x, y] = line.points.at(-1), way = y >= before ? 6 : -6;
    made.push(s('path', { class: line.skip ? 'arrow of-skip' : 'arrow', d: `M${round(x)} ${round(y)}l-3.6 ${-way}h7.2z` }));
  }
  return made;
}

function drawBox(scene, box, paint) {
  const number = Number(box.cell.slice(1)), kind = box.cell[0];
  const rect = (radius, shift = 0, more = {}) => s('rect', { x: round(box.x + shift), y: round(box.y + shift),
    width: round(box.width), height: round(box.height), rx: radius, ...more });
  if (kind === 'n' || kind === 'o') return s('circle', { class: 'port', cx: round(box.x + 4), cy: round(box.y + 4), r: 2.5 });
  const middle = round(box.x + box.width / 2);
  if (kind === 'g') {
    const group = scene.groups[number], fixed = group.kind === 'phase';
    const g = s('g', { class: `${box.open ? 'open' : 'group'} ${group.kind}`, 'data-group': number,
      role: fixed ? 'group' : 'button', 'aria-expanded': box.open, 'aria-label': `${group.kind} ${group.label}`,
      tabindex: fixed ? null : 0 });
    if (!box.open) g.append(rect(6, 3));
    const face = rect(box.open ? 8 : 6);
    if (!box.open && paint) paint(face, box);
    g.append(face);
    if (box.open) g.append(s('text', { x: round(box.x + 12), y: round(box.y + 16) }, (fixed ? '' : '− ') + group.label));
    else g.append(...texts(scene, box, middle, '+ '));
    return g;
  }
  const item = scene.items[number], isRound = item.family === 'data' || item.family === 'counter';
  const g = s('g', { class: `item ${item.family}`, 'data-item': number, tabindex: 0, role: 'button',
    'aria-label': `${item.label} ${item.type}` });
  const face = rect(isRound ? box.height / 2 : 5);
  if (paint) paint(face, box);
  g.append(face);
  if (!isRound) g.append(s('rect', { class: `mark of-${item.family}`, x: round(box.x + 4), y: round(box.y + 5), width: 3.5,
    height: round(box.height - 10), rx: 1.7 }));
  g.append(...texts(scene, box, middle, ''));
  for (const [edge, constant] of item.literals) g.append(s('metadata', { 'data-item': constant, 'data-edges': edge }));
  return g;
}

function texts(scene, box, middle, sign) {
  const [title, small] = words(scene, box.cell), made = [];
  for (const [text, dy, size, kind] of [[sign + title, 18.5, TITLE, ''], [small, 32.5, SMALL, 'small']]) {
    if (!text || text === sign) continue;
    const wide = textWidth(text, size) > box.width - 8;
    made.push(s('text', { class: kind, x: middle, y: round(box.y + dy), 'text-anchor': 'middle',
      textLength: wide ? round(box.width - 14) : null, lengthAdjust: wide ? 'spacingAndGlyphs' : null }, text));
  }
  return made;
}

function draw(scene, paint) {
  const picture = place(scene), lines = [], labels = [];
  for (const line of picture.lines) {
    lines.push(...drawLine(scene, line));
    if (line.label && !line.across) {
      const [x, y] = line.points[0], down = line.points[1][1] >= y;
      labels.push(s('text', { class: 'label', x: round(x + 6), y: round(y + (down ? 14 : -6)) }, line.label));
    }
  }
  const frames = picture.boxes.filter(b => b.open).sort((a, b) => a.depth - b.depth);
  const boxes = picture.boxes.filter(b => !b.open);
  const made = s('svg', { class: 'picture', viewBox: `0 0 ${round(picture.width)} ${round(picture.height)}`,
    width: round(picture.width), height: round(picture.height), role: 'group', 'aria-label': scene.about });
  made.append(...frames.map(b => drawBox(scene, b, paint)), ...lines, ...boxes.map(b => drawBox(scene, b, paint)), ...labels);
  return { svg: made, picture };
}

// ---------------------------------------------------------------- formulas
function mathOf(text) {
  let at = 0;
  const m = (tag, ...children) => element(MATH, tag, {}, ...children);
  const group = () => { at++; const row = sequence('}'); at++; return row; };
  function atom() {
    for (const [command, tag, count] of [['\\frac', 'mfrac', 2], ['\\sqrt', 'msqrt', 1]]) {
      if (text.startsWith(command + '{', at)) {
        at += command.length;
        const parts = [];
        for (let i = 0; i < count && text[at] === '{'; i++) parts.push(group());
        return m(tag, ...parts);
      }
    }
    const word = /^[\p{L}\p{N}_.']*[\p{L}\p{N}']/u.exec(text.slice(at));
    if (word) {
      const name = word[0].replace(/_$/, '') || word[0];
      at += name.length;
      return m(/^[\d.]+$/.test(name) ? 'mn' : 'mi', name);
    }
    const sign = String.fromCodePoint(text.codePointAt(at));
    at += sign.length;
    return sign === ' ' ? null : m('mo', sign);
  }
  function sequence(end) {
    const row = m('mrow');
    while (at < text.length && text[at] !== end) {
      let made = text[at] === '{' ? group() : atom();
      while (made && (text[at] === '_' || text[at] === '^') && text[at + 1] === '{') {
        const tag = text[at] === '_' ? 'msub' : 'msup';
        at++;
        made = m(tag, made, group());
      }
      if (made) row.append(made);
    }
    return row;
  }
  return element(MATH, 'math', { display: 'block' }, sequence('\0'));
}
