// The page: sections made of the data in the page, and in a live run of events. Names are set as text, never as markup.
const DATA = JSON.parse(document.getElementById('data').textContent);
const REPORT = DATA.report, SCENES = DATA.scenes.map(unpacked), MAIN = document.getElementById('main');
const state = { scene: 0, chosen: null, colour: 'op', zoom: 1 };
const absent = text => h('p', { class: 'absent' }, text);

// ---------------------------------------------------------------- measures that colour the graph
const COLOURINGS = [
  ['op', 'kind of operation'],
  ['params', 'parameters', countText],
  ['flops', 'floating-point operations', countText],
  ['time', 'time measured with the NumPy backend', v => quantity(v * 1e6, ['µs', 'ms', 's'])],
  ['saved', 'bytes saved for the backward pass', bytesText],
  ['grad', 'gradient norm', number],
  ['dead', 'dead units', v => `${(v * 100).toFixed(1)} %`],
];
const MEASURED = ['time', 'grad', 'dead'];
for (const scene of SCENES) {
  for (const name of MEASURED) {
    const values = ((REPORT.measures || {})[name] || {})[scene.title] || {};
    for (const [item, value] of Object.entries(values)) scene.items[item][name] = value;
    if (name === 'time') for (const item of scene.items) for (const g of around(scene, item.group)) scene.totals[g].time += item.time || 0;
  }
}
function measureOf(scene, cell, name) {
  const at = Number(cell.slice(1));
  if (cell[0] === 'i') return scene.items[at][name];
  if (['params', 'flops', 'saved', 'time'].includes(name)) return scene.totals[at][name];
  const inside = scene.items.filter(item => item[name] !== undefined && around(scene, item.group).includes(at)).map(item => item[name]);
  return inside.length ? Math.max(...inside) : undefined;
}
const isKnown = (scene, name) => name === 'op' || scene.items.some(item => item[name] !== undefined && item[name] !== 0);

// ---------------------------------------------------------------- the graph
const canvas = h('div', { class: 'canvas', id: 'canvas', tabindex: -1, 'aria-label': 'graph' });
const pane = h('aside', { class: 'pane', id: 'pane', 'aria-live': 'polite', 'aria-label': 'details' });
const legend = h('p', { class: 'legend', id: 'legend' });
const search = h('input', { id: 'search', type: 'search', placeholder: 'search  ( / )', 'aria-label': 'search names, operations, places' });
const hits = h('span', { class: 'hint', id: 'hits', role: 'status' });

function render() {
  const scene = SCENES[state.scene];
  const cells = [...scene.items.map(i => 'i' + i.number), ...scene.groups.map(g => 'g' + g.number)];
  let paint = null;
  legend.replaceChildren();
  if (state.colour !== 'op') {
    const [, title, unit] = COLOURINGS.find(c => c[0] === state.colour);
    const scale = scaleOf(cells.filter(c => c[0] === 'i' || !scene.open.has(Number(c.slice(1)))).map(c => measureOf(scene, c, state.colour) ?? null));
    paint = (face, box) => {
      const value = measureOf(scene, box.cell, state.colour);
      if (value > 0) { face.style.fill = shade(scale.share(value)); face.style.fillOpacity = .55; }
    };
    legend.append(isKnown(scene, state.colour) ? `${title}: ${unit(scale.low)} ` : `${title}: not recorded`);
    if (isKnown(scene, state.colour)) legend.append(ramp(), ` ${unit(scale.high)}`);
  } else {
    for (const family of new Set(scene.items.filter(i => i.value === '').map(i => i.family))) {
      legend.append(s('svg', { class: 'swatch picture', viewBox: '0 0 10 10', 'aria-hidden': 'true' },
        s('rect', { class: `mark of-${family}`, width: 10, height: 10, rx: 2 })), `${family}   `);
    }
    legend.append('— red lines are skip connections');
  }
  const { svg, picture } = draw(scene, paint);
  svg.setAttribute('width', picture.width * state.zoom);
  svg.setAttribute('height', picture.height * state.zoom);
  canvas.replaceChildren(svg);
  mark();
  document.body.dataset.ready = 'true';
}

function ramp() {
  const made = s('svg', { class: 'ramp', viewBox: '0 0 120 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  for (let i = 0; i < 40; i++) made.append(s('rect', { x: i * 3, width: 3.2, height: 10, fill: shade(i / 39) }));
  return made;
}

function cellOf(node) {
  const found = node.closest?.('[data-item],[data-group]');
  if (!found || !canvas.contains(found)) return null;
  return found.hasAttribute('data-item') ? 'i' + found.getAttribute('data-item') : 'g' + found.getAttribute('data-group');
}
const nodeOf = cell => canvas.querySelector(`[data-${cell[0] === 'i' ? 'item' : 'group'}="${cell.slice(1)}"]`);

function toggle(group) {
  const scene = SCENES[state.scene];
  if (scene.groups[group].kind === 'phase') return;
  if (!scene.open.delete(group)) scene.open.add(group);
  const before = [canvas.scrollLeft, canvas.scrollTop], old = nodeOf('g' + group)?.getBoundingClientRect();
  render();
  const now = nodeOf('g' + group)?.getBoundingClientRect();
  [canvas.scrollLeft, canvas.scrollTop] = before;
  if (old && now) canvas.scrollTop += nodeOf('g' + group).getBoundingClientRect().top - old.top;
  nodeOf('g' + group)?.focus({ preventScroll: true });
}

function choose(cell) {
  state.chosen = cell;
  mark();
  detail(cell);
}

function mark() {
  const scene = SCENES[state.scene];
  for (const node of canvas.querySelectorAll('.chosen,.twin,.lit')) node.classList.remove('chosen', 'twin', 'lit');
  const own = state.chosen && nodeOf(state.chosen);
  if (!own) return;
  own.classList.add('chosen');
  const phase = one => around(scene, one.group ?? one.parent).at(-1);
  const at = Number(state.chosen.slice(1)), list = state.chosen[0] === 'i' ? scene.items : scene.groups, { key } = list[at];
  for (const other of list) {
    if (key && other.key === key && phase(other) !== phase(list[at])) nodeOf(state.chosen[0] + other.number)?.classList.add('twin');
  }
  const inside = item => state.chosen[0] === 'i' ? item === at : around(scene, scene.items[item].group).includes(at);
  for (const line of canvas.querySelectorAll('.line')) {
    const edges = line.getAttribute('data-edges').split(' ').map(e => scene.edges[e]);
    if (edges.some(e => inside(e.source) !== inside(e.target))) line.classList.add('lit');
  }
}

// ---------------------------------------------------------------- the pane
function detail(cell) {
  const scene = SCENES[state.scene], at = Number(cell.slice(1));
  pane.replaceChildren(...(cell[0] === 'i' ? ofItem(scene, scene.items[at]) : ofGroup(scene, scene.groups[at])));
  pane.scrollTop = 0;
}
const facts = pairs => h('dl', {}, ...pairs.filter(([, value]) => value !== '' && value !== undefined && value !== null)
  .flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));

function ofItem(scene, item) {
  const edges = scene.edges.map((e, i) => [e, i]), literals = item.literals.map(([, c]) => scene.items[c].value).join(', ');
  const takes = edges.filter(([e]) => e.target === item.number && !e.back).map(([e]) => scene.items[e.source]);
  const gives = [...new Set(edges.filter(([e]) => e.source === item.number).map(([e]) => scene.items[e.target]))];
  const made = [h('h3', {}, item.label), facts([
    ['name', item.name], ['operation', item.op], ['phase', item.phase], ['shape', item.type], ['constants', literals],
    ['given out as', item.outputs], ['parameters', item.params ? item.params.toLocaleString('en') : ''],
    ['operations', item.flops ? `${countText(item.flops)}FLOP` : ''], ['value', item.bytes ? bytesText(item.bytes) : ''],
    ['saved for backward', item.saved ? bytesText(item.saved) : ''],
    ...MEASURED.map(name => [COLOURINGS.find(c => c[0] === name)[1],
      item[name] === undefined ? '' : COLOURINGS.find(c => c[0] === name)[2](item[name])]),
  ])];
  if (item.formula) made.push(mathOf(item.formula));
  made.push(...source(item.place));
  if (takes.length) made.push(h('h3', {}, 'takes'), links(scene, takes));
  if (gives.length) made.push(h('h3', {}, 'used by'), links(scene, gives.slice(0, 30)));
  made.push(...kernels((((REPORT.kernels || {}).of || {})[scene.title] || [])[item.number] || []));
  return made;
}

function ofGroup(scene, group) {
  const total = scene.totals[group.number];
  const inside = scene.items.filter(item => around(scene, item.group).includes(group.number));
  const texts = [...new Set(inside.map(item => item.place).filter(Boolean))];
  const made = [h('h3', {}, group.label), facts([
    ['kind', group.kind], [group.kind === 'kernel' ? '' : 'path', group.kind === 'kernel' ? '' : group.note],
    ['operations', total.count.toLocaleString('en')], ['parameters', total.params ? total.params.toLocaleString('en') : ''],
    ['work', total.flops ? `${countText(total.flops)}FLOP` : ''], ['saved for backward', total.saved ? bytesText(total.saved) : ''],
    ['measured time', total.time ? COLOURINGS[3][2](total.time) : ''],
  ])];
  if (group.kind !== 'phase') {
    const button = h('button', { id: 'fold', type: 'button' }, scene.open.has(group.number) ? 'fold' : 'unfold');
    button.addEventListener('click', () => { toggle(group.number); detail('g' + group.number); });
    made.push(button);
  }
  if (group.kind === 'kernel') made.push(h('pre', {}, group.note));
  if (texts.length) made.push(...source(texts[0]));
  return made;
}

function source(place) {
  if (!place) return [];
  const made = [h('h3', {}, 'from')];
  for (const one of place.split(', ')) {
    const line = (REPORT.lines || {})[one];
    made.push(h('p', { class: 'hint' }, one));
    if (line !== undefined) made.push(h('pre', { class: 'source' }, line));
  }
  return made;
}
function kernels(list) {
  if (!list.length) return [];
  return [h('h3', {}, list.length > 1 ? 'computed by the kernels' : 'computed by the kernel'),
    ...list.map(k => h('pre', { class: 'kernel' }, REPORT.kernels.texts[k]))];
}
function links(scene, items) {
  const list = h('p', {});
  for (const item of items) {
    const button = h('button', { type: 'button' }, `${shortened(item.label)} ${shortened(item.type, 40)}`);
    button.addEventListener('click', () => reveal('i' + item.number));
    list.append(button, ' ');
  }
  return list;
}

function reveal(cell) {
  const scene = SCENES[state.scene], at = Number(cell.slice(1));
  const shown = cell[0] === 'i' && scene.items[at].value !== '' ? null : cell;
  const group = cell[0] === 'i' ? scene.items[at].group : scene.groups[at].parent;
  const closed = around(scene, group).filter(g => !scene.open.has(g));
  closed.forEach(g => scene.open.add(g));
  if (closed.length) render();
  choose(cell);
  if (shown) nodeOf(shown)?.scrollIntoView({ block: 'center', inline: 'center' });
}

// ---------------------------------------------------------------- search, keys, mouse
let found = [], turn = -1;
function look() {
  const scene = SCENES[state.scene], wanted = search.value.trim().toLowerCase();
  for (const node of canvas.querySelectorAll('.found')) node.classList.remove('found');
  const says = list => list.some(text => text.toLowerCase().includes(wanted));
  const groups = scene.groups.filter(g => says([g.label, g.note])).map(g => 'g' + g.number);
  const items = scene.items.filter(i => i.value === '' && says([i.label, i.name, i.op, i.type, i.place])).map(i => 'i' + i.number);
  found = wanted ? [...groups, ...items] : [];
  turn = -1;
  hits.textContent = wanted ? `${found.length} found` + (found.length ? ', Enter shows one' : '') : '';
  for (const cell of found) nodeOf(cell)?.classList.add('found');
}
search.addEventListener('input', look);
search.addEventListener('keydown', event => {
  if (event.key === 'Enter' && found.length) {
    turn = (turn + (event.shiftKey ? found.length - 1 : 1)) % found.length;
    reveal(found[turn]);
    hits.textContent = `${turn + 1} of ${found.length}`;
  }
});
canvas.addEventListener('click', event => {
  const cell = cellOf(event.target);
  if (!cell || dragged) return;
  if (cell[0] === 'g') toggle(Number(cell.slice(1)));
  choose(cell);
});
canvas.addEventListener('keydown', event => {
  const cell = cellOf(event.target);
  if (!cell) return;
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    if (cell[0] === 'g') toggle(Number(cell.slice(1)));
    choose(cell);
  }
  const way = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[event.key];
  if (way) { event.preventDefault(); step(cell, way); }
});
function step(cell, [dx, dy]) {
  const middle = node => { const r = node.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
  const [x, y] = middle(nodeOf(cell));
  let best = null, least = Infinity;
  for (const node of canvas.querySelectorAll('.item,.group')) {
    const [x1, y1] = middle(node), along = (x1 - x) * dx + (y1 - y) * dy, aside = Math.abs((x1 - x) * dy) + Math.abs((y1 - y) * dx);
    if (along > 4 && along + 2 * aside < least) { least = along + 2 * aside; best = node; }
  }
  best?.focus();
  best?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}
document.addEventListener('keydown', event => {
  if (event.key === '/' && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  if (event.key === 'Escape') document.activeElement?.blur();
});
let dragged = false, start = null;
canvas.addEventListener('pointerdown', event => { dragged = false; start = [event.clientX, event.clientY, canvas.scrollLeft, canvas.scrollTop]; });
canvas.addEventListener('pointermove', event => {
  if (!start || !(event.buttons & 1)) return;
  const [x, y, left, top] = start;
  if (Math.hypot(event.clientX - x, event.clientY - y) > 5) dragged = true;
  if (dragged) { canvas.scrollLeft = left - event.clientX + x; canvas.scrollTop = top - event.clientY + y; }
});
canvas.addEventListener('pointerup', () => { start = null; });
canvas.addEventListener('wheel', event => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
}, { passive: false });
function zoom(factor) {
  const svg = canvas.querySelector('svg'), [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  state.zoom = Math.min(4, Math.max(.05, factor ? state.zoom * factor : Math.min((canvas.clientWidth - 4) / width, 1.2)));
  svg.setAttribute('width', width * state.zoom);
  svg.setAttribute('height', height * state.zoom);
}

function graphSection() {
  const button = (id, text, action) => { const made = h('button', { id, type: 'button' }, text); made.addEventListener('click', action); return made; };
  const scenes = h('select', { id: 'scene', 'aria-label': 'which graph' }, ...SCENES.map((scene, i) => h('option', { value: i }, scene.title)));
  scenes.addEventListener('change', () => { state.scene = Number(scenes.value); state.chosen = null; pane.replaceChildren(help()); render(); tell(); look(); });
  const colours = h('select', { id: 'colour', 'aria-label': 'coloured by' }, ...COLOURINGS.map(([name, title]) => h('option', { value: name }, `colour: ${title}`)));
  colours.addEventListener('change', () => { state.colour = colours.value; render(); });
  const about = h('p', { class: 'hint', id: 'about' });
  const tell = () => {
    const scene = SCENES[state.scene], sizes = Object.entries(scene.sizes).map(([name, n]) => `${name} = ${n}`).join(', ');
    about.textContent = `${scene.about || scene.name}: ${scene.items.length.toLocaleString('en')} nodes, `
      + `${scene.edges.length.toLocaleString('en')} edges` + (sizes ? `; bytes and operations for ${sizes}` : '');
  };
  const all = open => () => {
    const scene = SCENES[state.scene];
    scene.open = new Set(open ? scene.groups.map(g => g.number) : scene.phases);
    render();
    look();
  };
  tell();
  pane.append(help());
  return h('section', { id: 'graph' }, h('h2', {}, 'Graph'), about,
    h('div', { class: 'tools' }, SCENES.length > 1 ? scenes : null, colours, search, hits,
      button('unfold-all', 'unfold all', all(true)), button('fold-all', 'fold all', all(false)),
      button('zoom-in', '+', () => zoom(1.25)), button('zoom-out', '−', () => zoom(.8)), button('fit', 'fit', () => zoom(0))),
    legend, h('div', { class: 'stage' }, canvas, pane));
}
const help = () => h('p', { class: 'hint' }, 'Click a box: its formula, its shape, its line of the spec. Boxes with + unfold. '
  + 'Keys: Tab and arrows move, Enter opens, / searches. Ctrl and the wheel zoom, dragging moves.');

// ---------------------------------------------------------------- the run
function curves() {
  const found = REPORT.curves || {}, epochs = found.epochs || [], steps = found.steps || [], charts = [];
  const series = {}, push = (chart, name, x, y) => {
    series[chart] ||= {};
    (series[chart][name] ||= []).push([x, typeof y === 'number' ? y : null]);
  };
  for (const record of epochs) {
    for (const [name, value] of Object.entries(record)) {
      if (['epoch', 'step', 'best'].includes(name)) continue;
      if (name === 'rate') push('learning rate', 'factor of the schedule', record.step, value);
      else if (name === 'grad_norm') push('gradient norm', 'all parameters', record.step, value);
      else if (value !== null && typeof value === 'object') {
        for (const [metric, v] of Object.entries(value)) if (!Array.isArray(v)) push(metric, name, record.step, v);
      } else push(name, 'train', record.step, value);
    }
  }
  for (const [step, loss, rate] of steps) {
    push('loss', 'each step', step, loss);
    if (rate !== null && rate !== undefined) push('learning rate', 'each step', step, rate);
  }
  for (const [title, lines] of Object.entries(series)) {
    const list = Object.entries(lines).map(([name, points]) => ({ name, points }));
    charts.push(lineChart({ title, x: 'step', y: title, series: list }));
  }
  return charts.length ? h('div', { class: 'charts' }, ...charts) : absent('not recorded: no epoch has been measured');
}

function layersSection() {
  const found = REPORT.layers;
  if (!found || !found.steps.length) return absent('not recorded: train with --record');
  const every = Math.ceil(found.steps.length / 12), common = { rows: found.names, columns: found.steps, labelEvery: every, xName: 'step',
    cell: Math.max(6, Math.min(16, Math.floor(900 / found.steps.length))) };
  const across = values => found.names.map((_, i) => values.map(row => row[i]));
  return h('div', {}, heatMap({ ...common, title: 'norm of the gradient', values: across(found.grad) }),
    heatMap({ ...common, title: 'update / weight: norm of the change by norm of the parameter', values: across(found.update) }));
}

function memorySection() {
  const found = REPORT.memory;
  if (!found) return absent('not recorded');
  const peak = { x: found.peak.step, text: `peak ${bytesText(found.peak.bytes)} in ${found.peak.kernel}` };
  return h('div', {}, lineChart({ title: `memory of ${found.name}, kernel after kernel`, x: 'step of the program', y: 'bytes', unit: bytesText, linear: true,
    marks: [peak], series: [{ name: 'values alive', points: found.bytes.map((b, i) => [i, b]) }], wide: 1100 }),
  h('p', { class: 'told' }, `Parameters and states take ${bytesText(found.held)}, constants ${bytesText(found.constant)}; the arena is `
    + `${bytesText(found.arena)}. The peak is at ${found.peak.place || found.peak.kernel}; then these are alive:`),
  table(['buffer', 'bytes', 'from'], found.peak.buffers));
}

function confusionSection() {
  const found = REPORT.confusion;
  if (!found) return absent('not recorded: no classes are predicted, or there are no weights and data');
  const most = Math.max(...found.counts.flat()), cell = Math.max(18, Math.min(46, Math.floor(560 / found.names.length)));
  return heatMap({ title: `${found.field}: rows are true, columns predicted (${found.part}, ${found.samples.toLocaleString('en')} samples)`,
    rows: found.names, columns: found.names, values: found.counts.map(row => row.map(n => n || null)), unit: v => v.toLocaleString('en'), cell, inCell: cell > 20 && most < 1e5, xName: 'predicted' });
}
function card(example) {
  const made = h('div', { class: 'card' });
  for (const image of example.images || []) if (image.startsWith('data:image/png;base64,')) made.append(h('img', { src: image, alt: example.alt || 'a sample' }));
  for (const line of example.lines) made.append(h('div', {}, line));
  return made;
}
function cards(list, why) {
  return list && list.length ? h('div', { class: 'cards' }, ...list.map(card)) : absent(why);
}
function attentionSection() {
  const found = REPORT.attention;
  if (!found || !found.length) return absent('not recorded: the model has no attention, or there are no weights and data');
  return h('div', {}, ...found.map(map => heatMap({ title: map.title, rows: map.rows, columns: map.columns, values: map.values, cell: 18, xName: map.axis })));
}

function runSection() {
  const found = REPORT.run;
  if (!found) return absent('not recorded: this is a spec without a run');
  const list = Object.entries(found.about).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : String(value)]);
  return h('div', {}, table(['', ''], list), ...(found.claims || []).map(text => h('p', { class: 'told' }, text)));
}

const SECTIONS = [
  ['training', 'Training', curves], ['layers', 'Layers', layersSection], ['memory', 'Memory', memorySection],
  ['confusion', 'Confusion', confusionSection],
  ['worst', 'Worst examples', () => cards(REPORT.worst, 'not recorded: there are no weights and data, or no loss of single samples')],
  ['attention', 'Attention', attentionSection],
  ['samples', 'Samples', () => cards(REPORT.samples, 'not recorded: there are no weights and data')],
  ['run', 'Run', runSection],
];

function build() {
  const shown = SECTIONS.filter(([id]) => id in (REPORT.sections || {}));
  const links = [['graph', 'Graph'], ...shown].map(([id, title]) => h('a', { href: '#' + id }, title));
  const list = h('ul', { class: 'facts', id: 'facts' }, ...(REPORT.facts || []).map(([name, value]) => h('li', {}, name + ' ', h('b', {}, value))));
  MAIN.append(h('header', {}, h('h1', {}, DATA.title), shown.length ? h('nav', { 'aria-label': 'sections' }, ...links) : null), list);
  const sections = shown.map(([id, title, make]) => h('section', { id }, h('h2', {}, title), h('div', { class: 'body' }, make())));
  MAIN.append(...(DATA.live ? [sections[0], graphSection(), ...sections.slice(1)] : [graphSection(), ...sections]).filter(Boolean));
  render();
  zoom(0);
}

// ---------------------------------------------------------------- live
function listen() {
  const events = new EventSource('events'), status = h('p', { class: 'hint', id: 'live', role: 'status' }, 'waiting for the first step');
  MAIN.prepend(status);
  let waiting = false;
  const again = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      document.querySelector('#training .body').replaceChildren(curves());
      document.querySelector('#layers .body').replaceChildren(layersSection());
    });
  };
  events.addEventListener('state', event => { Object.assign(REPORT, JSON.parse(event.data)); again(); });
  events.addEventListener('step', event => {
    const { step, epoch, loss, rate } = JSON.parse(event.data);
    REPORT.curves.steps.push([step, loss, rate]);
    status.textContent = `training: epoch ${epoch}, step ${step}, loss ${number(loss)}`;
    again();
  });
  events.addEventListener('epoch', event => { REPORT.curves.epochs.push(JSON.parse(event.data)); again(); });
  events.addEventListener('layers', event => {
    const { step, names, grad, update } = JSON.parse(event.data);
    REPORT.layers ||= { names, steps: [], grad: [], update: [] };
    REPORT.layers.steps.push(step);
    REPORT.layers.grad.push(grad);
    REPORT.layers.update.push(update);
    again();
  });
  events.addEventListener('end', () => { status.textContent = 'training is over'; events.close(); });
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) status.textContent = 'the run has ended or cannot be reached'; };
}
build();
if (DATA.live) listen();
